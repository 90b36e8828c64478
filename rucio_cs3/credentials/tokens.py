"""The Reva token in force: obtained once, shared by all threads, renewed before it expires or when it is refused."""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
import time
from typing import TYPE_CHECKING

from rucio_cs3.credentials.sources import Login, RevaToken
from rucio_cs3.errors import ConfigError
from rucio_cs3.flight import Flight

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.credentials.sources import Source

RENEWAL_MARGIN = 60.0  # seconds before exp, at most a tenth of the token's life: clocks differ, and a call takes time


TOKEN = re.compile(r"[!-~]+")


class Tokens:
    """One caller at a time logs in; the others wait and take its token, or its failure."""

    def __init__(self, source: Source, authenticate: Callable[[Login], str]) -> None:
        self._source = source
        self._authenticate = authenticate
        self._lock = threading.Lock()
        self._login: Flight[str] = Flight()
        self._token: str | None = None
        self._latest: str | None = None
        self._renew_at = 0.0
        self.logins = 0

    def __repr__(self) -> str:
        return f"<Tokens by {self._source.description}>"

    def get(self) -> str:
        """Raises ConfigError, NotAuthenticated, and whatever stops the login."""
        return self._in_force() or self._login.share(self._renew)

    def _in_force(self) -> str | None:
        with self._lock:
            return self._token if time.time() < self._renew_at else None

    def _renew(self) -> str:
        token = self._in_force()  # somebody may have been faster
        if token is None:
            token = self._obtain()
            with self._lock:
                self._token, self._renew_at = token, _renewal_time(token)
        return token

    @property
    def held(self) -> str | None:
        """The token in force, without a login."""
        return self._token

    def forget(self, refused: str | None) -> None:
        """Obtain a new one at the next call, unless somebody has done so already."""
        with self._lock:
            if self._token == refused:
                self._token = None

    def renewed(self, refused: str) -> str | None:
        """Another token than the `refused` one, or None when the source has no other."""
        logins = self.logins
        self.forget(refused)
        token = self.get()
        return None if token == refused and self.logins == logins else token

    def _obtain(self) -> str:
        credential = self._source.obtain()
        if isinstance(credential, RevaToken) and not TOKEN.fullmatch(credential.value):
            raise ConfigError(
                f"what is given as {self._source.description} is no token: it is empty or not all printable ASCII"
            )
        if isinstance(credential, Login):
            self.logins += 1
            return self._authenticate(credential)
        self.logins += credential.value != self._latest
        self._latest = credential.value
        return credential.value


def _renewal_time(token: str) -> float:
    """Never, for a token that does not tell, or that is new and looks old: then only a refusal says that it is over."""
    life = (claim(token, "exp") or 0) - time.time()
    return time.time() + life - min(RENEWAL_MARGIN, life / 10) if life > 0 else float("inf")


def claim(token: str, name: str) -> float | None:
    """A numeric claim of a JWT, unverified: only its issuer can verify it, we only want to know when to ask again."""
    try:
        _, encoded, _ = token.split(".")
        payload = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        return float(payload[name])
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
