"""What is in a folder and all below it, here or at a site, in the order of names, found while it is consumed."""

from __future__ import annotations

import contextvars
import os
import stat
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rucio_cs3.errors import Cs3Error, InvalidName, LocalSourceError
from rucio_cs3.model import relative

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.cs3.files import Files
    from rucio_cs3.model import Info, Ref

FILE, FOLDER = "file", "directory"
AT_ONCE = 8  # folders of a site that are asked for at the same time
HELD = 20_000  # entries that wait for their turn, from which on no other folder is asked for
_SPECIAL = {
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}


@dataclass(frozen=True)
class Entry:
    """`below` is the path from the top. With an `error` it is a folder that could not be read, or a name not to use."""

    below: str
    kind: str
    size: int = 0
    info: Info | None = None
    error: Cs3Error | None = None


def remote(files: Files, top: Ref, *, depth: int | None = None) -> Iterator[Entry]:
    """Each folder stands before what is in it. `depth` 1 is the folder's own entries only."""
    walk = _Walk(files)
    yield from walk.through(walk.ask(top), "", depth)


class _Walk:
    """Asks for folders before it is their turn: several at the same time, but never for more than it can hold."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._ahead: set[_Listing] = set()

    def ask(self, folder: Ref) -> _Listing:
        listing = _Listing(self._files, folder)
        self._ahead.add(listing)
        return listing

    def through(self, listing: _Listing, prefix: str, depth: int | None) -> Iterator[Entry]:
        try:
            infos = listing.infos()
        except Cs3Error as error:
            yield Entry(prefix.rstrip("/"), FOLDER, error=error)
            return
        finally:
            self._ahead.discard(listing)
        folders = _Queue(self, (listing.folder / info.name for info in infos if _leads_on(info, depth)))
        for info in infos:
            below = prefix + info.name
            wrong = _wrong_name(info.name, f"{listing.folder}/{info.name}")
            if wrong:
                yield Entry(below, info.kind, error=wrong)
                continue
            yield Entry(below, info.kind, info.size if info.is_file else 0, info)
            if info.is_directory and depth != 1:
                yield from self.through(folders.take(), f"{below}/", depth and depth - 1)

    @property
    def has_room(self) -> bool:
        waiting = sum(not listing.is_there for listing in self._ahead)
        return waiting < AT_ONCE and sum(listing.weight for listing in self._ahead) < HELD


class _Queue:
    """The folders that a folder holds, asked for in the order in which their turn comes."""

    def __init__(self, walk: _Walk, folders: Iterator[Ref]) -> None:
        self._walk = walk
        self._folders = folders
        self._asked: deque[_Listing] = deque()
        self._ask()

    def take(self) -> _Listing:
        first = self._asked.popleft() if self._asked else self._walk.ask(next(self._folders))
        self._ask()
        return first

    def _ask(self) -> None:
        while len(self._asked) < AT_ONCE and self._walk.has_room:
            folder = next(self._folders, None)
            if folder is None:
                return
            self._asked.append(self._walk.ask(folder))


class _Listing:
    """What is in one folder, fetched by a thread that nobody has to wait for."""

    def __init__(self, files: Files, folder: Ref) -> None:
        self.folder = folder
        self._files = files
        self._found: Future[list[Info]] = Future()
        run = contextvars.copy_context().run  # with the deadline of who asks
        threading.Thread(target=run, args=(self._fetch,), name="rucio-cs3-listing", daemon=True).start()

    def _fetch(self) -> None:
        try:
            self._found.set_result(sorted(self._files.list(self.folder), key=lambda info: info.name))
        except BaseException as error:  # noqa: BLE001 - raised again where it is wanted
            self._found.set_exception(error)

    def infos(self) -> list[Info]:
        return self._found.result()

    @property
    def is_there(self) -> bool:
        return self._found.done()

    @property
    def weight(self) -> int:
        """In entries."""
        failed = not self.is_there or self._found.exception()
        return 1 if failed else 1 + len(self._found.result())


def _leads_on(info: Info, depth: int | None) -> bool:
    return info.is_directory and depth != 1 and not _wrong_name(info.name, info.name)


def _wrong_name(name: str, path: str) -> InvalidName | None:
    """A server's word that would lead elsewhere."""
    try:
        if name and relative(name) == name and "/" not in name:
            return None
    except InvalidName as error:
        return error
    return InvalidName("the storage tells a name that is none", path=path)


def local(top: str, *, follow: bool = False) -> Iterator[Entry]:
    """Symbolic links are told as such, or with `follow` as what they lead to; never round in a circle."""
    try:
        status = os.stat(top)  # noqa: PTH116 - as scandir's
    except OSError as error:
        yield Entry("", FOLDER, error=LocalSourceError.of(error, top))
        return
    yield from _local(top, "", (_identity(status),), follow=follow)


def _local(top: str, prefix: str, above: tuple[tuple[int, int], ...], *, follow: bool) -> Iterator[Entry]:
    try:
        with os.scandir(Path(top, prefix)) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield Entry(prefix.rstrip("/"), FOLDER, error=LocalSourceError.of(error, str(Path(top, prefix))))
        return
    for entry in entries:
        below = prefix + entry.name
        try:
            status = entry.stat(follow_symlinks=follow)
        except OSError as error:
            yield Entry(below, "symlink", error=LocalSourceError.of(error, entry.path))
            continue
        kind = _kind(status)
        if kind == FOLDER and _identity(status) in above:
            yield Entry(below, "symlink", error=LocalSourceError("it leads round in a circle", path=entry.path))
            continue
        yield Entry(below, kind, status.st_size if kind == FILE else 0)
        if kind == FOLDER:
            yield from _local(top, f"{below}/", (*above, _identity(status)), follow=follow)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _kind(status: os.stat_result) -> str:
    if stat.S_ISREG(status.st_mode):
        return FILE
    return FOLDER if stat.S_ISDIR(status.st_mode) else _SPECIAL.get(stat.S_IFMT(status.st_mode), "special file")
