"""Where a download goes, and how much of it is there: what the next attempt goes on from."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from rucio_cs3.errors import LocalTargetError
from rucio_cs3.transfer.local import BLOCK, local_target, seekable
from rucio_cs3.transfer.verify import Tally, cheapest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rucio_cs3.checksums import Adler32
    from rucio_cs3.model import Info

SHORTER = "it became shorter while it was read"


class Landing:
    """The first `reached` bytes of the file are in the sink and in the running checksums."""

    def __init__(self, sink: BinaryIO, wanted: Iterable[str], progress: Callable[[int, int], None] | None) -> None:
        self.restarts = 0
        self._name = str(getattr(sink, "name", "the target"))
        self._sink = sink
        self._begin = sink.tell() if seekable(sink) and not _appends(sink) else None
        self._wanted = set(wanted)
        self._progress = progress
        self._tally = Tally((), 0)
        self._size = 0
        self._furthest = 0
        self._arrived = 0
        self._lock = threading.Lock()

    @property
    def reached(self) -> int:
        return self._tally.size

    @property
    def checksums(self) -> dict[str, str]:
        return self._tally.checksums

    @property
    def can_begin(self) -> bool:
        """False for a stream that has taken bytes already."""
        return self._begin is not None or not self._furthest

    def begin(self, info: Info) -> None:
        """From the first byte on."""
        self.restarts += self._furthest > 0
        self._size = info.size
        self._tally = Tally({*cheapest(info.checksums), *self._wanted}, info.size, self._progress)
        self._go_to(0)

    def take_up(self, count: int) -> None:
        """Go on from the `count` bytes that are there already: they are read, and so verified with the rest."""
        view = memoryview(bytearray(BLOCK))
        sink: Any = self._sink
        with local_target(self._name):
            while self.reached < count:
                got = sink.readinto(view[: min(BLOCK, count - self.reached)])
                if not got:
                    raise LocalTargetError(SHORTER, path=self._name)
                self._tally.hash(view[:got])
        self._furthest = count

    def add(self, view: memoryview) -> None:
        """The next bytes."""
        with local_target(self._name):
            _write(self._sink, view)
        self._furthest = max(self._furthest, self.reached + len(view))
        self._tally.add(view)

    def end(self) -> None:
        """Take away what an attempt wrote beyond: the file became shorter. What lies further behind is the caller's."""
        if self._furthest > self._size:
            with local_target(self._name):
                self._sink.truncate()

    # For threads, each with a part of the file.

    @property
    def takes_parts(self) -> bool:
        """A file of which the bytes can be written, and when they are needed for a checksum also read, anywhere."""
        descriptor = self._descriptor()
        if descriptor is None or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        readable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        return readable or self._tally.takes_parts

    def open_parts(self) -> None:
        """No byte may wait in a buffer, to be written over a part later."""
        with local_target(self._name):
            self._sink.flush()
        self._arrived = self.reached

    def put(self, view: memoryview, offset: int) -> None:
        """Bytes of a part, in any order."""
        at = offset
        with local_target(self._name):
            while view:
                count = os.pwrite(self._sink.fileno(), view, (self._begin or 0) + at)
                at += count
                view = view[count:]
        with self._lock:
            self._furthest = max(self._furthest, at)
            self._arrived += at - offset
            self._tally.tell(self._arrived)

    def absorb(self, adler: Adler32, length: int) -> None:
        """The part that follows what is reached is whole."""
        if self._tally.takes_parts:
            self._tally.append(adler, length)
            return
        end = self.reached + length
        with local_target(self._name):
            while self.reached < end:
                at = (self._begin or 0) + self.reached
                got = os.pread(self._sink.fileno(), min(BLOCK, end - self.reached), at)
                if not got:
                    raise LocalTargetError(SHORTER, path=self._name)
                self._tally.hash(got)

    def close_parts(self) -> None:
        """Go on in order, from what is reached."""
        self._go_to(self.reached)

    def _descriptor(self) -> int | None:
        """None for what is not a file itself: a wrapper's `fileno` is that of something below, with other bytes."""
        plain = isinstance(self._sink, (io.FileIO, io.BufferedWriter, io.BufferedRandom))
        if not plain or self._begin is None or not isinstance(getattr(self._sink, "raw", self._sink), io.FileIO):
            return None
        return self._sink.fileno()

    def _go_to(self, offset: int) -> None:
        if self._begin is not None:
            with local_target(self._name):
                self._sink.seek(self._begin + offset)


def _appends(sink: BinaryIO) -> bool:
    """Such a file goes back when told to, and then writes at its end all the same."""
    try:
        return bool(fcntl.fcntl(sink.fileno(), fcntl.F_GETFL) & os.O_APPEND)
    except (AttributeError, OSError):  # it is no file of the system's
        return False


def _write(sink: BinaryIO, rest: memoryview) -> None:
    """An unbuffered file takes what it has room for."""
    while rest:
        count = sink.write(rest)
        if not count:
            raise BlockingIOError(errno.EAGAIN, "it takes no more")
        rest = rest[count:]
