"""Which addresses are this machine alone, so that nobody listens in between."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def keeps_secrets(url: str) -> bool:
    """Whether nobody can listen on the way: https, or http to this machine. False for what is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def is_loopback(host: str) -> bool:
    """True also for ::ffff:127.0.0.1, as which a socket for both families sees IPv4."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
