"""The certificate that a gateway shows, which has been verified by then."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rucio_cs3 import deadline, tls
from rucio_cs3.errors import Unavailable, Untrusted

if TYPE_CHECKING:
    from rucio_cs3.config import Config


@dataclass(frozen=True)
class Certificate:
    version: str
    """of TLS"""
    issuer: str
    expires: float


def of(config: Config) -> Certificate:
    """Raises Untrusted, Unavailable."""
    host, _, port = config.gateway.rpartition(":")
    host = host.strip("[]")
    timeout = deadline.at_most(config.connect_timeout)
    context = tls.context(config)
    context.check_hostname = True
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, int(port)), timeout) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            shown = secure.getpeercert() or {}
            return Certificate(
                version=secure.version() or "TLS",
                issuer=_name(shown.get("issuer", ())),
                expires=ssl.cert_time_to_seconds(str(shown["notAfter"])),
            )
    except ssl.SSLCertVerificationError as error:
        raise Untrusted(f"TLS with gateway {config.gateway} failed: {error.verify_message}") from error
    except OSError as error:
        raise Unavailable(f"gateway {config.gateway} cannot be reached: {error}") from error


def _name(issuer: object) -> str:
    """The common name, else the organisation."""
    parts = {key: value for group in issuer for key, value in group}  # type: ignore[attr-defined]
    return str(parts.get("commonName") or parts.get("organizationName") or "an authority without a name")
