"""What we know of the bytes that passed through our hands, and how it is held against what the storage says."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rucio_cs3.checksums import ALGORITHMS, normalise
from rucio_cs3.errors import ChecksumMismatch, InvalidRequest, SizeMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rucio_cs3.checksums import Adler32, Buffer
    from rucio_cs3.model import Info

PREFERRED = ("adler32", "sha1", "md5")  # by speed


class Tally:
    """Counts and hashes a stream."""

    def __init__(
        self, algorithms: Iterable[str], total: int, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.size = 0
        self._total = total
        self._progress = progress
        self._running = {name: ALGORITHMS[name]() for name in algorithms}

    def add(self, block: Buffer) -> None:
        self.hash(block)
        self.tell(self.size)

    def hash(self, block: Buffer) -> None:
        self.size += len(block)
        for checksum in self._running.values():
            checksum.update(block)

    def tell(self, done: int) -> None:
        """Say how far it is."""
        if self._progress:
            self._progress(done, self._total)

    @property
    def takes_parts(self) -> bool:
        """The checksum of a part is enough to go on with; else its bytes are needed."""
        return self._running.keys() <= {"adler32"}

    def append(self, part: Adler32, length: int) -> None:
        """What `takes_parts` promises."""
        self.size += length
        for checksum in self._running.values():
            cast("Adler32", checksum).append(part, length)

    @property
    def checksums(self) -> dict[str, str]:
        return {name: checksum.hexdigest() for name, checksum in self._running.items()}


def cheapest(known: Mapping[str, str]) -> list[str]:
    """One algorithm of those in which a checksum is known, or none; hashing for nobody costs time."""
    return [name for name in PREFERRED if name in known][:1]


def named(checksums: Mapping[str, str]) -> dict[str, str]:
    """What a caller expects, by our names. Raises InvalidRequest for an algorithm that nobody would compare."""
    ours = {name.lower(): value for name, value in checksums.items()}
    for name in ours.keys() - ALGORITHMS.keys():
        raise InvalidRequest(f"checksum {name!r} is not known", hint=f"use one of: {', '.join(ALGORITHMS)}")
    return ours


def same_size(expected: int, found: int, path: str, where: str) -> None:
    if expected != found:
        raise SizeMismatch(f"{where} has {found} bytes instead of {expected}", path=path)


def same_checksums(
    ours: Mapping[str, str],
    theirs: Mapping[str, str],
    path: str,
    whose: str,
    error: type[ChecksumMismatch] = ChecksumMismatch,
) -> None:
    """Compare what both sides know. `whose` names the other side in the error."""
    for name in ours.keys() & theirs.keys():
        if ours[name] != normalise(name, theirs[name]):
            raise error(f"{name} is {ours[name]}, but {whose} {theirs[name]}", path=path)


def stored(tally: Tally, info: Info, path: str) -> None:
    """Hold what the storage says it has against what was sent to it."""
    same_size(tally.size, info.size, path, "after the upload the storage")
    same_checksums(tally.checksums, info.checksums, path, "the storage computed")
