"""Bytes from the storage: size and checksum agree before anybody sees the file under its name."""

from __future__ import annotations

import contextlib
import errno
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from rucio_cs3.errors import ChecksumMismatch, IsDirectory, Processing, Unavailable, Unsupported, WrongContent
from rucio_cs3.model import Ref
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.http import expect, map_failures
from rucio_cs3.transfer.local import local_target, seekable
from rucio_cs3.transfer.retry import DOWNLOAD, retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.cs3.files import Endpoint, Files
    from rucio_cs3.model import Info, Target
    from rucio_cs3.transfer.http import DataServers

BLOCK = 1 << 20
PROTOCOLS = ("simple", "spaces")  # two names of one plain GET


class Downloads:
    """Downloads of one client."""

    def __init__(self, config: Config, files: Files, servers: DataServers, tokens: Tokens) -> None:
        self._config = config
        self._files = files
        self._servers = servers
        self._tokens = tokens

    def to_path(self, target: Target, path: str, **options: Any) -> Info:
        """Like `to_file`, into a new file that gets its name when it is whole and right."""
        place = Path(path)
        with local_target(path):
            if place.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            if place.exists() and not place.is_file():
                raise OSError(errno.EEXIST, "it is not a regular file: open it, and hand over the open file")
        part = place.with_name(f".rucio-cs3-{secrets.token_hex(6)}.part")
        try:
            with local_target(path), part.open("xb") as sink:
                info = self.to_file(target, sink, **options)
            with local_target(path):
                part.replace(place)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return info

    def to_file(
        self,
        target: Target,
        sink: BinaryIO,
        *,
        checksums: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Info:
        """Write the file to `sink` and compare with the storage's checksum and those given.

        A second attempt needs a `sink` that can go back to where it began.
        """
        ref = Ref.of(target)
        expected = verify.named(checksums or {})
        begin = sink.tell() if seekable(sink) else None
        reached = 0

        def attempt(number: int) -> Info:
            nonlocal reached
            if number and begin is not None:
                reached = max(reached, sink.tell())
                sink.seek(begin)
            info = self._once(ref, sink, expected, progress)
            if number and sink.tell() < reached:  # the file became shorter; what lies further behind is the caller's
                sink.truncate()
            return info

        times = self._config.retries if begin is not None else 0
        return retry(attempt, DOWNLOAD, times=times, tokens=self._tokens)

    def _once(
        self,
        ref: Ref,
        sink: BinaryIO,
        wanted: Mapping[str, str],
        progress: Callable[[int, int], None] | None,
    ) -> Info:
        info = self.readable(ref)
        tally = verify.Tally({*verify.cheapest(info.checksums), *wanted}, info.size, progress)
        endpoint = self.endpoint(ref)
        path = str(ref)
        with self._servers.get(endpoint, path=path) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                raise Unavailable("the data server does not find what the storage has just shown", path=path)
            expect(response, (HTTPStatus.OK,), path)
            verify.same_size(info.size, int(response.headers.get("Content-Length", info.size)), path, "the data server")
            for block in blocks(response, endpoint, path):
                tally.add(block)
                with local_target(str(getattr(sink, "name", "the target"))):
                    _write(sink, block)
        verify.same_size(info.size, tally.size, path, "what arrived")
        verify.same_checksums(tally.checksums, info.checksums, path, "the storage says")
        confirmed = info.checksums.keys() & tally.checksums.keys()
        error = WrongContent if confirmed else ChecksumMismatch  # else it may have been damaged on the way
        verify.same_checksums(tally.checksums, wanted, path, "expected was", error)
        return info

    def readable(self, ref: Ref) -> Info:
        """Stat a file that has content to give."""
        info = self._files.stat(ref)
        if not info.is_file:
            raise IsDirectory(f"it is a {info.kind}, not a file", path=str(ref))
        if info.processing:
            raise Processing("the storage is still processing it", path=str(ref))
        return info

    def endpoint(self, ref: Ref) -> Endpoint:
        offered = self._files.initiate_download(ref)
        for endpoint in offered:
            if endpoint.protocol in PROTOCOLS:
                return endpoint
        names = ", ".join(e.protocol for e in offered) or "nothing"
        raise Unsupported(
            f"the site offers {names} for downloads, and we speak {' and '.join(PROTOCOLS)}", path=str(ref)
        )


def _write(sink: BinaryIO, block: bytes) -> None:
    """An unbuffered file takes what it has room for."""
    rest = memoryview(block)
    while rest:
        count = sink.write(rest)
        if not count:
            raise BlockingIOError(errno.EAGAIN, "it takes no more")
        rest = rest[count:]


def blocks(response: Any, endpoint: Endpoint, path: str) -> Iterator[bytes]:
    while True:
        with map_failures(endpoint.url, path):
            block: bytes = response.read(BLOCK)
        if not block:
            return
        yield block
