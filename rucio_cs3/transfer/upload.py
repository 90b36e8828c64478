"""Bytes to the storage: under a temporary name, verified there, then moved to the final one.

Some servers commit what they got of an upload that was cut, ignore the declared length and every checksum, write in
place, and replace a folder by a file. So nothing is written under a name that matters before it was seen to be right.
"""

from __future__ import annotations

import io
import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, TypeVar

from rucio_cs3 import deadline
from rucio_cs3.checksums import normalise
from rucio_cs3.credentials import jwt
from rucio_cs3.cs3.files import FIRST_LOOK, LATER_LOOKS
from rucio_cs3.errors import (
    AlreadyExists,
    ChecksumMismatch,
    Cs3Error,
    DeadlineExceeded,
    Interrupted,
    InvalidRequest,
    Locked,
    NotFound,
    NotStored,
    PermissionDenied,
    PreconditionFailed,
    Processing,
    ServerError,
    SizeMismatch,
    StorageFull,
    TokenRejected,
    TurnedDown,
    Unavailable,
    WrongContent,
)
from rucio_cs3.model import Ref, Uploaded
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.delivery import Delivery
from rucio_cs3.transfer.local import BLOCK
from rucio_cs3.transfer.retry import UPLOAD, retry
from rucio_cs3.transfer.sessions import Sessions, Slot, folder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.cs3.files import Files
    from rucio_cs3.model import Info, Target
    from rucio_cs3.transfer.download import Downloads
    from rucio_cs3.transfer.folders import Folders
    from rucio_cs3.transfer.http import DataServers
    from rucio_cs3.transfer.local import Source

T = TypeVar("T")
log = logging.getLogger(__name__)
PART = re.compile(r"-chunking-\w+-\d+-\d+$")  # to servers such a name is a part of another file, which they overwrite
LOOKS = (DeadlineExceeded, Interrupted, ServerError, Unavailable)  # what may pass when the storage is asked again
DOUBTS = 1000  # names to be doubted; a server has committed what it can long before there are so many
LATE_COMMIT = (0.0, 0.1, 0.3, 1.0)  # seconds; a server notices a cut upload a moment after us, and commits it then

