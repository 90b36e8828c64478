"""Whom Rucio works for: the login that its client has, of whatever kind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rucio_cs3.credentials import jwt
from rucio_cs3.errors import NoLogin

if TYPE_CHECKING:
    from collections.abc import Callable


class Caller:
    """The tokens of a login change, the caller stays: whoever shares its connections gets the newest."""

    def __init__(self, key: str = "", fetch: Callable[[], tuple[str, str]] | None = None) -> None:
        self.key = key
        self._fetch = fetch
        self._jwt: str | None = None

    def __repr__(self) -> str:
        return f"<Caller {self.key.partition(' ')[0] or 'without Rucio'}>"

    def update(self, token: str | None) -> None:
        self._jwt = token if jwt.is_jwt(token) else None

    @property
    def account(self) -> str:
        """The Rucio account. Raises NoLogin where nobody is logged in to Rucio."""
        return self._login()[0]

    @property
    def identity(self) -> str:
        """What stays when the token changes. Raises NoLogin."""
        return self.key if self._jwt else f"account {self.account}"

    def rucio_token(self) -> str:
        """What Rucio's server takes."""
        return self._jwt or self._login()[1]

    def oidc_token(self) -> str:
        """The same, if somebody else than Rucio can check it too."""
        token = self._jwt
        if token is None and self._fetch:
            token = self._login()[1]
        if not jwt.is_jwt(token):
            raise NoLogin("the login to Rucio is not by OIDC" if token else "nobody is logged in to Rucio here")
        return str(token)

    def _login(self) -> tuple[str, str]:
        if self._fetch is None:
            raise NoLogin("nobody is logged in to Rucio here")
        return self._fetch()


NOBODY = Caller()
_known: dict[str, Caller] = {}
_lock = threading.Lock()


def caller(token: str | None, fetch: Callable[[], tuple[str, str]]) -> Caller:
    """The process's one object for who holds `token`; `fetch` finds account and token of a login of another kind."""
    known = jwt.claims(token) if jwt.is_jwt(token) else {}
    key = f"{known.get('sub', '')} of {known.get('iss', '')}" if known else "the login of this process"
    with _lock:
        found = _known.setdefault(key, Caller(key, fetch))
        found.update(token)
        return found
