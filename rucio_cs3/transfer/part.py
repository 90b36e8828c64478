"""The file that a download is written to until it is whole: under a name of its own, or one that is found again."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from rucio_cs3.errors import (
    AlreadyExists,
    DeadlineExceeded,
    Interrupted,
    NotAuthenticated,
    ServerError,
    Stopped,
    Unavailable,
)
from rucio_cs3.model import LONGEST_NAME
from rucio_cs3.transfer.local import local_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.model import Info

# What it may go on after, another day.
KEPT_AFTER = (Interrupted, Unavailable, DeadlineExceeded, ServerError, NotAuthenticated, Stopped, KeyboardInterrupt)
NOTED_EVERY = 8 << 20  # bytes; so much is fetched again when the process is killed
NOTE, DRAFT = ".json", ".json.new"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Found(NamedTuple):
    """What an earlier download left: so many bytes, of the version that the data server gave this ETag."""

    reached: int
    etag: str | None


class NoPart:
    """For what is written to an open file of the caller's: nothing is found there, and nothing kept."""

    def take(self, info: Info, *, verifiable: bool) -> Found | None:  # noqa: ARG002 - for KeptPart
        """What of this very file is there already."""
        return None

    def note(self, info: Info, etag: str | None, reached: int) -> None:
        """So much of this very file is there, without a gap."""


class Part(NoPart):
    """A file that is nobody else's, and does not stay."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file

    def stays(self) -> bool:
        """True when it is of use to a later download."""
        return False

    def is_there(self) -> bool:
        """Under its name, which somebody may have given to another file."""
        return os.path.samestat(os.fstat(self.file.fileno()), self.path.lstat())

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            if self.is_there():
                self.path.unlink()
        self.forget()

    def forget(self) -> None:
        """It has become the file, or goes."""


class KeptPart(Part):
    """One that the next download of the same target finds, with a note beside it that says what it is of.

    It is ours as long as we hold its lock, which the kernel takes from a process that dies.
    """

    def take(self, info: Info, *, verifiable: bool) -> Found | None:
        found = self._found(info, verifiable=verifiable)
        if found is None:
            self.forget()
            self.file.truncate(0)
        return found

    def _found(self, info: Info, *, verifiable: bool) -> Found | None:
        try:
            note = json.loads(self._beside(NOTE).read_text(encoding="utf-8"))
            known, etag, reached, boot = note["file"], note["etag"], int(note["reached"]), note["boot"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        safe = verifiable or boot == _boot()  # a crash of the machine can take back what was written
        whole = os.fstat(self.file.fileno()).st_size >= reached > 0
        return Found(reached, etag) if known == self._file(info) and safe and whole else None

    def note(self, info: Info, etag: str | None, reached: int) -> None:
        if not reached:
            self.forget()
            return
        note = {"file": self._file(info), "etag": etag, "reached": reached, "boot": _boot()}
        draft = self._beside(DRAFT)
        with local_target(str(draft)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(draft, flags, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                json.dump(note, file)
            draft.replace(self._beside(NOTE))

    def stays(self) -> bool:
        return self._beside(NOTE).exists()

    def forget(self) -> None:
        for suffix in (NOTE, DRAFT):
            with contextlib.suppress(OSError):
                self._beside(suffix).unlink()

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _file(self, info: Info) -> dict[str, Any]:
        """Also which part it is: another one may have the name by now."""
        inode = os.fstat(self.file.fileno()).st_ino
        file = {"id": dataclasses.asdict(info.id), "etag": info.etag, "size": info.size, "mtime": info.mtime}
        return {**file, "part": inode}


NO_PART = NoPart()


@contextlib.contextmanager
def part_of(place: Path, *, resume: bool, overwrite: bool = True) -> Iterator[Part]:
    """A part that takes the name `place` when the block ends well, and else is removed.

    Without `overwrite` what has that name by then keeps it. Raises AlreadyExists.

    With `resume` it stays when the network fails or the process dies, and the next one goes on with it. While another
    process is at it, or where there are no locks, it is one that does not stay.
    """
    path = place.with_name(f".rucio-cs3-{secrets.token_hex(6)}.part")
    try:
        with local_target(str(place)):
            part = (_kept(place) if resume else None) or Part(path, path.open("x+b", buffering=0))
    except KeyboardInterrupt:
        path.unlink(missing_ok=True)
        raise
    with part.file:
        try:
            _keep_mode(part, place, at_least=0o600)  # what takes the place of a private file is private from the start
            yield part
            with local_target(str(place)):
                os.close(os.dup(part.file.fileno()))  # some network file systems tell only here that a write failed
                _name(part, place, overwrite=overwrite)
        except BaseException as error:
            if not (isinstance(error, KEPT_AFTER) and part.stays()):
                part.remove()
            raise


def _name(part: Part, place: Path, *, overwrite: bool) -> None:
    if not part.is_there():
        raise OSError(errno.ESTALE, f"another file has taken the place of {part.path.name}, where it was being written")
    if not overwrite:
        try:
            os.link(part.path, place)
        except FileExistsError:
            raise there_already(place) from None
        except OSError:  # not every file system has links
            if os.path.lexists(place):
                raise there_already(place) from None
        else:
            part.remove()
            return
    _keep_mode(part, place)
    part.path.replace(place)
    part.forget()


def _keep_mode(part: Part, place: Path, at_least: int = 0) -> None:
    """That of the file that it replaces."""
    if place.is_file():
        with contextlib.suppress(OSError):  # not every file system has modes
            os.fchmod(part.file.fileno(), stat.S_IMODE(place.stat().st_mode) & 0o777 | at_least)


def there_already(place: Path) -> AlreadyExists:
    return AlreadyExists(
        "it is there already",
        path=str(place),
        hint="remove it first, or ask to overwrite (--overwrite, overwrite=True)",
    )


def _kept(place: Path) -> Part | None:
    """None when it is not ours to have, or when there is a problem that will show with any other name."""
    path = place.with_name(_kept_name(place.name))
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = os.fstat(fd)
        there = path.lstat()
    except OSError:
        there = None
    ours = there and (there.st_ino, there.st_uid, there.st_nlink) == (mine.st_ino, os.geteuid(), 1)
    if not ours or not stat.S_ISREG(mine.st_mode):
        os.close(fd)
        return None
    return KeptPart(path, open(fd, "r+b", buffering=0))  # noqa: PTH123 - a descriptor; closed by part_of


def _kept_name(name: str) -> str:
    kept = f".{name}.rucio-cs3.part"
    if len(os.fsencode(kept + DRAFT)) <= LONGEST_NAME:
        return kept
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()}.rucio-cs3.part"


def _boot() -> str:
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
