"""The two tokens of a site: Reva's own, which says who calls, and the transfer token, which says what is moved."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from typing import TYPE_CHECKING, Any

import jwt

from rucio_cs3.gateway import scopes
from rucio_cs3.gateway.login import Identity

if TYPE_CHECKING:
    from pathlib import Path

    from rucio_cs3.gateway.users import User, Users

ALGORITHM = "HS256"
AUDIENCE = "reva"
TOKEN_SECONDS = 86_400
TRANSFER_SECONDS = 6_000


class Tokens:
    """Signs with the secret of this root, which outlives restarts, as Reva's does."""

    def __init__(self, secret: str, users: Users, *, lifetime: float = TOKEN_SECONDS) -> None:
        self._secret = secret
        self._users = users
        self._lifetime = lifetime

    def mint(self, who: Identity) -> str:
        claims = {"iss": who.user.idp, "user": who.user.claims(), "scope": scopes.to_claim(who.scopes)}
        return self._sign(claims, self._lifetime)

    def identity(self, token: str) -> Identity | None:
        """Whose token it is, and for what; None when it is bad, has expired or comes from another site."""
        claims = self._claims(token)
        user = self._users.by_name(claims["user"]["username"]) if claims and "user" in claims else None
        return Identity(user, scopes.from_claim(claims.get("scope"))) if claims and user else None

    def user(self, token: str) -> User | None:
        """Whose token it is, whatever it is for."""
        found = self.identity(token)
        return found.user if found else None

    def mint_transfer(self, target: str) -> str:
        return self._sign({"target": target}, TRANSFER_SECONDS)

    def transfer_target(self, token: str) -> str | None:
        """What a transfer token is for; None when it is bad or has expired."""
        claims = self._claims(token)
        return str(claims["target"]) if claims and "target" in claims else None

    def _sign(self, claims: dict[str, Any], lifetime: float) -> str:
        now = time.time()
        times = {"aud": [AUDIENCE], "exp": int(now + lifetime), "iat": int(now)}
        return jwt.encode({**claims, **times}, self._secret, algorithm=ALGORITHM)

    def _claims(self, token: str) -> dict[str, Any] | None:
        try:
            return jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                options={"verify_aud": False, "verify_iat": False},  # Reva writes both, and looks at neither
            )
        except jwt.InvalidTokenError:
            return None


def stored_secret(path: Path) -> str:
    """The secret kept in this file, made when there is none yet. Nobody else may read it."""
    if not path.exists():
        fd, draft = tempfile.mkstemp(dir=path.parent)  # 0600, and complete before it has its name
        with open(fd, "w", encoding="ascii") as file:  # noqa: PTH123 - a file descriptor
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):  # another gateway on this root was faster
            os.link(draft, path)
        os.unlink(draft)  # noqa: PTH108 - mkstemp gives a string
    return path.read_text(encoding="ascii")
