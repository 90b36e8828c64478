"""The two ends of a copy, each on this machine or at a site, and what is known of a file there."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Union

from rucio_cs3 import deadline
from rucio_cs3.checksums import ALGORITHMS
from rucio_cs3.errors import Processing
from rucio_cs3.model import Ref
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.local import BLOCK, local_source, local_target
from rucio_cs3.transfer.reading import Reading, SourceFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rucio_cs3.checksums import Checksum
    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import Info, Target

LATER_LOOK = 0.5  # seconds between looks at what is being processed
Facts = dict[str, Any]
"""What a file is told by, without reading it. Two agree where both know something."""


@dataclass(frozen=True)
class Local:
    """A path on this machine."""

    path: str

    def __str__(self) -> str:
        return self.path

    @property
    def place(self) -> str:
        """The same for two that are written differently, as far as the names tell."""
        return os.path.abspath(self.path)  # noqa: PTH100 - resolve() would follow links

    def facts(self) -> Facts:
        with local_source(self.path):
            found = Path(self.path).stat()
        return {"size": found.st_size, "mtime": found.st_mtime_ns}

    def checksums(self, algorithms: Iterable[str]) -> dict[str, str]:
        """Read the file for them."""
        digest = Digest(algorithms)
        with local_source(self.path), Path(self.path).open("rb") as file:
            while block := file.read(BLOCK):
                digest.write(block)
        return digest.checksums


@dataclass(frozen=True)
class Remote:
    """A name at a site, `below` a target. Folders are made up to `root`. `label` is what people know it as."""

    client: Cs3Client
    target: Target
    below: str = ""
    root: Ref | None = None
    label: str = ""

    def __str__(self) -> str:
        return self.label or f"{self.target}/{self.below}".rstrip("/")

    @property
    def ref(self) -> Ref:
        """Raises InvalidName."""
        ref = Ref.of(self.target)
        return ref / self.below if self.below else ref

    @property
    def place(self) -> tuple[Cs3Client, Ref]:
        """As of Local. Raises InvalidName."""
        return self.client, self.ref

    def stat(self) -> Info:
        return self.client.files.stat(self.ref)

    def settled(self) -> Info:
        """What is there when the storage's own checks are over. Raises Processing, NotFound."""
        patience = time.monotonic() + self.client.config.processing_timeout
        while (info := self.stat()).processing:
            if time.monotonic() > patience:
                raise Processing("the storage is still processing it", path=str(self))
            deadline.sleep(LATER_LOOK)
        return info

    def facts(self) -> Facts:
        return facts_of(self.stat())

    def checksums(self, algorithms: Iterable[str]) -> dict[str, str]:
        """Read the file for them."""
        digest = Digest(algorithms)
        self.client.download(self.ref, digest)  # type: ignore[arg-type]
        return digest.checksums


End = Union[Local, Remote]


@dataclass(frozen=True)
class Copied:
    """What was copied, and what both ends say of it now."""

    size: int
    checksums: Mapping[str, str]
    source: Facts
    target: Facts


def facts_of(info: Info) -> Facts:
    return {"size": info.size, "mtime": info.mtime, **info.checksums}


def agree(one: Facts, other: Facts) -> bool:
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def tell_apart(one: Facts, other: Facts) -> bool:
    """Whether they would: many files have the same size."""
    return one.keys() & other.keys() > {"size"}


def copy(
    source: End,
    target: End,
    *,
    overwrite: bool,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Copied:
    """Copy one file, which appears whole and verified or not at all; missing folders are made.

    With `resume` what a download has got is kept for the next one. Uploads have a setting for that.

    Raises:
        AlreadyExists: the target is there and `overwrite` is not given.
    """
    if isinstance(target, Local):
        return _download(source, target, overwrite=overwrite, resume=resume, progress=progress)
    options: Any = {"overwrite": overwrite, "root": target.root, "progress": progress}
    if isinstance(source, Local):
        before = source.facts()
        sent = target.client.upload(source.path, target.ref, **options)
    else:
        with Reading(source) as file:
            before = facts_of(file.info)
            try:
                sent = file.send(target, overwrite=overwrite, progress=progress)
            except SourceFailed as failed:
                raise failed.error from failed.error.__cause__
    seen = {} if sent.mtime is None else {"mtime": sent.mtime}
    return Copied(sent.size, sent.checksums, before, {"size": sent.size, **seen, **sent.checksums})


def _download(source: End, target: Local, **options: Any) -> Copied:
    assert isinstance(source, Remote), "copies on one machine are not ours to make"
    with local_target(target.path):
        Path(target.path).parent.mkdir(parents=True, exist_ok=True)
    info = source.client.download(source.ref, target.path, **options)
    return Copied(info.size, info.checksums, facts_of(info), target.facts())


def make_folder(target: End) -> None:
    """With what is missing above it; one that is there is all right."""
    if isinstance(target, Remote):
        target.client.folders.ensure(target.ref, target.root)
    else:
        with local_target(target.path):
            Path(target.path).mkdir(parents=True, exist_ok=True)


def same_content(source: End, target: End) -> bool:
    """Compare by size, and by a checksum that a storage tells, or else by reading both."""
    one, other = source.facts(), target.facts()
    if one["size"] != other["size"]:
        return False
    wanted = verify.cheapest({**one, **other}) or ["adler32"]
    return _checksums(source, one, wanted) == _checksums(target, other, wanted)


def _checksums(end: End, known: Facts, wanted: Iterable[str]) -> dict[str, str]:
    told = {name: known[name] for name in wanted if name in known}
    return told or end.checksums(wanted)


class Digest:
    """An open file, as far as a download needs one, that keeps nothing but checksums."""

    name = "checksum"

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._algorithms = tuple(algorithms)
        self.seek(0)

    def write(self, block: Any) -> int:
        for checksum in self._running.values():
            checksum.update(block)
        self._size += len(block)
        return len(block)

    def seekable(self) -> bool:
        return True

    def seek(self, _: int) -> int:
        """Back to the beginning, which is the only place that a download goes back to."""
        self._size = 0
        self._running: dict[str, Checksum] = {name: ALGORITHMS[name]() for name in self._algorithms}
        return 0

    def tell(self) -> int:
        return self._size

    def truncate(self) -> int:
        return self._size

    @property
    def checksums(self) -> dict[str, str]:
        return {name: checksum.hexdigest() for name, checksum in self._running.items()}
