"""Remote files as file objects: for reading with seek, for writing whole or not at all."""

from __future__ import annotations

import contextlib
import io
import tempfile
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rucio_cs3.errors import Interrupted
from rucio_cs3.transfer.http import expect, map_failures
from rucio_cs3.transfer.local import IN_MEMORY, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from rucio_cs3.model import Info, Ref
    from rucio_cs3.transfer.download import Downloads
    from rucio_cs3.transfer.http import DataServers
    from rucio_cs3.transfer.upload import Uploads

BUFFER = 1 << 20


class RemoteFile(io.RawIOBase):
    """Reads one file. A seek asks for a range; without ranges the file is read again and skipped through."""

    def __init__(self, ref: Ref, info: Info, downloads: Downloads, servers: DataServers) -> None:
        super().__init__()
        self._downloads = downloads
        self._servers = servers
        self._ref = ref
        self.info = info
        self._position = 0  # where the caller is
        self._streamed = 0  # where the open response is
        self._response: Any = None
        self._responses = contextlib.ExitStack()
        self._etag: str | None = None
        self._opened = False
        self._replaced: Interrupted | None = None

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

    def readinto(self, buffer: Any, /) -> int:
        wanted = min(len(buffer), self.info.size - self._position)
        if wanted <= 0:
            return 0
        self._align()
        block = self._read(wanted)
        buffer[: len(block)] = block
        self._position += len(block)
        return len(block)

    def close(self) -> None:
        self._responses.close()
        super().close()

    def _align(self) -> None:
        """Have a response that stands where the caller is."""
        if self._response is None or not self._streamed <= self._position < self._streamed + BUFFER:
            self._open_at(self._position)
        while self._streamed < self._position:
            self._read(min(BUFFER, self._position - self._streamed))

    def _open_at(self, offset: int) -> None:
        if self._replaced:
            raise self._replaced
        self._response = None
        self._responses.close()
        path = str(self._ref)
        self._endpoint = self._downloads.endpoint(self._ref)
        response = self._get({"Range": f"bytes={offset}-"} if offset else {})
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._responses.close()
            response = self._get({})
        expect(response, (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT), path)
        streamed = offset if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        self._same_content(response, streamed, path)
        self._response, self._streamed, self._opened = response, streamed, True

    def _get(self, headers: dict[str, str]) -> Any:
        response = self._servers.get(self._endpoint, path=str(self._ref), headers=headers)
        return self._responses.enter_context(response)

    def _same_content(self, response: Any, streamed: int, path: str) -> None:
        """Parts of two versions do not make a file; servers ignore If-Match, so we look ourselves."""
        left = self.info.size - streamed
        whole = int(response.headers.get("Content-Length", left)) == left
        etag = response.headers.get("ETag")
        same = etag == self._etag if etag and self._etag else not self._opened or self._unchanged()
        if not (whole and same):
            self._replaced = Interrupted("the file was replaced while it was read", path=path)
            raise self._replaced
        self._etag = etag

    def _unchanged(self) -> bool:
        """For servers whose answers carry no ETag."""
        now = self._downloads.readable(self._ref)
        return (now.etag, now.size, now.mtime) == (self.info.etag, self.info.size, self.info.mtime)

    def _read(self, size: int) -> bytes:
        response, self._response = self._response, None
        with map_failures(self._endpoint.url, str(self._ref)):
            block: bytes = response.read(size)
        self._response = response  # one that failed is not read on
        if not block:
            raise Interrupted(f"it ended after {self._streamed} of {self.info.size} bytes", path=str(self._ref))
        self._streamed += len(block)
        return block


def reader(ref: Ref, downloads: Downloads, servers: DataServers) -> io.BufferedReader:
    return io.BufferedReader(RemoteFile(ref, downloads.readable(ref), downloads, servers), BUFFER)


@contextlib.contextmanager
def writer(ref: Ref, uploads: Uploads, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Collects what is written, and uploads it at the end of the block; an exception in the block uploads nothing."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as kept:
        yield kept
        size = kept.seek(0, io.SEEK_END) or kept.tell()  # before Python 3.11 seek returns nothing
        uploads.put(Source(kept, size, 0, "what was written"), ref, overwrite=overwrite)  # type: ignore[arg-type]
