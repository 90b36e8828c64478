"""An OpenID Connect issuer, asked whether a token is one of its own, and whose it is."""

from __future__ import annotations

import functools
import json
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jwt import PyJWKClient

ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
SECONDS = 10


class Issuer:
    """Its discovery document is asked for when the first token comes, and its keys when they are needed."""

    def __init__(self, url: str) -> None:
        self._url = url

    def subject(self, token: str) -> str | None:
        """The `sub` of a valid token; None for an expired, foreign or forged one, or when the issuer is down."""
        import jwt  # noqa: PLC0415 - with its cryptography, only for gateways that have an issuer

        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS,
                issuer=self._url,
                options={"require": ["exp", "iss", "sub"], "verify_aud": False},  # Reva skips the audience too
            )
        except (jwt.PyJWTError, OSError, ValueError):
            return None
        return str(claims["sub"])

    @functools.cached_property
    def _keys(self) -> PyJWKClient:
        from jwt import PyJWKClient  # noqa: PLC0415

        return PyJWKClient(str(self._discovered()["jwks_uri"]), timeout=SECONDS)

    def _discovered(self) -> Any:
        address = f"{self._url.rstrip('/')}/.well-known/openid-configuration"
        with urllib.request.urlopen(address, timeout=SECONDS) as reply:  # noqa: S310 - the operator's own choice
            found = json.load(reply)
        if found.get("issuer") != self._url:
            raise ValueError(f"{address} describes another issuer")
        return found
