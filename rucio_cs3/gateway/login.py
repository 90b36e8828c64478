"""Authenticate: who is it? With the statuses, and the silence on reasons, of Reva."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from rucio_cs3.gateway.status import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.gateway.oidc import Issuer
    from rucio_cs3.gateway.users import User, Users


class Login:
    def __init__(self, users: Users, machine_secret: str | None, issuer: Issuer | None) -> None:
        self._users = users
        self._machine_secret = machine_secret
        self._issuer = issuer
        self._types: dict[str, Callable[[str, str], User]] = {"basic": self._basic}
        if machine_secret:
            self._types["machine"] = self._machine
        if issuer:
            self._types["bearer"] = self._bearer

    def user(self, kind: str, client_id: str, secret: str) -> User:
        """Raises Refused as Reva does, which never says what was wrong."""
        if kind not in self._types:
            raise Refused("INTERNAL", "error getting auth provider client")
        return self._types[kind](client_id, secret)

    def _basic(self, username: str, password: str) -> User:
        user = self._users.with_password(username, password)
        if not user:
            raise Refused("PERMISSION_DENIED", "wrong password")
        return user

    def _machine(self, client_id: str, secret: str) -> User:
        if not hmac.compare_digest(secret.encode(), (self._machine_secret or "").encode()):
            raise Refused("PERMISSION_DENIED", "wrong password")
        claim, _, value = client_id.rpartition(":")
        known = {"": self._users.by_name, "mail": self._users.by_mail}
        user = known[claim](value) if claim in known else None
        if not user:
            raise Refused("NOT_FOUND", f"unknown client id: user not found {claim or 'username'} {value}")
        return user

    def _bearer(self, _: str, token: str) -> User:
        subject = self._issuer.subject(token) if self._issuer else None
        user = self._users.by_name(subject) if subject else None
        if not user:
            raise Refused("UNAUTHENTICATED", "error authenticating user")
        return user
