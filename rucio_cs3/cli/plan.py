"""What `cp` has to do: each file and folder, from where to where, found while it is done."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Union

import click

from rucio_cs3 import deadline
from rucio_cs3.cli.place import Place
from rucio_cs3.errors import Cs3Error, InvalidRequest, IsDirectory, LocalSourceError, NotFound
from rucio_cs3.transfer import trees
from rucio_cs3.transfer.bulk import Copy
from rucio_cs3.transfer.ends import Local
from rucio_cs3.transfer.local import local_source, local_target

if TYPE_CHECKING:
    from rucio_cs3.client import Cs3Client
    from rucio_cs3.transfer.ends import End
    from rucio_cs3.transfer.trees import Entry

Top = Union[Place, Local]


class Plan(Iterator[Copy]):
    """The target is the new name, but what is copied goes into it when it ends in a slash, is a root or the local `.`,
    or when there are several sources, and files also when a folder is there. So a folder copied twice is the same copy.
    """  # noqa: D205 - one thought

    def __init__(
        self, sources: list[Top], target: Top, *, recursive: bool, follow: bool, journal: str | None = None
    ) -> None:
        self._recursive = recursive
        self._follow = follow
        self._journal = journal and Local(journal).place
        self._complete = False
        self.one: Copy | None = None
        """what is all there is to do, where one file was named"""
        self._items = self._find(sources, target)

    def __next__(self) -> Copy:
        return next(self._items)

    def left(self, seconds: float = 1.0) -> tuple[int, bool]:
        """How many files there are still, as far as it can be found in this time, and whether these are all."""
        count = 0
        with contextlib.suppress(Cs3Error), deadline.within(seconds):
            for item in self:
                deadline.check()
                count += item.kind != trees.FOLDER
        return count, self._complete

    def _find(self, sources: list[Top], target: Top) -> Iterator[Copy]:
        for source in sources:
            try:
                top = self._top(source, target, several=len(sources) > 1)
            except Cs3Error as error:
                yield Copy(_end(source), _end(target), error=error)
                continue
            found = Copy(_end(source), _end(top.target), top.kind, top.size)
            self.one = found if len(sources) == 1 and top.kind == trees.FILE else None
            yield found
            if top.kind == trees.FOLDER:
                for entry in self._walk(source):
                    here, there = _end(source, entry.below), _end(top.target, entry.below)
                    ours = isinstance(here, Local) and here.place == self._journal
                    yield Copy(here, there, "journal" if ours else entry.kind, entry.size, entry.error)
        self._complete = True

    def _top(self, source: Top, target: Top, *, several: bool) -> _Named:
        kind, size = _look(source)
        if kind == trees.FOLDER and not self._recursive:
            raise IsDirectory("it is a folder", path=str(source), hint="copy it with -r")
        into = several or _is_folder(target) or (kind == trees.FILE and _is_there(target))
        new = _below(target, _last(source)) if into else target
        if _contains(source, new, kind):
            raise InvalidRequest(f"it cannot be copied to {new}, which is itself or below it", path=str(source))
        return _Named(new, kind, size)

    def _walk(self, source: Top) -> Iterator[Entry]:
        if isinstance(source, Local):
            return trees.local(source.path, follow=self._follow)
        return trees.remote(source.client.files, source.ref)


class _Named(NamedTuple):
    """A source that was named, and where it goes to."""

    target: Top
    kind: str
    size: int


def _look(source: Top) -> tuple[str, int]:
    """What it is, and its size. A link that is named is followed."""
    if isinstance(source, Place):
        info = source.client.files.stat(source.ref)
        return info.kind, info.size
    with local_source(source.path):
        status = Path(source.path).stat()
    if stat.S_ISDIR(status.st_mode):
        return trees.FOLDER, 0
    if not stat.S_ISREG(status.st_mode):
        raise LocalSourceError("it is not a regular file", path=source.path, hint="give it on stdin, as -")
    return trees.FILE, status.st_size


def _is_folder(target: Top) -> bool:
    """By its name alone."""
    if isinstance(target, Place):
        return target.folder
    return target.path.endswith("/") or Path(target.path).name in {"", ".."}


def _is_there(target: Top) -> bool:
    if isinstance(target, Local):
        with local_target(target.path):
            return Path(target.path).is_dir()
    try:
        return target.client.files.stat(target.ref).is_directory
    except NotFound:
        return False


def _last(source: Top) -> str:
    if isinstance(source, Place):
        return source.path.rpartition("/")[2]
    return Path(source.place).name


def _below(top: Top, below: str) -> Top:
    return top / below if isinstance(top, Place) else Local(os.path.join(top.path, below))  # noqa: PTH118 - keeps ./


def _end(top: Top, below: str = "") -> End:
    if isinstance(top, Place):
        return top.remote(below)
    return Local(os.path.join(top.path, below) if below else top.path)  # noqa: PTH118


def _contains(source: Top, target: Top, kind: str) -> bool:
    """By the names, or of a folder by the ids where the names begin differently."""
    if not (isinstance(source, Place) and isinstance(target, Place)):
        return False
    if (source.client, source.base) == (target.client, target.base):
        return f"{target.path}/".startswith(f"{source.path}/".lstrip("/"))
    if kind != trees.FOLDER or not _have_the_same_ids(source.client, target.client):
        return False
    return target.client.files.lies_in(target.ref, source.client.files.stat(source.ref).id)


def _have_the_same_ids(one: Cs3Client, other: Cs3Client) -> bool:
    """Users may have homes of their own, in which the ids are paths."""
    return one is other or (one.config.gateway == other.config.gateway and one.whoami() == other.whoami())


def refuse_twins(sources: list[Top]) -> None:
    """Several sources go into one folder, where only one of them can have the name."""
    seen: dict[str, Top] = {}
    for source in sources:
        name = _last(source)
        if name in seen:
            raise click.UsageError(f"{seen[name]} and {source} would both be called {name}: copy one after the other")
        seen[name] = source


def refuse_local(sources: list[Top], target: Top) -> None:
    """Copies on this machine are cp's business."""
    if isinstance(target, Local) and any(isinstance(source, Local) for source in sources):
        raise click.UsageError(f"{target} is a local name, and so is a source: name a site, as RSE:path or cs3s://…")
