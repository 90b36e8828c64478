"""An OpenID Connect issuer, asked whether a token is one of its own, and whose it is.

The checks are those of Reva: no audience, no time of issue, clocks may differ by minutes for `nbf` and not for `exp`.
"""

from __future__ import annotations

import functools
import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jwt import PyJWK

    from rucio_cs3.gateway.users import User, Users

SIGNATURES = {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA"}
DEFAULT_SIGNATURE = "RS256"
NOT_BEFORE_LEEWAY = 300
SECONDS = 10


class Issuer:
    """Its discovery document is asked for when the first token comes, and its keys when they are needed."""

    refusal = "UNAUTHENTICATED"  # the CS3 code for any token that is not good

    def __init__(self, url: str) -> None:
        self._url = url
        self._known_keys: list[PyJWK] = []

    def user(self, token: str, users: Users) -> User | None:
        subject = self._subject(token)
        return users.by_name(subject) if subject else None

    def _subject(self, token: str) -> str | None:
        """The `sub` of a valid token; None for an expired, foreign or forged one, or when the issuer is down."""
        import jwt  # noqa: PLC0415 - with its cryptography, only for gateways that have an issuer

        try:
            if jwt.decode(token, options={"verify_signature": False}).get("iss") != self._url:
                return None  # and the issuer is not bothered
            claims = json.loads(self._payload(token))
        except (jwt.PyJWTError, OSError, ValueError, KeyError, AttributeError):
            return None
        return claims["sub"] if _is_good(claims) else None

    def _payload(self, token: str) -> bytes:
        """What was signed. Raises PyJWTError when none of the issuer's keys did."""
        import jwt  # noqa: PLC0415

        wanted = jwt.get_unverified_header(token).get("kid")
        for key in self._keys():
            if not wanted or key.key_id == wanted:
                try:
                    return bytes(jwt.PyJWS().decode(token, key.key, algorithms=self._signatures))
                except (jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError):
                    continue  # a key of another kind may even be a TypeError
        raise jwt.InvalidSignatureError

    def _keys(self) -> Iterator[PyJWK]:
        """Those that are known, and when they do not help, those that the issuer has now."""
        import jwt  # noqa: PLC0415

        yield from self._known_keys
        self._known_keys = list(jwt.PyJWKSet.from_dict(_fetched(str(self._discovered["jwks_uri"]))).keys)
        yield from self._known_keys

    @property
    def _signatures(self) -> list[str]:
        """The algorithms that the issuer announces; what it does not announce it does not use."""
        announced = self._discovered.get("id_token_signing_alg_values_supported") or ()
        return [name for name in announced if name in SIGNATURES] or [DEFAULT_SIGNATURE]

    @functools.cached_property
    def _discovered(self) -> Any:
        address = f"{self._url.rstrip('/')}/.well-known/openid-configuration"
        found = _fetched(address)
        if found.get("issuer") != self._url:
            raise ValueError(f"{address} describes another issuer")
        return found


class AskedIssuer(Issuer):
    """For the second line: the issuer is asked with the token whose it is, and nothing is checked here."""

    refusal = "INTERNAL"

    def user(self, token: str, users: Users) -> User | None:
        subject = self._subject(token)
        return users.by_id(subject) if subject else None

    def _subject(self, token: str) -> str | None:
        try:
            address = str(self._discovered["userinfo_endpoint"])
            claims = _fetched(address, {"Authorization": f"Bearer {token}"})
        except (OSError, ValueError, KeyError):
            return None
        return claims["sub"] if all(claims.get(name) for name in ("sub", "name", "email")) else None


def _fetched(address: str, headers: Mapping[str, str] | None = None) -> Any:
    request = urllib.request.Request(address, headers=headers or {})  # noqa: S310 - the operator's own choice
    with urllib.request.urlopen(request, timeout=SECONDS) as reply:  # noqa: S310
        return json.load(reply)


def _is_good(claims: Any) -> bool:
    audience, times = claims.get("aud", ""), [claims.get("exp"), claims.get("nbf", 0)]
    if not isinstance(claims.get("sub"), str) or not all(type(at) in (int, float) for at in times):
        return False
    if not all(isinstance(one, str) for one in (audience if isinstance(audience, list) else [audience])):
        return False
    now = time.time()
    return bool(times[0] >= now and times[1] <= now + NOT_BEFORE_LEEWAY)
