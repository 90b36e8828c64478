"""Logins by `rucio-cs3 token login`: a refresh token for each provider and client, kept for the user."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rucio_cs3.credentials import jwt
from rucio_cs3.credentials.store import write_private
from rucio_cs3.errors import ConfigError, NoLogin, NotAuthenticated
from rucio_cs3.private import read_secret

if TYPE_CHECKING:
    from rucio_cs3.config import Config
    from rucio_cs3.credentials.oidc import Provider

AGAIN = "log in again: rucio-cs3 token login"


class Logins:
    """One file each, that only the user can read."""

    def __init__(self, folder: Path | None = None) -> None:
        base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
        self._folder = folder or base / "rucio-cs3" / "logins"

    def path(self, provider: Provider) -> Path:
        name = hashlib.sha256(provider.identity.encode()).hexdigest()[:32]
        return self._folder / f"{name}.json"

    def find(self, provider: Provider) -> str:
        """What is kept. Raises NoLogin."""
        path = self.path(provider)
        if not path.exists():
            raise NoLogin(f"nobody has logged in at {provider.issuer}", hint=AGAIN)
        return read_secret(str(path), "the login", strict=True)

    def keep(self, provider: Provider, tokens: dict[str, Any]) -> Path:
        path = self.path(provider)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = {name: tokens[name] for name in ("access_token", "refresh_token") if tokens.get(name)}
        write_private(path, {"issuer": provider.issuer, "client_id": provider.client_id, **known})
        return path

    def forget(self, provider: Provider) -> bool:
        """False when there was none."""
        with contextlib.suppress(FileNotFoundError):
            self.path(provider).unlink()
            return True
        return False

    def forget_all(self) -> int:
        """Returns how many there were."""
        found = list(self._folder.glob("*.json"))
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def access_token(self, provider: Provider) -> str:
        """The one that is kept while it lasts, then a refreshed one."""
        try:
            kept = dict(json.loads(self.find(provider)))
        except ValueError as error:
            raise ConfigError(f"cannot read the login in {self.path(provider)}", hint=AGAIN) from error
        known = kept.get("access_token")
        if isinstance(known, str) and (jwt.expiry(known) or 0) > time.time() + 60:
            return known
        if not kept.get("refresh_token"):
            raise NotAuthenticated(f"your login at {provider.issuer} is over, and it cannot be renewed", hint=AGAIN)
        try:
            token, following = provider.refresh(kept["refresh_token"])
        except NotAuthenticated as refused:
            refused.hint = AGAIN
            raise
        self.keep(provider, {"access_token": token, "refresh_token": following})
        return token

    @staticmethod
    def keep_refresh_token(config: Config, following: str) -> None:
        """Providers that rotate refresh tokens take each of them once."""
        if following == config.secret_value("refresh_token"):
            return
        try:
            _replace(Path(config.refresh_token_file or ""), following)
        except OSError as error:
            raise ConfigError(
                f"{config.issuer} gave a new refresh token, and the old one cannot be replaced: {error.strerror}",
                hint="give it as refresh_token_file, in a folder that can be written to",
            ) from error


def _replace(file: Path, text: str) -> None:
    path = file.expanduser()
    draft = path.with_name(f".{path.name}.new") if path.name else path
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "w", encoding="ascii") as sink:  # noqa: PTH123 - a file descriptor
        sink.write(text)
    draft.replace(path)
