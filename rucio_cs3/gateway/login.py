"""Authenticate: who is it? With the statuses, and the silence on reasons, of Reva."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NamedTuple

from rucio_cs3.gateway.scopes import OWNER
from rucio_cs3.gateway.status import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.gateway.apps import AppPasswords
    from rucio_cs3.gateway.behaviours import Behaviour
    from rucio_cs3.gateway.oidc import Issuer
    from rucio_cs3.gateway.scopes import Scopes
    from rucio_cs3.gateway.users import User, Users


class Identity(NamedTuple):
    """Who it is, and what may be done in that name."""

    user: User
    scopes: Scopes = OWNER


class Login:
    def __init__(
        self,
        users: Users,
        machine_secret: str | None,
        issuer: Issuer | None,
        app_passwords: AppPasswords,
        behaviour: Behaviour,
    ) -> None:
        self._users = users
        self._machine_secret = machine_secret
        self._issuer = issuer
        self._claims = {
            "": users.by_name,
            "mail": users.by_mail,
            **({"userid": users.by_id} if behaviour.finds_user_ids else {}),
        }
        self.app_passwords = app_passwords
        self._types: dict[str, Callable[[str, str], Identity]] = {"basic": self._basic}
        if behaviour.has_app_passwords:
            self._types["appauth"] = self._appauth
        if machine_secret:
            self._types["machine"] = self._machine
        if issuer:
            self._types["bearer"] = self._bearer

    def identity(self, kind: str, client_id: str, secret: str) -> Identity:
        """Raises Refused as Reva does, which never says what was wrong."""
        if kind not in self._types:
            raise Refused("INTERNAL", "error getting auth provider client")
        return self._types[kind](client_id, secret)

    def _basic(self, username: str, password: str) -> Identity:
        user = self._users.with_password(username, password)
        if not user:
            raise Refused("PERMISSION_DENIED", "wrong password")
        return Identity(user)

    def _machine(self, client_id: str, secret: str) -> Identity:
        if not hmac.compare_digest(secret.encode(), (self._machine_secret or "").encode()):
            raise Refused("PERMISSION_DENIED", "wrong password")
        claim, _, value = client_id.rpartition(":")
        user = self._claims[claim](value) if claim in self._claims else None
        return Identity(user or _unknown(claim or "username", value))

    def _bearer(self, _: str, token: str) -> Identity:
        assert self._issuer
        user = self._issuer.user(token, self._users)
        if not user:
            raise Refused(self._issuer.refusal, "error authenticating user")
        return Identity(user)

    def _appauth(self, username: str, password: str) -> Identity:
        """The scopes are the password's own: without any, the token is good for nothing."""
        user = self._users.by_name(username) or _unknown("username", username)
        found = self.app_passwords.find(user.user_id, password)
        if not found:
            raise Refused("UNAUTHENTICATED", "error authenticating user")
        return Identity(user, found.token_scope)


def _unknown(claim: str, value: str) -> User:
    raise Refused("NOT_FOUND", f"unknown client id: error: not found: user not found {claim} {value}")
