"""Bytes to the storage: under a temporary name, verified there, then moved to the final one.

Some servers commit what they got of an upload that was cut, ignore the declared length and every checksum, write in
place, and replace a folder by a file. So nothing is written under a name that matters before it was seen to be right.
"""

from __future__ import annotations

import io
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from rucio_cs3 import deadline
from rucio_cs3.errors import (
    Cs3Error,
    Interrupted,
    NotFound,
    NotStored,
    Processing,
    Unavailable,
    Unsupported,
    WrongContent,
)
from rucio_cs3.model import Ref, Uploaded
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.retry import UPLOAD, retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.cs3.files import Endpoint, Files
    from rucio_cs3.model import Info, Target
    from rucio_cs3.transfer.download import Downloads
    from rucio_cs3.transfer.folders import Folders
    from rucio_cs3.transfer.http import DataServers
    from rucio_cs3.transfer.local import Source

log = logging.getLogger(__name__)
PROCESSING_POLL = 0.5  # seconds
LATE_COMMIT = (0.0, 0.1, 0.3, 1.0)  # seconds; a server notices a cut upload a moment after us, and commits it then


class Uploads:
    """Uploads of one client."""

    def __init__(
        self, config: Config, files: Files, servers: DataServers, tokens: Tokens, folders: Folders, downloads: Downloads
    ) -> None:
        self._config = config
        self._files = files
        self._servers = servers
        self._tokens = tokens
        self._folders = folders
        self._downloads = downloads
        self._doubtful: dict[Ref, Info | None] = {}  # names that a cut upload may yet overwrite, and what is there

    def put(
        self,
        source: Source,
        target: Target,
        *,
        overwrite: bool = False,
        temporary: bool = False,
        root: Ref | None = None,
        checksums: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Uploaded:
        """Upload `source`. With `temporary`, `target` itself is a name that does not matter, and the move is saved.

        Missing folders are made, but not `root` nor what is above it.

        Raises:
            AlreadyExists: `target` is there and `overwrite` is not given.
            IsDirectory: `target` is a folder.
            ChecksumMismatch: `source` is not what `checksums` say; nothing is kept.
        """
        ref = Ref.of(target)
        expected = verify.named(checksums or {})
        if not self._files.may_write(ref, overwrite=overwrite) and root is not None and root.id is None:
            self._see(root)

        def attempt(number: int) -> Uploaded:
            self._folders.ensure(ref.parent, root)
            # Not a second time under the same name: the server may yet commit the first, cut one there.
            direct = temporary and number == 0 and source.size > 0
            staging = ref if direct else ref.parent / f".rucio-cs3-{secrets.token_hex(6)}.part"
            tally = verify.Tally({"adler32", *expected}, source.size, progress)
            try:
                written = self._write(source, staging, tally, expected)
                if not direct:
                    self._settle(staging, ref, written, overwrite=overwrite)
            except BaseException:
                self._folders.forget(ref.parent)
                self._discard(staging, late=tally.size > 0)
                if direct and tally.size:
                    self._doubtful[ref] = None
                raise
            if ref in self._doubtful:
                self._doubtful[ref] = written
            return Uploaded(ref, tally.size, tally.checksums)

        return retry(attempt, UPLOAD, times=self._config.retries, tokens=self._tokens)

    def moved(self, old: Ref, new: Ref) -> None:
        """See that what was moved is what was verified, where a cut upload could yet be committed over it."""
        known = self._doubtful.pop(old, None)
        if known is None:
            return
        there = self._files.stat(new)
        if (there.size, there.mtime, there.etag) != (known.size, known.mtime, known.etag):
            self._discard(new, late=False)
            raise Interrupted("an earlier upload, cut on its way, was committed over this one", path=str(old))

    def _see(self, root: Ref) -> None:
        """Drivers that know no ids would make a root that is missing, such as one that is not mounted."""
        try:
            self._files.stat(root)
        except NotFound as error:
            raise Unavailable("the root folder is not there", path=str(root), status=error.status) from error

    def _settle(self, staging: Ref, final: Ref, written: Info, *, overwrite: bool) -> None:
        """Give the file its name, if that is still free or may be taken."""
        if overwrite:
            self._files.replace(staging, final, written)
        else:
            self._files.move(staging, final)

    def _write(self, source: Source, staging: Ref, tally: verify.Tally, checksums: Mapping[str, str]) -> Info:
        """Send the bytes, and see that they are there."""
        if source.size:
            endpoint = self._endpoint(staging, source.size)
            body = _counted(source, tally)
            self._servers.put(endpoint, body, source.size, path=str(staging))
        else:
            for _ in source.blocks():  # none, or it has grown
                pass
            # an empty PUT is an error on some servers, and TUS makes no file of it on others
            self._files.touch(staging)
        verify.same_checksums(tally.checksums, checksums, source.name, "expected was", WrongContent)
        info = self._stat_written(staging)
        verify.stored(tally, info, str(staging))
        told = info.checksums and not info.checksums.keys() & tally.checksums.keys()
        if self._config.verify == "readback" or told:  # it tells a checksum that we did not compute on the way
            self._downloads.to_file(staging, _Void(), checksums=tally.checksums)
        return info

    def _stat_written(self, staging: Ref) -> Info:
        """Raises NotStored, also when an asynchronous check of the storage turned the file down, or Processing."""
        patience = time.monotonic() + self._config.stall_timeout
        while True:
            try:
                info = self._files.stat(staging)
            except NotFound as error:
                raise NotStored("the storage took the bytes, but has no such file", path=str(staging)) from error
            if not info.processing:
                return info
            if time.monotonic() > patience:
                raise Processing("the storage is still processing it", path=str(staging))
            deadline.sleep(PROCESSING_POLL)

    def _endpoint(self, staging: Ref, size: int) -> Endpoint:
        offered = self._files.initiate_upload(staging, size)
        for endpoint in offered:
            if endpoint.protocol == "simple":
                return endpoint
        names = ", ".join(e.protocol for e in offered) or "nothing"
        raise Unsupported(f"the site offers {names} for uploads, and we speak simple", path=str(staging))

    def _discard(self, staging: Ref, *, late: bool) -> None:
        """Remove what a failed upload left. A second failure must not hide the first."""
        with deadline.apart():
            self._delete(staging, LATE_COMMIT if late else LATE_COMMIT[:1])

    def _delete(self, staging: Ref, pauses: Iterable[float]) -> None:
        for pause in pauses:
            time.sleep(pause)
            try:
                self._files.delete(staging)
            except NotFound:
                continue
            except Cs3Error as error:
                log.warning("could not remove what a failed upload left: %s", error)
            return


def _counted(source: Source, tally: verify.Tally) -> Iterator[bytes]:
    for block in source.blocks():
        deadline.check()  # no time is seen on the socket when its buffers take all
        tally.add(block)
        yield block


class _Void(io.BytesIO):
    """Where a file goes that is read only to be compared."""

    def write(self, data: Any) -> int:
        return len(data)