# After these the server is done with what was sent: nothing of it can be committed later.
ANSWERED = (
    AlreadyExists,
    ChecksumMismatch,
    InvalidRequest,
    Locked,
    NotStored,
    PermissionDenied,
    PreconditionFailed,
    SizeMismatch,
    StorageFull,
    TokenRejected,
)


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
        self._sessions = Sessions(folder_of(config.resume), config.gateway)
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
        self._look(ref, root, overwrite=overwrite)
        known = expected
        if source.size <= BLOCK:  # then it is hashed before it goes, and the storage can be told what to expect
            source = source.in_memory()
            known = _hashed(source, {"adler32", *expected})
            verify.same_checksums(known, expected, source.name, "expected was", WrongContent)
        opaque = _opaque(source, known)
        slot = self._slot(source, ref, temporary=temporary)
        delivery = Delivery(self._config, self._files, self._servers, source, ref, slot)

        def attempt(number: int) -> Uploaded:
            self._folders.ensure(ref.parent, root)
            # Not a second time under the same name: the server may yet commit the first, cut one there.
            direct = temporary and number == 0 and source.size > 0 and not PART.search(ref.name)
            left = self._left(delivery)
            staging = left or (ref if direct else ref.parent / f".rucio-cs3-{secrets.token_hex(6)}.part")
            tally = verify.Tally({"adler32", *expected}, source.size, progress)
            try:
                if source.size and left is None:
                    delivery.begin(staging, opaque)
                self._send(source, staging, delivery, tally, expected)
                written = self._check(source, staging, tally, inherited=left is not None and delivery.inherited)
                if staging != ref:
                    self._settle(staging, ref, written, overwrite=overwrite)
            except BaseException as error:
                self._folders.forget(ref.parent)
                if not delivery.goes_on_after(error):
                    delivery.give_up()
                    self._discard(staging, late=tally.size > 0 and not isinstance(error, ANSWERED))
                    if staging == ref and tally.size:
                        self._doubt(ref)
                raise
            delivery.done()
            if ref in self._doubtful:
                self._doubtful[ref] = written
            seen = (written.mtime, written.etag) if written else ()
            return Uploaded(ref, tally.size, tally.checksums, *seen)

        try:
            return retry(
                attempt, UPLOAD, times=self._config.retries, tokens=self._tokens, reached=lambda: delivery.reached
            )
        except BaseException as error:
            self._end(delivery, source, error)
            raise
        finally:
            slot.close()

    def _end(self, delivery: Delivery, source: Source, error: BaseException) -> None:
        """Say how to go on, or leave nothing behind."""
        if delivery.resumable:
            there = delivery.reached or "some"  # the server has not been asked where it stands
            _tell(error, f"{there} of {source.size} bytes are there: upload it again, and it goes on")
            return
        staging = delivery.staging
        delivery.give_up()
        if staging:
            self._discard(staging, late=True)

    def moved(self, old: Ref, new: Ref) -> None:
        """See that what was moved is what was verified, where a cut upload could yet be committed over it."""
        known = self._doubtful.pop(old, None)
        if known is None:
            return
        try:
            self._same(new, known)
        except Interrupted:
            self._discard(new, late=False)
            raise

    def _same(self, ref: Ref, known: Info | None) -> None:
        """See that `ref` is what was verified."""
        there = self._files.stat(ref)
        if known and (there.size, there.mtime, there.etag) != (known.size, known.mtime, known.etag):
            raise Interrupted("an earlier upload, cut on its way, was committed over this one", path=str(ref))

    def _look(self, ref: Ref, root: Ref | None, *, overwrite: bool) -> None:
        """Drivers that know no ids would make a root that is missing, such as one that is not mounted."""
        if self._again(lambda _: self._files.may_write(ref, overwrite=overwrite)) or root is None or root.id:
            return
        try:
            self._files.stat(root)
        except NotFound as error:
            raise Unavailable("the root folder is not there", path=str(root), status=error.status) from error

    def _settle(self, staging: Ref, final: Ref, written: Info | None, *, overwrite: bool) -> None:
        """Give the file its name, if that is still free or may be taken."""

        def settle(number: int) -> None:
            if number and not self._files.exists(staging):  # nobody else knows this name: it went after all
                self._same(final, written)
            elif overwrite:
                self._files.replace(staging, final, written)
            else:
                self._files.move(staging, final)

        self._again(settle)

    def _left(self, delivery: Delivery) -> Ref | None:
        """The name under which an earlier attempt goes on. Nothing stays under one with which it does not."""
        before = delivery.staging
        left = delivery.resume()
        if before and left is None:
            self._discard(before, late=False)
        return left

    def _slot(self, source: Source, target: Ref, *, temporary: bool) -> Slot:
        """Where it is remembered how far this upload came; a small file is sent again sooner than looked up."""
        if not source.by_name or source.size <= BLOCK or self._config.upload_protocol == "simple":
            return Slot(None)
        user = jwt.claims(self._tokens.get()).get("user")
        return self._sessions.slot(repr(user), target, source.name, temporary=temporary)

    def _doubt(self, ref: Ref) -> None:
        self._doubtful[ref] = None
        if len(self._doubtful) > DOUBTS:
            del self._doubtful[next(iter(self._doubtful))]

    def _again(self, look: Callable[[int], T]) -> T:
        """For calls that are cheap beside the bytes, and safe to repeat: what was sent is not thrown away for them."""
        return retry(look, LOOKS, times=self._config.retries, tokens=self._tokens)

    def _send(
        self, source: Source, staging: Ref, delivery: Delivery, tally: verify.Tally, expected: Mapping[str, str]
    ) -> None:
        """Send the bytes, and see that they were those of the file."""
        if source.size:
            try:
                delivery.send(tally)
            except (ChecksumMismatch, ServerError):  # the storage compares with what it was told to expect
                if tally.size == source.size:
                    _as_expected(source, tally, expected)
                raise
        else:
            # an empty PUT is an error on some servers, and TUS makes no file of it on others
            self._files.touch(staging)
        _as_expected(source, tally, expected)

    def _check(self, source: Source, staging: Ref, tally: verify.Tally, *, inherited: bool) -> Info | None:
        """See that the storage has what was sent. None when nobody is to look."""
        if self._config.verify == "none":
            return None
        info = self._stored(staging, tally)
        if self._config.verify == "readback" or (inherited and not info.checksums):
            try:
                self._downloads.to_file(staging, _Void(), checksums=tally.checksums)
            except WrongContent as error:  # by the storage's own word; but what was sent was right
                raise ChecksumMismatch(error.message, path=error.path) from error
        elif info.checksums and not info.checksums.keys() & tally.checksums.keys():
            # It tells one that we did not compute on the way.
            ours = _hashed(source, verify.cheapest(info.checksums))
            source.confirm()
            verify.same_checksums(ours, info.checksums, str(staging), "the storage computed")
        return info

    def _stored(self, staging: Ref, tally: verify.Tally) -> Info:
        """What the storage has, if that is what was sent, and if the storage's own checks are over.

        Raises:
            NotStored: it is not there, or TurnedDown by those checks.
            Processing: they take too long.
        """
        patience = time.monotonic() + self._config.processing_timeout
        pause, processed = FIRST_LOOK, False
        while True:
            try:
                info = self._again(lambda _: self._files.stat(staging))
                if not processed or not info.processing:
                    verify.stored(tally, info, str(staging))
            except (NotFound, SizeMismatch, ChecksumMismatch) as error:
                if processed:
                    raise TurnedDown(
                        "the storage took the bytes, and its checks turned them down", path=str(staging)
                    ) from error
                if isinstance(error, NotFound):
                    raise NotStored("the storage took the bytes, but has no such file", path=str(staging)) from error
                raise
            if not info.processing:
                return info
            processed = True
            if time.monotonic() > patience:
                raise Processing(
                    "the storage is still processing it",
                    path=str(staging),
                    hint="raise processing_timeout, or ask the site's operator",
                )
            deadline.sleep(pause)
            pause = min(2 * pause, LATER_LOOKS)

    def _discard(self, staging: Ref, *, late: bool) -> None:
        """Remove what a failed upload left. A second failure must not hide the first."""
        with deadline.apart():
            self._delete(staging, LATE_COMMIT if late else LATE_COMMIT[:1])

    def _delete(self, staging: Ref, pauses: Iterable[float]) -> None:
        for pause in pauses:
            time.sleep(pause)
            try:
                self._files.discard(staging)
            except NotFound:
                continue
            except Cs3Error as error:
                log.warning("could not remove what a failed upload left: %s", error)
            return


