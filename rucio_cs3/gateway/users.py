"""Who may log in."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs3.identity.user.v1beta1 import resources_pb2 as identity

if TYPE_CHECKING:
    from collections.abc import Iterable


class BadUsers(ValueError):
    """The list of users cannot be used; the message is one line."""


@dataclass(frozen=True)
class User:
    username: str
    password: str
    id: str
    idp: str = "http://localhost"
    mail: str = ""
    display_name: str = ""

    def __repr__(self) -> str:
        return f"<User {self.username}>"

    def claims(self) -> dict[str, Any]:
        """What Reva writes of a user into its tokens."""
        return {
            "id": {"idp": self.idp, "opaque_id": self.id, "type": 1},
            "username": self.username,
            "mail": self.mail,
            "display_name": self.display_name,
        }

    @property
    def user_id(self) -> Any:
        return identity.UserId(idp=self.idp, opaque_id=self.id, type=identity.USER_TYPE_PRIMARY)

    def message(self) -> Any:
        return identity.User(id=self.user_id, username=self.username, mail=self.mail, display_name=self.display_name)


def _demo(username: str, password: str, opaque: str, display_name: str) -> User:
    return User(username, password, opaque, mail=f"{username}@example.org", display_name=display_name)


# Reva's own examples: known to everybody, so never served beyond this machine.
DEMO_USERS = (
    _demo("einstein", "relativity", "4c510ada-c86b-4815-8820-42cdf82c3d51", "Albert Einstein"),
    _demo("marie", "radioactivity", "f7fbf8c8-139b-4376-b307-cf0a8c2d0d9c", "Marie Curie"),
    _demo("richard", "superfluidity", "932b4540-8d16-481e-8ef4-588e4b6b151c", "Richard Feynman"),
)


class Users:
    def __init__(self, users: Iterable[User]) -> None:
        self._by_name = {user.username: user for user in users}

    def by_name(self, username: str) -> User | None:
        return self._by_name.get(username)

    def by_id(self, user_id: str) -> User | None:
        return next((user for user in self._by_name.values() if user.id == user_id), None)

    def by_mail(self, mail: str) -> User | None:
        return next((user for user in self._by_name.values() if user.mail == mail), None)

    def with_password(self, username: str, password: str) -> User | None:
        """The user, if that is the password; unknown users take as long to refuse as wrong passwords."""
        user = self._by_name.get(username)
        expected = user.password if user else secrets.token_hex()
        return user if hmac.compare_digest(expected.encode(), password.encode()) else None


def load_users(path: Path) -> tuple[User, ...]:
    """Read a JSON list of objects with username and password, and optionally id, idp, mail, display_name.

    Raises:
        BadUsers: the file cannot be read or says something else.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadUsers(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadUsers(f"{path}: not JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise BadUsers(f"{path}: a list of users is wanted")
    return tuple(_parse(entry, f"{path}: user {number}") for number, entry in enumerate(entries, 1))


def _parse(entry: object, where: str) -> User:
    if not isinstance(entry, dict):
        raise BadUsers(f"{where}: an object with username and password is wanted")
    unknown = set(entry) - {field.name for field in fields(User)}
    if unknown:
        raise BadUsers(f"{where}: unknown key {min(unknown)!r}")
    if not all(isinstance(value, str) for value in entry.values()):
        raise BadUsers(f"{where}: every value must be a string")
    for key in ("username", "password"):
        if not entry.get(key):
            raise BadUsers(f"{where}: no {key}")
    username = entry["username"]
    if "/" in username or username.startswith("."):  # it names the folder of the user's home
        raise BadUsers(f"{where}: {username!r} cannot be a user name")
    return User(**{"id": username, **entry})
