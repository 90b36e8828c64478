"""Where a service listens, and the certificate that it shows there."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

from rucio_cs3.errors import ConfigError
from rucio_cs3.loopback import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

HIGHEST_PORT = 65535
BACKLOG = 512


class Names(NamedTuple):
    """What these settings are called where they are given."""

    bind: str
    cert: str
    key: str
    instead: str
    """what does without a certificate"""


def address(bind: str, names: Names) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdigit() or int(port) > HIGHEST_PORT:
        raise ConfigError(f"{names.bind} {bind} is not HOST:PORT")
    return host.strip("[]"), int(port)


def tls_files(cert: Path | None, key: Path | None, host: str, names: Names) -> dict[str, Any]:
    if bool(cert) != bool(key):
        raise ConfigError(f"TLS needs both {names.cert} and {names.key}")
    if not cert:
        if not is_loopback(host):
            raise ConfigError(
                f"without TLS, {names.bind} {host} would take tokens in the clear",
                hint=f"give {names.cert} and {names.key}, or {names.instead}",
            )
        return {}
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigError(f"{cert} and {key} are not a certificate with its key") from error
    return {"certfile": str(cert), "keyfile": str(key)}


def listen(host: str, port: int) -> socket.socket:
    """Bound by us, because gunicorn would try for seconds, and not say which port it found."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}") from error


def url_of(listening: socket.socket, *, tls: bool) -> str:
    host, port = listening.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