def _tell(error: BaseException, hint: str) -> None:
    if isinstance(error, Cs3Error):
        error.hint = hint
    else:
        log.warning("stopped: %s", hint)


def _hashed(source: Source, algorithms: Iterable[str]) -> dict[str, str]:
    tally = verify.Tally(algorithms, source.size)
    for block in source.blocks():
        tally.add(block)
    return tally.checksums


def _opaque(source: Source, known: Mapping[str, str]) -> dict[str, str]:
    """What a session is opened with: storages that do not look at it do no harm."""
    opaque = {}
    for name in verify.cheapest(known):
        opaque["Upload-Checksum"] = f"{name} {normalise(name, known[name])}"
    if source.mtime_ns is not None and source.mtime_ns >= 0:
        seconds, nanos = divmod(source.mtime_ns, 10**9)
        opaque["X-OC-Mtime"] = f"{seconds}.{nanos:09}"
    return opaque


def _as_expected(source: Source, tally: verify.Tally, expected: Mapping[str, str]) -> None:
    """Raises LocalSourceError for a source that changed on the way, WrongContent for one that is another file."""
    source.confirm()
    verify.same_checksums(tally.checksums, expected, source.name, "expected was", WrongContent)


class _Void(io.BytesIO):
    """Where a file goes that is read only to be compared."""

    def write(self, data: Any) -> int:
        return len(data)
