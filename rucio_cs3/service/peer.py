"""Who is at the other end of a request, as far as an address tells."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Union

from rucio_cs3.loopback import is_loopback
from rucio_cs3.service.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
FORWARDING = tuple(  # a proxy was here
    f"HTTP_{name}"
    for name in ("FORWARDED", "VIA", "X_REAL_IP", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO")
)
UNKNOWN = "unknown"
ONE_HOLDER = {4: 32, 6: 64}  # bits: who has an IPv6 address has all that begin so


class Peer:
    """Who speaks to us, or to the proxy in front of us if the configuration believes it."""

    def __init__(self, environ: dict[str, Any], *, behind_proxy: bool) -> None:
        self._environ = environ
        self._behind_proxy = behind_proxy
        self._next = str(environ.get("REMOTE_ADDR") or "")
        self._forwarded = any(name in environ for name in FORWARDING)

    @property
    def address(self) -> str:
        """The address that our peer has, or the one that our own proxy saw: those before it are anybody's word."""
        return str(self._ip or _address(self._next) or UNKNOWN)

    @property
    def place(self) -> str:
        """What it shares with nobody who is somewhere else."""
        ip = self._ip or _address(self._next)
        return str(ipaddress.ip_network((ip, ONE_HOLDER[ip.version]), strict=False)) if ip else UNKNOWN

    def is_in(self, networks: Iterable[Network]) -> bool:
        """False where a proxy hides who it is."""
        ip = self._ip
        return ip is not None and any(ip in network for network in networks)

    @property
    def _ip(self) -> Any:
        """None for whoever is behind a proxy that does not tell, or that nobody told us of."""
        if self._behind_proxy:
            return _address(self._environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip())
        return None if self._forwarded else _address(self._next)

    def refuse_plaintext(self, remedy: str = "use https") -> None:
        """Raises Refused if somebody could have listened. `remedy` is for who has not told us of a proxy."""
        if self._behind_proxy:
            said = self._environ.get("HTTP_X_FORWARDED_PROTO", "")
            if said and {word.strip().lower() for word in said.split(",")} == {"https"}:
                return
            hint = "the proxy has to be asked by https, and to say so by X-Forwarded-Proto"
        else:
            if self._environ["wsgi.url_scheme"] == "https" or (is_loopback(self._next) and not self._forwarded):
                return
            hint = remedy
        raise Refused("plaintext_refused", f"the request came in the clear; {hint}")


def _address(text: str) -> Any:
    """Only what is an address gets into the log: a header can hold anything, a token too."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip
