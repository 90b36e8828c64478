"""An OpenID Connect issuer, asked whether a token is one of its own, and whose it is.

The checks are those of Reva: no audience, no time of issue, clocks may differ by minutes for `nbf` and not for `exp`.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from rucio_cs3.service import issuer

if TYPE_CHECKING:
    from rucio_cs3.gateway.users import User, Users

NOT_BEFORE_LEEWAY = 300


class Issuer:
    """Its discovery document is asked for when the first token comes, and its keys when they are needed."""

    refusal = "UNAUTHENTICATED"  # the CS3 code for any token that is not good

    def __init__(self, url: str) -> None:
        self._issuer = issuer.Issuer(url)

    def user(self, token: str, users: Users) -> User | None:
        subject = self._subject(token)
        return users.by_name(subject) if subject else None

    def _subject(self, token: str) -> str | None:
        """The `sub` of a valid token; None for an expired, foreign or forged one, or when the issuer is down."""
        import jwt  # noqa: PLC0415 - with its cryptography, only for gateways that have an issuer

        try:
            if jwt.decode(token, options={"verify_signature": False}).get("iss") != self._issuer.url:
                return None  # and the issuer is not bothered
            claims = json.loads(self._issuer.opened(token, jwt.PyJWS().decode))
        except (jwt.PyJWTError, OSError, ValueError, KeyError, AttributeError):
            return None
        return claims["sub"] if _is_good(claims) else None


class AskedIssuer(Issuer):
    """For the second line: the issuer is asked with the token whose it is, and nothing is checked here."""

    refusal = "INTERNAL"

    def user(self, token: str, users: Users) -> User | None:
        subject = self._subject(token)
        return users.by_id(subject) if subject else None

    def _subject(self, token: str) -> str | None:
        try:
            address = str(self._issuer.discovered["userinfo_endpoint"])
            claims = issuer.fetched(address, {"Authorization": f"Bearer {token}"})
        except (OSError, ValueError, KeyError):
            return None
        return claims["sub"] if all(claims.get(name) for name in ("sub", "name", "email")) else None


def _is_good(claims: Any) -> bool:
    audience, times = claims.get("aud", ""), [claims.get("exp"), claims.get("nbf", 0)]
    if not isinstance(claims.get("sub"), str) or not all(type(at) in (int, float) for at in times):
        return False
    if not all(isinstance(one, str) for one in (audience if isinstance(audience, list) else [audience])):
        return False
    now = time.time()
    return bool(times[0] >= now and times[1] <= now + NOT_BEFORE_LEEWAY)
