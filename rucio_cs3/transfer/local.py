"""The local end of a transfer, its failures told apart from those of the network."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from rucio_cs3.errors import Cs3Error, LocalSourceError, LocalSourceMissing, LocalTargetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.errors import LocalFileError

BLOCK = 1 << 20
IN_MEMORY = 8 << 20  # bytes; what is written piece by piece waits in memory up to here, then on disk


@dataclass(frozen=True)
class Source:
    """An open file that can be read again from where it began, and how much of it there is."""

    file: BinaryIO
    size: int
    begin: int
    name: str

    def blocks(self) -> Iterator[bytes]:
        """The content from the beginning, exactly `size` bytes, or LocalSourceError."""
        left = self.size
        with local_source(self.name):
            self.file.seek(self.begin)
        while left:
            with local_source(self.name):
                block = self.file.read(min(BLOCK, left))
            if not block:
                raise LocalSourceError("it became shorter while it was read", path=self.name)
            left -= len(block)
            yield block
        with local_source(self.name):
            grown = self.file.read(1)
        if grown:
            raise LocalSourceError("it became longer while it was read", path=self.name)


@contextlib.contextmanager
def opened(path: str) -> Iterator[Source]:
    """A local file, by name."""
    with local_source(path):
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):  # noqa: PTH112, PTH116 - as open, below
            raise LocalSourceError("it is not a regular file", path=path, hint="open it, and hand over the open file")
        file = open(path, "rb")  # noqa: SIM115, PTH123 - closed below; its failures are named apart
    with file:
        yield Source(file, os.fstat(file.fileno()).st_size, 0, path)


@contextlib.contextmanager
def rewindable(file: BinaryIO) -> Iterator[Source]:
    """An open file, from where it stands; a stream that cannot go back is kept on the side first."""
    name = str(getattr(file, "name", "the source"))
    if seekable(file):
        begin = file.tell()
        rest = file.seek(0, os.SEEK_END) - begin
        yield Source(file, rest, begin, name)
        return
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as kept:
        with local_source(name):
            while block := file.read(BLOCK):
                kept.write(block)
        yield Source(kept, kept.tell(), 0, name)  # type: ignore[arg-type]


def seekable(file: BinaryIO) -> bool:
    """Before Python 3.11 a SpooledTemporaryFile does not say so."""
    return file.seekable() if hasattr(file, "seekable") else hasattr(file, "seek")


@contextlib.contextmanager
def local_source(path: str) -> Iterator[None]:
    """Failures to read `path`."""
    with _translated(path, LocalSourceError, LocalSourceMissing):
        yield


@contextlib.contextmanager
def local_target(path: str) -> Iterator[None]:
    """Failures to write `path`."""
    with _translated(path, LocalTargetError, LocalTargetError):
        yield


@contextlib.contextmanager
def _translated(path: str, kind: type[LocalFileError], missing: type[LocalFileError]) -> Iterator[None]:
    try:
        yield
    except Cs3Error:
        raise
    except FileNotFoundError as error:
        raise missing.of(error, path) from error
    except OSError as error:
        raise kind.of(error, path) from error
