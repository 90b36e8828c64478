"""Whom Rucio works for: the login that its client has, of whatever kind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rucio_cs3.credentials import jwt
from rucio_cs3.errors import NoLogin

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class RucioLogin:
    """What the Rucio client knows, and how it finds out whether its token still counts."""

    account: str
    token: str = field(repr=False)
    server: str = ""
    """whose account it is"""
    renew: Callable[[], str] | None = field(default=None, repr=False)
    """the same token, or a new one if Rucio does not take it any more"""


class Caller:
    """The tokens of a login change, the caller stays: whoever shares its connections gets the newest."""

    def __init__(self, key: str = "", fetch: Callable[[], RucioLogin] | None = None) -> None:
        self.key = key
        self._fetch = fetch
        self._jwt: str | None = None

    def __repr__(self) -> str:
        return f"<Caller {self.key or 'without Rucio'}>"

    def update(self, token: str | None) -> None:
        self._jwt = token if jwt.is_jwt(token) else None

    @property
    def shown(self) -> str | None:
        """The newest token that it was made with. Whether it is good has to be seen: its claims are anybody's word."""
        return self._jwt

    @property
    def account(self) -> str:
        """The Rucio account. Raises NoLogin where nobody is logged in to Rucio, or somebody else."""
        login = self._login()
        if self._jwt and _person(self._jwt) != _person(login.token):
            raise NoLogin("the Rucio account of this OIDC login is not known here", hint="set username")
        return login.account

    @property
    def identity(self) -> str:
        """Secret for who shows a token that anybody could write, else what stays when it changes. Raises NoLogin."""
        if self._jwt:
            return self._jwt
        login = self._login()
        return f"{login.account} at {login.server}"

    def rucio_token(self) -> str:
        """What Rucio's server takes."""
        if self._jwt:
            return self._jwt
        login = self._login()
        return login.renew() if login.renew else login.token

    def oidc_token(self) -> str:
        """The same, if somebody else than Rucio can check it too."""
        token = self._jwt
        if token is None and self._fetch:
            token = self._login().token
        if not jwt.is_jwt(token):
            raise NoLogin("the login to Rucio is not by OIDC" if token else "nobody is logged in to Rucio here")
        return str(token)

    def _login(self) -> RucioLogin:
        if self._fetch is None:
            raise NoLogin("nobody is logged in to Rucio here")
        return self._fetch()


def _person(token: str) -> tuple[object, object]:
    known = jwt.claims(token)
    return known.get("sub"), known.get("iss")


NOBODY = Caller()
_known: dict[str, Caller] = {}


def caller(token: str | None, fetch: Callable[[], RucioLogin]) -> Caller:
    """The process's one object for who holds `token`; `fetch` finds account and token of a login of another kind."""
    known = jwt.claims(token) if jwt.is_jwt(token) else {}
    key = json.dumps([known.get("sub"), known.get("iss")]) if known else "the login of this process"
    found = _known.setdefault(key, Caller(key, fetch))  # in one step: a lock might be held while the process forks
    found.update(token)
    return found
