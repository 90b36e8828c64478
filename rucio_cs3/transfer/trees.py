"""What is in a folder and all below it, here or at a site, in the order of names, found while it is consumed."""

from __future__ import annotations

import os
import stat
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
    yield from _remote(files, top, "", depth)


def _remote(files: Files, folder: Ref, prefix: str, depth: int | None) -> Iterator[Entry]:
    try:
        infos = sorted(files.list(folder), key=lambda info: info.name)
    except Cs3Error as error:
        yield Entry(prefix.rstrip("/"), FOLDER, error=error)
        return
    for info in infos:
        below = prefix + info.name
        wrong = _wrong_name(info.name, f"{folder}/{info.name}")
        if wrong:
            yield Entry(below, info.kind, error=wrong)
            continue
        yield Entry(below, info.kind, info.size if info.is_file else 0, info)
        if info.is_directory and depth != 1:
            yield from _remote(files, folder / info.name, f"{below}/", depth and depth - 1)


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
