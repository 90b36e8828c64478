"""Refresh tokens, each of which may be good for one use: of `rucio-cs3 token login`, and of the settings."""

from __future__ import annotations

import contextlib
import errno
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
FOLLOWING = ".refresh"  # not .json: it is part of the settings, and logging out leaves it
MARGIN = 60.0  # seconds that a token should last, to be worth using


class Logins:
    """One file each, that only the user can read."""

    def __init__(self, folder: Path | None = None) -> None:
        base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
        self._folder = folder or at_home(base / "rucio-cs3" / "logins")

    def path(self, provider: Provider) -> Path:
        """Raises NoLogin for a user without a home."""
        return self._named(provider.identity, ".json")

    def _named(self, secret: str, suffix: str) -> Path:
        if self._folder is None:
            raise NoLogin("there is no home to keep a login in", hint="set HOME or XDG_DATA_HOME")
        return self._folder / f"{hashlib.sha256(secret.encode()).hexdigest()[:32]}{suffix}"

    def find(self, provider: Provider) -> str:
        """What is kept. Raises NoLogin."""
        path = self.path(provider)
        if not there(path):
            raise NoLogin(f"nobody has logged in at {provider.issuer}", hint=AGAIN)
        return read_secret(str(path), "the login", strict=True)

    def keep(self, provider: Provider, tokens: dict[str, Any]) -> Path:
        path = self.path(provider)
        _make_folder(path)
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
            kept = _understood(self.find(provider), self.path(provider), AGAIN)
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

    def refresh(self, provider: Provider, config: Config) -> str:
        """An access token for the refresh token in the settings, or for the one that has followed it."""
        if config.refresh_token is not None:
            return self._refresh_given(provider, config.refresh_token)
        file = Path(config.refresh_token_file or "").expanduser().resolve()  # the real one, where it is a link
        with _in_turn(file):
            known = config.secret_value("refresh_token") or ""
            token, following = provider.refresh(known)
            if following != known:
                with _told(provider):
                    write_private_text(file, following)
            return token

    def _refresh_given(self, provider: Provider, given: str) -> str:
        """What follows is kept under the name of what was given: something newly given is shown itself."""
        path = None
        with contextlib.suppress(ConfigError):  # without a place for it, we still need none unless one follows
            path = self._named(f"{provider.issuer}\0{provider.client_id}\0{given}", FOLLOWING)
            _make_folder(path)
        with _in_turn(path):
            known = _followed(path) or given
            token, following = provider.refresh(known)
            if following != known:
                with _told(provider):
                    if path is None:
                        raise OSError(errno.ENOENT, "there is no home")
                    write_private(path, {"refresh_token": following})
            return token


def _followed(path: Path | None) -> str | None:
    if path is None or not there(path):
        return None
    what = "the refresh token that followed the one given"
    found = _understood(read_secret(str(path), what, strict=True), path, "remove it").get("refresh_token")
    return str(found) if found else None


def _understood(text: str, path: Path, remedy: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"cannot read the login in {path}", hint=remedy) from error


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot keep the login in {path}: {error.strerror}") from error


def _unlink(path: Path) -> bool:
    """Not while somebody renews it, who would put it back."""
    if not path.parent.is_dir():
        return False
    with _in_turn(path), contextlib.suppress(FileNotFoundError):
        path.unlink()
        return True
    return False


def _in_turn(file: Path | None) -> contextlib.AbstractContextManager[Any]:
    """A refresh token may be good for one use: who comes second must see what the first has left."""
    return _locked(file.with_name(f".{file.name}.lock")) if file else contextlib.nullcontext()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with Lock(path) as lock:
        lock.wait()
        yield


@contextlib.contextmanager
def _told(provider: Provider) -> Iterator[None]:
    """What cannot be kept is lost, and the one before it is used up."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"OIDC provider {provider.issuer} gave a new refresh token, and the old one cannot be replaced:"
            f" {error.strerror}",
            hint="give it as refresh_token_file, in a folder that can be written to",
        ) from error
