"""Tokens of OpenID Connect providers, by which Rucio's daemons say who they are."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rucio_cs3.credentials.jwt import claims
from rucio_cs3.service.issuer import Issuer
from rucio_cs3.service.limits import RateLimit
from rucio_cs3.service.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.mover.config import Caller

ASKED = 6  # times a minute that a provider is asked for its keys, because of tokens that none of them fits
LEEWAY = 60  # seconds that clocks may differ


class Tokens:
    """Those of the callers that have an issuer."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = {name: caller for name, caller in callers.items() if caller.issuer}
        self._asks = RateLimit(ASKED)
        urls = {caller.issuer for caller in self._callers.values() if caller.issuer}
        self._issuers = {url: Issuer(url, functools.partial(self._may_ask, url)) for url in urls}

    def caller(self, token: str) -> str | None:
        """The name of whose token it is. Raises Refused when its issuer cannot be asked."""
        issuer = self._issuers.get(str(claims(token).get("iss")))
        said = _verified(token, issuer) if issuer else None
        if not issuer or not said:
            return None
        found = (name for name, caller in self._callers.items() if caller.issuer == issuer.url and _is_of(said, caller))
        return next(found, None)

    def _may_ask(self, url: str) -> bool:
        return not self._asks.wait(url)


def _verified(token: str, issuer: Issuer) -> dict[str, Any] | None:
    import jwt  # noqa: PLC0415 - with its cryptography, only for movers that have such callers

    wanted: Any = {"require": ["exp", "aud"], "verify_aud": False}  # each caller has its own
    try:
        return issuer.opened(token, functools.partial(jwt.decode, issuer=issuer.url, leeway=LEEWAY, options=wanted))
    except jwt.PyJWTError:
        return None
    except (OSError, ValueError, KeyError, AttributeError):
        text = f"{issuer.url} cannot be asked for its keys, and so nobody knows whose token this is"
        raise Refused("issuer_unavailable", text) from None


def _is_of(said: Mapping[str, Any], caller: Caller) -> bool:
    audience, scope = said["aud"], said.get("scope")
    return (
        caller.audience in (audience if isinstance(audience, list) else [audience])
        and caller.scope in (scope.split() if isinstance(scope, str) else ())
        and (caller.client_id is None or caller.client_id in (said.get("client_id"), said.get("azp")))
    )
