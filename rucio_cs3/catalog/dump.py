"""All files of a storage element, one path a line: what Rucio's auditor compares with the catalogue.

The lines are in no order, for Rucio sorts them itself. A folder's lines are written when it has been listed whole.
While the dump is made it is called `.incomplete`, and it stays so as long as a folder could not be listed: what is
missing from a dump looks lost to Rucio.

Lines are absolute paths, because of three things that Rucio's dumper does. It takes a relative path whose first name
stands in the RSE's prefix for one with a prefix. It takes a file that libmagic does not call plain text for an empty
one; no script or mail begins with a slash. And it reads line by line: a name with a newline would be two.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from rucio_cs3.catalog.frontier import Frontier
from rucio_cs3.errors import (
    AlreadyExists,
    ConfigError,
    DeadlineExceeded,
    InvalidName,
    NotAuthenticated,
    NotFound,
    Unavailable,
)
from rucio_cs3.transfer.crew import Run
from rucio_cs3.transfer.journal import digest
from rucio_cs3.transfer.local import local_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Self

    from rucio_cs3.catalog.frontier import Folder
    from rucio_cs3.cs3.files import Files
    from rucio_cs3.model import Brief, Info, Ref
    from rucio_cs3.transfer.crew import Result

JOBS = 8
SAVE = 1.0  # seconds; what was listed since the last time is listed again after a cut
OLDEST = 86_400.0  # seconds; a dump that took longer tells of no moment that the auditor knows
IN_MEMORY = 1 << 20  # bytes of the lines of one folder, the rest is on disk until it is whole
HOPELESS = (Unavailable, DeadlineExceeded, NotAuthenticated)
MOST_ENTRIES = 20_000  # in answers that are in memory, of about 2 KiB each
FIRST_GUESS = 20_000.0  # entries in an answer
FORGOTTEN = 0.97  # what is left of an expectation after one folder
IN_VAIN = 20  # folders in a row that failed so: the storage is gone

OURS = re.compile(r"\.rucio-cs3-.*\.(part|old)|\..*\.rucio-cs3\.part|.*\.rucio\.upload", re.DOTALL)
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f]")
UNUSUAL = re.compile(r"[\x00-\x1f\x7f/]|^\.{0,2}$|rucio")  # so that most names are looked at once


@dataclass(frozen=True)
class Wanted:
    """What is written."""

    everything: bool = False
    """also what an upload left behind"""
    details: bool = False
    older_than: float | None = None
    """seconds before the dump was begun: what changed later is left out"""


@dataclass
class Counts:
    files: int = 0
    bytes: int = 0
    folders: int = 0
    unfinished: int = 0
    """what uploads left behind"""
    newer: int = 0
    unwritable: int = 0
    """names with control characters, which no line can hold"""
    other: int = 0
    """neither files nor folders"""

    @property
    def entries(self) -> int:
        return self.files + self.unfinished + self.newer + self.unwritable + self.other

    def add(self, other: Counts) -> None:
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)


class Listing:
    """What came of one folder."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.lines: Any = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - until it is taken, or closed
        self.folders: Any = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115

    def close(self) -> None:
        self.lines.close()
        self.folders.close()


class Room:
    """Lets few folders be listed at once where they are large: an answer without pages is in memory as a whole.

    How large the next one is, the largest of late tells.
    """

    def __init__(self) -> None:
        self._expected = FIRST_GUESS
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, listing: Listing) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or (self._taken + 1) * self._expected <= MOST_ENTRIES)
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._expected = max(listing.counts.entries, self._expected * FORGOTTEN)
                self._taken -= 1
                self._changed.notify_all()


