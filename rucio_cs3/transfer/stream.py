"""Remote files as file objects: for reading with seek, for writing whole or not at all."""

from __future__ import annotations

import contextlib
import io
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from rucio_cs3.errors import Interrupted
from rucio_cs3.transfer.content import Content
from rucio_cs3.transfer.local import IN_MEMORY, Source, end_of
from rucio_cs3.transfer.retry import DOWNLOAD, retry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from rucio_cs3.model import Info, Ref
    from rucio_cs3.transfer.content import Body
    from rucio_cs3.transfer.download import Downloads
    from rucio_cs3.transfer.http import DataServers
    from rucio_cs3.transfer.upload import Uploads

BUFFER = 1 << 20


class Seekable(io.RawIOBase):
    """Where a reader stands in a file."""

    def __init__(self, info: Info) -> None:
        super().__init__()
        self.info = info
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.info.size}[whence]
        if start + offset < 0:
            raise ValueError("cannot seek before the beginning")
        self._position = start + offset
        return self._position


class RemoteFile(Seekable):
    """Reads one file. A seek asks for a range; without ranges the file is read again and skipped through."""

    def __init__(self, ref: Ref, info: Info, downloads: Downloads, servers: DataServers) -> None:
        super().__init__(info)
        self._times = downloads.config.retries
        self._tokens = downloads.tokens
        self._content = Content(ref, info, downloads, servers)
        self._streamed = 0  # where the open body is
        self._body: Body | None = None
        self._bodies = contextlib.ExitStack()

    def readinto(self, buffer: Any, /) -> int:
        wanted = min(len(buffer), self.info.size - self._position)
        if wanted <= 0:
            return 0
        view = memoryview(buffer).cast("B")[:wanted]
        count = retry(lambda _: self._read_here(view), DOWNLOAD, times=self._times, tokens=self._tokens)
        self._position += count
        if self._position == self.info.size:
            self._content.confirm()
        return count

    def close(self) -> None:
        self._bodies.close()
        super().close()

    def _read_here(self, view: memoryview) -> int:
        self._align()
        return self._read(view)

    def _align(self) -> None:
        """Have a body that stands where the caller is."""
        ahead = self._position - self._streamed
        near = ahead < BUFFER or not self._content.may_serve_parts
        if self._body is None or ahead < 0 or not near:
            self._open_at(self._position)
        while self._streamed < self._position:
            skipped = memoryview(bytearray(min(BUFFER, self._position - self._streamed)))
            self._read(skipped)

    def _open_at(self, offset: int) -> None:
        self._body = None
        self._bodies.close()
        body = self._bodies.enter_context(self._content.open(offset))
        self._content.compare_answers()
        self._body, self._streamed = body, body.start

    def _read(self, view: memoryview) -> int:
        body, self._body = self._body, None
        assert body
        count = body.fill(view)
        self._body = body  # one that failed is not read on
        if not count:
            raise Interrupted(f"it ended after {self._streamed} of {self.info.size} bytes", path=body.path)
        self._streamed += count
        return count


def reader(ref: Ref, downloads: Downloads, servers: DataServers) -> io.BufferedReader:
    return io.BufferedReader(RemoteFile(ref, downloads.readable(ref), downloads, servers), BUFFER)


@contextlib.contextmanager
def writer(ref: Ref, uploads: Uploads, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Collects what is written, and uploads it at the end of the block; an exception in the block uploads nothing."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as kept:
        yield kept
        file = cast("BinaryIO", kept)
        uploads.put(Source(file, end_of(file), 0, "what was written"), ref, overwrite=overwrite)
