"""The certificate that a site shows, which has been verified by then."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rucio_cs3 import deadline, tls
from rucio_cs3.errors import Unavailable, Untrusted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rucio_cs3.config import Config

SOON = 14  # days
DAY = 86_400.0


@dataclass(frozen=True)
class Certificate:
    version: str
    """of TLS"""
    issuer: str
    expires: float

    @property
    def days(self) -> int:
        """For which it is still good."""
        return int((self.expires - time.time()) // DAY)

    @property
    def ends_soon(self) -> bool:
        return self.days < SOON


def shown(host: str, port: int, config: Config, protocols: Sequence[str]) -> Certificate:
    """By whoever listens there; `protocols` are those of ALPN. Raises what ssl and sockets do, and ConfigError."""
    context = tls.context(config)
    context.check_hostname = True
    context.set_alpn_protocols(list(protocols))
    name = host.strip("[]")
    with (
        socket.create_connection((name, port), deadline.at_most(config.connect_timeout)) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        told = secure.getpeercert() or {}
        return Certificate(
            version=secure.version() or "TLS",
            issuer=_name(told.get("issuer", ())),
            expires=ssl.cert_time_to_seconds(str(told["notAfter"])),
        )


def of(config: Config) -> Certificate:
    """The gateway's. Raises Untrusted, Unavailable."""
    host, _, port = config.gateway.rpartition(":")
    try:
        return shown(host, int(port), config, ["h2"])
    except ssl.SSLCertVerificationError as error:
        raise Untrusted(f"TLS with gateway {config.gateway} failed: {error.verify_message}") from error
    except OSError as error:
        raise Unavailable(f"gateway {config.gateway} cannot be reached: {error}") from error


def _name(issuer: object) -> str:
    """The common name, else the organisation."""
    parts = {key: value for group in issuer for key, value in group}  # type: ignore[attr-defined]
    return str(parts.get("commonName") or parts.get("organizationName") or "an authority without a name")
