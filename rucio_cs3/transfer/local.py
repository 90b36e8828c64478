"""The local end of a transfer, its failures told apart from those of the network."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from rucio_cs3.errors import Cs3Error, LocalSourceError, LocalSourceMissing, LocalTargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rucio_cs3.errors import LocalFileError

BLOCK = 1 << 20
IN_MEMORY = 8 << 20  # bytes; what is written piece by piece waits in memory up to here, then on disk


class Stamp(NamedTuple):
    """What tells that a file is still the same one, unchanged."""

    size: int
    mtime_ns: int
    ctime_ns: int  # which nobody can put back
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


@dataclass(frozen=True)
class Source:
    """An open file that can be read again from where it began, and how much of it there is."""

    file: BinaryIO
    size: int
    begin: int
    name: str
    stamp: Stamp | None = None
    """of a file on disk, when it was opened"""
    by_name: bool = False
    """whether `name` leads to it again, and has to lead to it still"""
    mtime_ns: int | None = None

    def blocks(self, start: int = 0, count: int | None = None) -> Iterator[memoryview]:
        """`count` bytes from `start` on, by default all. Each block is good until the next one is asked for."""
        left = self.size - start if count is None else count
        read = _reader(self.file, min(BLOCK, left))
        with local_source(self.name):
            self.file.seek(self.begin + start)
        while left:
            with local_source(self.name):
                block = read(min(BLOCK, left))
            if not block:
                raise LocalSourceError("it became shorter while it was read", path=self.name)
            left -= len(block)
            yield block

    def confirm(self) -> None:
        """Raises LocalSourceError when it is not what it was. For after the last byte."""
        with local_source(self.name):
            self.file.seek(self.begin + self.size)
            grown = self.file.read(1)
            now = self._stamp_now() if self.stamp else None
        if grown:
            raise LocalSourceError("it became longer while it was read", path=self.name)
        if now != self.stamp:
            raise LocalSourceError("it was changed or replaced while it was read", path=self.name, hint="try again")

    def _stamp_now(self) -> Stamp:
        return Stamp.of(os.stat(self.name if self.by_name else self.file.fileno()))  # noqa: PTH116 - as open, below

    def in_memory(self) -> Source:
        """The same, read once and for all."""
        content = b"".join(bytes(block) for block in self.blocks())
        self.confirm()
        return Source(io.BytesIO(content), self.size, 0, self.name, mtime_ns=self.mtime_ns)


def _reader(file: BinaryIO, size: int) -> Callable[[int], memoryview]:
    """Into a buffer that is used again and again: fresh memory for each block costs more than the reading."""
    if hasattr(file, "next_block"):  # it has buffers of its own
        return file.next_block  # type: ignore[no-any-return]
    buffer = memoryview(bytearray(size))
    if hasattr(file, "readinto"):
        return lambda most: buffer[: _ready(file.readinto(buffer[:most]))]

    def read(most: int) -> memoryview:
        block = _ready(file.read(most))
        buffer[: len(block)] = block
        return buffer[: len(block)]

    return read


def _ready(read: Any) -> Any:
    """None is no end: it is what a file says that does not wait for bytes, and has none at the moment."""
    if read is None:
        raise BlockingIOError(errno.EAGAIN, "it has nothing to read yet, and does not wait: it is non-blocking")
    return read


@contextlib.contextmanager
def opened(path: str) -> Iterator[Source]:
    """A local file, by name."""
    with local_source(path):
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):  # noqa: PTH112, PTH116 - as open, below
            raise LocalSourceError("it is not a regular file", path=path, hint="open it, and hand over the open file")
        file = open(path, "rb", buffering=0)  # noqa: SIM115, PTH123 - closed below; its failures are named apart
    with file:
        stamp = Stamp.of(os.fstat(file.fileno()))
        yield Source(file, stamp.size, 0, path, stamp, by_name=True, mtime_ns=stamp.mtime_ns)


@contextlib.contextmanager
def rewindable(file: BinaryIO) -> Iterator[Source]:
    """An open file, from where it stands; a stream that cannot go back is kept on the side first."""
    name = str(getattr(file, "name", "the source"))
    if seekable(file):
        begin = file.tell()
        size = max(end_of(file) - begin, 0)
        stamp = _stamp_of(file)
        yield Source(file, size, begin, name, stamp, mtime_ns=stamp.mtime_ns if stamp else None)
        return
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as kept:
        with local_source(name):
            while block := _ready(file.read(BLOCK)):
                with local_target(f"{tempfile.gettempdir()}, where {name} is kept on the side"):
                    kept.write(block)
        yield Source(kept, kept.tell(), 0, name)  # type: ignore[arg-type]


def _stamp_of(file: BinaryIO) -> Stamp | None:
    """None for what is no file on disk."""
    try:
        status = os.fstat(file.fileno())
    except (AttributeError, OSError):
        return None
    return Stamp.of(status) if stat.S_ISREG(status.st_mode) else None


def end_of(file: BinaryIO) -> int:
    """Go there. Before Python 3.11 a SpooledTemporaryFile does not say where that is."""
    file.seek(0, os.SEEK_END)
    return file.tell()


def seekable(file: BinaryIO) -> bool:
    """Before Python 3.11 a SpooledTemporaryFile does not say so."""
    return file.seekable() if hasattr(file, "seekable") else hasattr(file, "seek")


def local_source(path: str) -> AbstractContextManager[None]:
    """Failures to read `path`."""
    return _Translated(path, LocalSourceError, LocalSourceMissing)


def local_target(path: str) -> AbstractContextManager[None]:
    """Failures to write `path`."""
    return _Translated(path, LocalTargetError, LocalTargetError)


class _Translated:
    """A class, as a small file passes a dozen of these, and a generator costs four times as much."""

    def __init__(self, path: str, kind: type[LocalFileError], missing: type[LocalFileError]) -> None:
        self._path = path
        self._kind = kind
        self._missing = missing

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, Cs3Error):
            kind = self._missing if isinstance(error, FileNotFoundError) else self._kind
            raise kind.of(error, self._path) from error