class Dump:
    """In a `with` block, iterate, then `finish`. Where it was cut, by Ctrl-C or worse, it goes on, within a day.

    `top` is how lines begin: the RSE's prefix.

    Raises:
        AlreadyExists: the output is there.
        ConfigError: what is there of it is another dump's, or in use.
    """

    def __init__(self, files: Files, root: Ref, top: str, output: Path, wanted: Wanted, *, jobs: int = JOBS) -> None:
        self.output = output
        self.incomplete = output.with_name(f"{output.name}.incomplete")
        self.state = output.with_name(f"{output.name}.incomplete-state")
        self.counts = Counts()
        self.went_on = False
        self.given_up = False
        self._files = files
        self._root = root
        self._top = f"/{top.strip('/')}/" if top.strip("/") else "/"
        self._wanted = wanted
        self._job = digest([str(root), self._top, asdict(wanted)])
        self._jobs = jobs
        self._room = Room()
        self._before = math.inf

    def __enter__(self) -> Self:
        if self.output.exists():
            raise AlreadyExists("it is there already", path=str(self.output), hint="remove it, or name another")
        with contextlib.ExitStack() as stack:
            self._frontier = stack.enter_context(Frontier(str(self.state)))
            self._begin(self._frontier.facts())
            with local_target(str(self.incomplete)):
                self._file = stack.enter_context(self.incomplete.open("ab"))
                self._go_on(self._file)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """What was listed since it was saved is listed again."""
        self._open.close()

    def __iter__(self) -> Iterator[tuple[str, Exception | None]]:
        """Each folder as it is done, or why it cannot be listed."""
        run = Run(self._frontier, self._list, jobs=self._jobs)
        saved, in_vain = time.monotonic(), 0
        try:
            for result in run:
                self._take(result)
                yield result.item.path, result.error
                if time.monotonic() - saved > SAVE:
                    self._save()
                    saved = time.monotonic()
                in_vain = in_vain + 1 if isinstance(result.error, HOPELESS) else 0
                if in_vain >= IN_VAIN:
                    self.given_up = True
                    break
        finally:
            for result in run.stop():
                if result.value:
                    result.value.close()
        self._save()

    def left(self) -> int:
        """How many folders are known that have not been listed."""
        return self._frontier.left()

    def finish(self) -> bool:
        """Give it its name, if it is whole."""
        whole = not self.left()
        if whole:
            self._frontier.remove()
            with local_target(str(self.output)):
                self.incomplete.rename(self.output)
        return whole

    def _begin(self, facts: dict[str, Any]) -> None:
        if facts and facts["job"] != self._job:
            raise ConfigError(
                f"{self.incomplete} is of another dump", hint=f"name another output, or remove it and {self.state.name}"
            )
        size = self.incomplete.stat().st_size if self.incomplete.exists() else -1
        self.went_on = bool(facts) and time.time() - facts["begun"] < OLDEST and size >= facts["size"]
        if not self.went_on:
            self._frontier.clear()
            self._frontier.add([""])
            counts = json.dumps(asdict(self.counts))
            self._frontier.save({"job": self._job, "begun": time.time(), "size": 0, "counts": counts})

    def _go_on(self, file: BinaryIO) -> None:
        facts: dict[str, Any] = self._frontier.facts()
        self.counts = Counts(**json.loads(facts["counts"]))
        if self._wanted.older_than is not None:
            self._before = facts["begun"] - self._wanted.older_than
        file.truncate(facts["size"])
        file.seek(0, os.SEEK_END)

    def _take(self, result: Result) -> None:
        if result.error:
            self._frontier.failed(result.item)
            return
        listing: Listing = result.value
        with contextlib.closing(listing):
            with local_target(str(self.incomplete)):
                shutil.copyfileobj(listing.lines, self._file, IN_MEMORY)
            self._frontier.add(line.decode().rstrip("\n") for line in listing.folders)
        self._frontier.done(result.item)
        self.counts.add(listing.counts)

    def _save(self) -> None:
        """First the lines, then that they are there."""
        with local_target(str(self.incomplete)):
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
        self._frontier.save({"size": size, "counts": json.dumps(asdict(self.counts))})

    def _list(self, folder: Folder, _: object) -> Listing:
        ref = self._root / folder.path if folder.path else self._root
        listing = Listing()
        listing.counts.folders = 1
        try:
            with self._room.taken(listing):
                for page in self._files.pages(ref) if self._wanted.details else self._files.briefs(ref):
                    self._sort(listing, f"{folder.path}/" if folder.path else "", page)
        except BaseException as error:
            listing.close()
            if isinstance(error, NotFound) and folder.path and not self._is_still_told(ref):
                return Listing()
            raise
        listing.lines.seek(0)
        listing.folders.seek(0)
        return listing

    def _is_still_told(self, ref: Ref) -> bool:
        """A folder that was removed meanwhile is told no more; one that is hidden from us is."""
        return any(info.name == ref.name for info in self._files.list(ref.parent))

    def _sort(self, listing: Listing, below: str, page: Any) -> None:
        counts, lines, folders = listing.counts, [], []
        begin = self._top + below
        for info in page:
            name = info.name
            if UNUSUAL.search(name) and not self._is_usable(name, begin, info, counts):
                continue
            if info.kind == "directory":
                folders.append(f"{below}{name}\n")
            elif info.kind != "file":
                counts.other += 1
            elif info.mtime > self._before:
                counts.newer += 1
            else:
                counts.files += 1
                counts.bytes += info.size
                lines.append(f"{begin}{name}{_details(info) if self._wanted.details else ''}\n")
        listing.lines.write("".join(lines).encode())
        listing.folders.write("".join(folders).encode())

    def _is_usable(self, name: str, folder: str, info: Brief | Info, counts: Counts) -> bool:
        if "/" in name or name in {"", ".", ".."}:
            raise InvalidName(f"the storage tells a name that is none: {name!r}", path=folder)
        if UNWRITABLE.search(name):
            counts.unwritable += 1
            return False
        if info.is_file and not self._wanted.everything and OURS.fullmatch(name):
            counts.unfinished += 1
            return False
        return True


def _details(info: Info) -> str:
    checksums = ",".join(f"{name}:{value}" for name, value in sorted(info.checksums.items()))
    return f"\t{info.size}\t{info.mtime:.0f}\t{checksums or '-'}"
