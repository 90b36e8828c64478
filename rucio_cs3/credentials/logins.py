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
from rucio_cs3.credentials.store import Lock, at_home, write_private, write_private_text
from rucio_cs3.errors import ConfigError, NoLogin, NotAuthenticated
from rucio_cs3.private import read_secret, there

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.oidc import Provider

AGAIN = "log in again: rucio-cs3 token login"


MARGIN = 60.0  # seconds that a token should last, to be worth using


class Logins:
    """One file each, that only the user can read."""

    def __init__(self, folder: Path | None = None) -> None:
        base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
        self._folder = folder or at_home(base / "rucio-cs3" / "logins")

    def path(self, provider: Provider) -> Path:
        """Raises NoLogin for a user without a home."""
        if self._folder is None:
            raise NoLogin("there is no home to keep a login in", hint="set HOME or XDG_DATA_HOME")
        name = hashlib.sha256(provider.identity.encode()).hexdigest()[:32]
        return self._folder / f"{name}.json"

    def find(self, provider: Provider) -> str:
        """What is kept. Raises NoLogin."""
        path = self.path(provider)
        if not there(path):
            raise NoLogin(f"nobody has logged in at {provider.issuer}", hint=AGAIN)
        return read_secret(str(path), "the login", strict=True)

    def keep(self, provider: Provider, tokens: dict[str, Any]) -> Path:
        path = self.path(provider)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot keep the login in {path}: {error.strerror}") from error
        with _in_turn(path):
            self._write(path, provider, tokens)
        return path

    @staticmethod
    def _write(path: Path, provider: Provider, tokens: dict[str, Any]) -> None:
        """An access token only where there is nothing to renew it with: a site may refuse it long before its end."""
        name = "refresh_token" if tokens.get("refresh_token") else "access_token"
        try:
            write_private(path, {"issuer": provider.issuer, "client_id": provider.client_id, name: tokens[name]})
        except OSError as error:
            raise ConfigError(f"cannot keep the login in {path}: {error.strerror}") from error

    def forget(self, provider: Provider) -> bool:
        """False when there was none."""
        return _unlink(self.path(provider))

    def forget_all(self) -> int:
        """Returns how many there were."""
        found = list(self._folder.glob("*.json")) if self._folder else []
        return sum(map(_unlink, found))

    def access_token(self, provider: Provider) -> str:
        """The one that is kept while it lasts, then a refreshed one."""
        with _in_turn(self.path(provider)):
            try:
                kept = dict(json.loads(self.find(provider)))
            except (ValueError, TypeError) as error:
                if isinstance(error, ConfigError):
                    raise
                raise ConfigError(f"cannot read the login in {self.path(provider)}", hint=AGAIN) from error
            known = kept.get("access_token")
            if isinstance(known, str) and (jwt.expiry(known) or 0) > time.time() + MARGIN:
                return known
            if not kept.get("refresh_token"):
                raise NotAuthenticated(f"your login at {provider.issuer} is over, and it cannot be renewed", hint=AGAIN)
            try:
                token, following = provider.refresh(str(kept["refresh_token"]))
            except NotAuthenticated as refused:
                refused.hint = AGAIN
                raise
            self._write(self.path(provider), provider, {"refresh_token": following})
            return token

    @staticmethod
    def refresh(provider: Provider, config: Config) -> str:
        """An access token for the refresh token in the settings."""
        with _in_turn(_file_of(config)):
            known = config.secret_value("refresh_token") or ""
            token, following = provider.refresh(known)
            if following != known:
                _keep_refresh_token(config, following)
            return token


def _unlink(path: Path) -> bool:
    """Not while somebody renews it, who would put it back."""
    if not path.parent.is_dir():
        return False
    with _in_turn(path), contextlib.suppress(FileNotFoundError):
        path.unlink()
        return True
    return False


def _file_of(config: Config) -> Path | None:
    """The real one, where the setting names a link to it."""
    given = None if config.refresh_token is not None else config.refresh_token_file
    return Path(given).expanduser().resolve() if given else None


def _in_turn(file: Path | None) -> contextlib.AbstractContextManager[Any]:
    """A refresh token may be good for one use: who comes second must see what the first has left."""
    return _locked(file.with_name(f".{file.name}.lock")) if file else contextlib.nullcontext()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with Lock(path) as lock:
        lock.wait()
        yield


def _keep_refresh_token(config: Config, following: str) -> None:
    file = _file_of(config)
    if file is None:
        reason = "refresh_token is given outright"
    else:
        try:
            write_private_text(file, following)
        except OSError as error:
            reason = str(error.strerror)
        else:
            return
    raise ConfigError(
        f"OIDC provider {config.issuer} gave a new refresh token, and the old one cannot be replaced: {reason}",
        hint="give it as refresh_token_file, in a folder that can be written to",
    )
