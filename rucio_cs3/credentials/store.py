"""Tokens kept between runs: a folder that only we can read, and one process at a time that renews."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rucio_cs3 import deadline
from rucio_cs3.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.config import Config

log = logging.getLogger(__name__)
PATIENCE = 120.0  # seconds to wait for another process that renews, before we do so as well
POLL = 0.02


@dataclass(frozen=True)
class Kept:
    """A token, and what may be said of it."""

    token: str = field(repr=False)
    expires: float | None
    gateway: str
    method: str
    description: str


def folder_of(config: Config) -> Path | None:
    return folder(config.cache)


def folder(cache: str | None) -> Path | None:
    """What the setting means."""
    if cache == "off":
        return None
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache or Path(base, "rucio-cs3", "tokens")).expanduser()


class Store:
    """`folder` None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def slot(self, *identity: str) -> Iterator[Slot]:
        """The place of one login, ours alone for the time of the block. `identity` may be secret: it is not kept."""
        folder = self._usable()
        if folder is None:
            yield Slot(None)
            return
        salt = _salt(folder)
        name = hmac.new(salt, "\0".join(identity).encode(), hashlib.sha256).hexdigest()
        with _locked(folder / f"lock-{name[:2]}"):
            yield Slot(folder / f"{name}.json")

    def all(self) -> Iterator[tuple[Path, Kept]]:
        folder = self._usable()
        for path in sorted(folder.glob("*.json")) if folder else []:
            kept = Slot(path).read()
            if kept:
                yield path, kept

    def forget(self, gateway: str | None = None) -> int:
        """Remove the tokens for a gateway, or all; returns how many there were."""
        gone = 0
        for path, kept in self.all():
            if gateway in {None, kept.gateway}:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def _usable(self) -> Path | None:
        if self._folder is None:
            return None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_public(self._folder, os.lstat(self._folder), "700")
        except OSError as error:  # a daemon may have no home
            log.debug("tokens are not kept: %s: %s", self._folder, error.strerror)
            return None
        return self._folder


class Slot:
    """The file of one login; none when nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> Kept | None:
        """None for what is missing, has expired or makes no sense. Raises ConfigError when others can read it."""
        if self._path is None:
            return None
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        with open(fd, encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor
            _refuse_public(self._path, os.fstat(fd), "600")
            try:
                kept = Kept(**json.load(file))
            except (ValueError, TypeError):
                return None
        return None if kept.expires is not None and kept.expires <= time.time() else kept

    def write(self, kept: Kept) -> None:
        """A disk that is full costs a login at the next run, no more."""
        if self._path is None:
            return
        try:
            write_private(self._path, asdict(kept))
            _sweep(self._path.parent)
        except OSError as error:
            log.debug("the token is not kept: %s", error.strerror)

    def clear(self) -> None:
        if self._path:
            self._path.unlink(missing_ok=True)


def write_private(path: Path, value: Any) -> None:
    """All of it or nothing, and never readable by others."""
    fd, draft = tempfile.mkstemp(dir=path.parent, prefix=".")  # 0600
    try:
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor
            json.dump(value, file)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _refuse_public(path: Path, status: os.stat_result, mode: str) -> None:
    if status.st_uid != os.getuid():
        raise ConfigError(f"{path}, where tokens are kept, belongs to another user", hint="set cache to another folder")
    if status.st_mode & 0o077 or stat.S_ISLNK(status.st_mode):
        raise ConfigError(f"others can read {path}, where tokens are kept", hint=f"chmod {mode} {path}, or remove it")


def _salt(folder: Path) -> bytes:
    path = folder / "salt"
    if not path.exists():
        fd, draft = tempfile.mkstemp(dir=folder, prefix=".")
        with open(fd, "wb") as file:  # noqa: PTH123 - a file descriptor
            file.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(draft, path)
        Path(draft).unlink()
    return path.read_bytes()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    end = time.monotonic() + PATIENCE
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:  # noqa: PTH123 - a file descriptor
        while time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(deadline.at_most(POLL))
            except OSError as error:  # some network file systems have no locks
                log.debug("cannot lock %s: %s", path, error.strerror)
                break
        yield


def _sweep(folder: Path) -> None:
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            if (json.loads(path.read_text(encoding="utf-8"))["expires"] or float("inf")) < time.time():
                path.unlink()
