"""An OpenID Connect issuer, as those need it who are shown its tokens: its discovery document, and its keys."""

from __future__ import annotations

import functools
import json
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jwt import PyJWK

T = TypeVar("T")
SIGNATURES = {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA"}
DEFAULT_SIGNATURE = "RS256"
SECONDS = 10


class Issuer:
    """It is asked when the first token comes, and again when none of the keys that are known fits.

    `may_ask` says whether it may be asked now: anybody can show a token that is signed with no key of the issuer's.
    """

    def __init__(self, url: str, may_ask: Callable[[], bool] = lambda: True) -> None:
        self.url = url
        self._may_ask = may_ask
        self._known_keys: list[PyJWK] = []
        self._lock = threading.Lock()

    def opened(self, token: str, decode: Callable[..., T]) -> T:
        """What `decode`, one of PyJWT's, makes of it with the key that it was signed with.

        Raises PyJWTError when the issuer did not sign it, and OSError, ValueError or KeyError when it cannot be asked.
        """
        import jwt  # noqa: PLC0415 - with its cryptography, only for services that have an issuer

        wanted = jwt.get_unverified_header(token).get("kid")
        for key in self._keys():
            if not wanted or key.key_id == wanted:
                try:
                    return decode(token, key.key, algorithms=self._signatures)
                except (jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError):
                    continue  # a key of another kind may even be a TypeError
        raise jwt.InvalidSignatureError

    def _keys(self) -> Iterator[PyJWK]:
        """Those that are known, and when they do not help, those that the issuer has now."""
        import jwt  # noqa: PLC0415

        known = self._known_keys
        yield from known
        with self._lock:  # whoever waited here finds what the one before has fetched
            if self._known_keys is known and self._may_ask():
                self._known_keys = list(jwt.PyJWKSet.from_dict(fetched(str(self.discovered["jwks_uri"]))).keys)
        if self._known_keys is not known:
            yield from self._known_keys

    @property
    def _signatures(self) -> list[str]:
        """The algorithms that the issuer announces; what it does not announce it does not use."""
        announced = self.discovered.get("id_token_signing_alg_values_supported") or ()
        return [name for name in announced if name in SIGNATURES] or [DEFAULT_SIGNATURE]

    @functools.cached_property
    def discovered(self) -> Any:
        address = f"{self.url.rstrip('/')}/.well-known/openid-configuration"
        found = fetched(address)
        if found.get("issuer") != self.url:
            raise ValueError(f"{address} describes another issuer")
        return found


class _Straight(urllib.request.HTTPRedirectHandler):
    """Where a redirect leads to, the token in the headers would go, too."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_Straight)


def fetched(address: str, headers: Mapping[str, str] | None = None) -> Any:
    """Raises OSError, and ValueError for what is no JSON."""
    request = urllib.request.Request(address, headers=headers or {})  # noqa: S310 - the operator's own choice
    try:
        with _opener.open(request, timeout=SECONDS) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as refusal:
        refusal.close()  # it is the answer as well, and keeps the connection open for as long as somebody keeps it
        raise
