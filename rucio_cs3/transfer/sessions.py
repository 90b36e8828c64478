"""Uploads that were cut, remembered between runs: in a folder that only we can read, each for one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rucio_cs3.cs3.files import Endpoint
from rucio_cs3.model import Ref, ResourceId
from rucio_cs3.transfer.local import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
OURS = re.compile(r"[0-9a-f]{64}\.json")
OLDEST = 7 * 86_400.0  # seconds; a site that does not say when a session ends has ended it by then


@dataclass(frozen=True)
class Session:
    """Where the bytes of one file are going."""

    endpoint: Endpoint
    staging: Ref
    stamp: Stamp | None = None
    expires: float | None = None

    def as_json(self) -> dict[str, Any]:
        known = asdict(self)
        known["staging"].pop("label")
        return known

    @classmethod
    def of_json(cls, known: dict[str, Any]) -> Session:
        """Raises KeyError, TypeError or ValueError for what is none."""
        place = known["staging"]
        where = ResourceId(**place["id"]) if place["id"] else None
        expires = None if known["expires"] is None else float(known["expires"])
        stamp = Stamp(*known["stamp"])
        return cls(Endpoint(**known["endpoint"]), Ref(place["path"], where), stamp, expires)


class Sessions:
    """`folder` None remembers nothing. `gateway` is the site whose sessions they are."""

    def __init__(self, folder: Path | None, gateway: str) -> None:
        self._folder = folder
        self._gateway = gateway

    def slot(self, whose: str, target: Ref, source: str, *, temporary: bool) -> Slot:
        """The place of this very upload: one that is `temporary` writes straight to its target, others must not."""
        name = "\0".join([self._gateway, whose, repr(target), os.path.realpath(source), str(temporary)])
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return Slot(self._folder and self._folder / f"{digest}.json")


class Slot:
    """One file. It is locked while it is open, and so is not replaced but written over: a torn one says nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the next run will find something."""
        return self._fd is not None

    def find(self) -> Session | None:
        """What an earlier run left, be it over or not, if no other process goes on with it right now."""
        self._take(create=False)
        if self._fd is None:
            return None
        try:
            found = Session.of_json(json.loads(os.pread(self._fd, os.fstat(self._fd).st_size, 0)))
        except (ValueError, TypeError, KeyError, AttributeError):
            found = None
        if found is None:
            self.forget()
        return found

    def keep(self, session: Session) -> None:
        """For the next run, until `forget`. A disk that is full or read-only costs a fresh start then, no more."""
        if self._fd is None:
            self._take(create=True)
        if self._fd is None:
            return
        text = json.dumps(session.as_json()).encode()
        try:
            before = os.fstat(self._fd).st_size  # padded, what was killed in between is still one text
            os.pwrite(self._fd, text.ljust(before), 0)
            os.ftruncate(self._fd, len(text))
        except OSError as error:
            log.debug("the upload is not remembered: %s", error.strerror)
            self.forget()

    def forget(self) -> None:
        if self._fd is not None and self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self.close()

    def close(self) -> None:
        """Let another process have it."""
        if self._fd is not None:
            with contextlib.suppress(OSError):  # in so many words, because a forked child may have it open too
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
            self._fd = None

    def _take(self, *, create: bool) -> None:
        if self._path is None:
            return
        try:
            if create:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sweep(self._path.parent)
            if _is_private(self._path.parent.lstat(), stat.S_ISDIR):
                self._fd = _locked(self._path, create=create)
            else:
                log.warning(
                    "uploads are not remembered: %s is not ours alone; chmod 700 it, or set resume", self._path.parent
                )
        except FileNotFoundError:
            pass
        except OSError as error:
            log.debug("uploads are not remembered: %s: %s", self._path.parent, error.strerror)


def folder_of(resume: str | None) -> Path | None:
    """What the setting means: None for `off`, and for a user without a home."""
    if resume == "off":
        return None
    try:
        told = resume if resume not in {None, "on"} else None
        return Path(
            told or Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state", "rucio-cs3", "uploads")
        ).expanduser()
    except (RuntimeError, KeyError):  # the latter from Python 3.9
        return None


def _locked(path: Path, *, create: bool) -> int | None:
    """The open file, locked. None when another process has it, or when it is not ours alone: that one is removed.

    Raises:
        OSError: it cannot be opened.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_CREAT if create else 0), 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(fd)
            if not _is_private(status, stat.S_ISREG):
                path.unlink()
            elif _is_at(path, status):
                found, fd = fd, -1
                return found
            elif not create:  # the one who had it has just removed it
                return None
        except BlockingIOError:
            return None
        finally:
            if fd >= 0:
                os.close(fd)
        if not create:
            return None


def _is_private(status: os.stat_result, kind: Callable[[int], bool]) -> bool:
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _is_at(path: Path, status: os.stat_result) -> bool:
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return (now.st_ino, now.st_dev) == (status.st_ino, status.st_dev)


def _sweep(folder: Path) -> None:
    """Take away what no upload will come back for."""
    for path in folder.iterdir():
        if OURS.fullmatch(path.name) and _is_old(path):
            path.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    try:
        return path.lstat().st_mtime < time.time() - OLDEST
    except OSError:
        return False
