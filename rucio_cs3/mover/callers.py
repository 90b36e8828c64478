"""Who asks: known by a secret, by a provider's token, or by the certificate that the connection was made with."""

from __future__ import annotations

import hmac
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rucio_cs3.mover.tokens import Tokens
from rucio_cs3.service.refusals import Refused

if TYPE_CHECKING:
    from rucio_cs3.mover.config import Caller, MoverConfig

ANYBODY = "anybody on this machine"
PROXY = re.compile(r"(/CN=([0-9]+|proxy|limited proxy))+")  # what a proxy certificate adds to its maker's subject
SHORT = {
    "domainComponent": "DC",
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "stateOrProvinceName": "ST",
    "localityName": "L",
}


@dataclass(frozen=True)
class Known:
    """A caller, as it is shown to itself."""

    name: str
    vo: str
    method: str
    watch: bool = False


NOBODY = Known("", "", "")


class Callers:
    def __init__(self, config: MoverConfig) -> None:
        self._open = config.is_open
        self._callers = config.callers
        self._tokens = Tokens(config.callers)

    def who(self, environ: dict[str, Any]) -> Known:
        """Raises Refused."""
        if self._open:
            return Known(ANYBODY, "rucio", "unauthenticated")
        shown = environ.get("HTTP_AUTHORIZATION", "")
        found = self._by_token(shown) if shown else self._by_certificate(environ)
        if not found:
            raise Refused("stranger", "A known bearer token or client certificate is needed")
        return found

    def _by_token(self, shown: str) -> Known | None:
        """All secrets are compared, so that the time does not tell which is right."""
        good = [name for name, caller in self._callers.items() if _is(shown, caller)]
        name = good[0] if good else self._tokens.caller(shown.partition(" ")[2])
        return self._known(name, "oauth2") if name else None

    def _by_certificate(self, environ: dict[str, Any]) -> Known | None:
        subject = subject_of(environ.get("gunicorn.socket"))
        for name, caller in self._callers.items():
            for known in caller.subjects:
                if subject == known or (subject.startswith(known) and PROXY.fullmatch(subject[len(known) :])):
                    return self._known(name, "certificate")
        return None

    def _known(self, name: str, method: str) -> Known:
        caller = self._callers[name]
        return Known(name, caller.vo, method, caller.watch)


def _is(shown: str, caller: Caller) -> bool:
    secret = caller.secret()
    return bool(secret) and hmac.compare_digest(shown.encode("latin-1", "replace"), f"Bearer {secret}".encode())


def subject_of(connection: Any) -> str:
    """Of the certificate that TLS has checked, in the notation of grids; empty where there is none."""
    certificate = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    parts = [pair for rdn in (certificate or {}).get("subject", ()) for pair in rdn]
    return "".join(f"/{SHORT.get(pair[0], pair[0])}={pair[1]}" for pair in parts)
