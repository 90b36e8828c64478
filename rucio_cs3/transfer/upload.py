"""Bytes to the storage: under a temporary name, verified there, then moved to the final one.

Some servers commit what they got of an upload that was cut, ignore the declared length and every checksum, write in
place, and replace a folder by a file. So nothing is written under a name that matters before it was seen to be right.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, TypeVar

from rucio_cs3 import deadline, observe
from rucio_cs3.checksums import normalise
from rucio_cs3.credentials import jwt
from rucio_cs3.cs3.swap import replace
from rucio_cs3.errors import (
    AlreadyExists,
    ChecksumMismatch,
    Cs3Error,
    Interrupted,
    InvalidRequest,
    Locked,
    NotFound,
    NotStored,
    PermissionDenied,
    PreconditionFailed,
    ServerError,
    SizeMismatch,
    StorageFull,
    TokenRejected,
    Unavailable,
    WrongContent,
)
from rucio_cs3.model import Ref, Uploaded
from rucio_cs3.transfer import verify
from rucio_cs3.transfer.delivery import Delivery
from rucio_cs3.transfer.local import BLOCK
from rucio_cs3.transfer.proof import Proof, hashed
from rucio_cs3.transfer.retry import UPLOAD, again, retry
from rucio_cs3.transfer.sessions import Sessions, Slot, folder_of
from rucio_cs3.transfer.traits import Traits

if TYPE_CHECKING:
    from collections.abc import Mapping

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
STAGED = re.compile(r"\.rucio-cs3-[0-9a-f]+\.part$")
PART = re.compile(r"-chunking-\w+-\d+-\d+$")  # to servers such a name is a part of another file, which they overwrite
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


@dataclass(frozen=True)
class _Wish:
    """What the caller wants of one upload."""

    ref: Ref
    root: Ref | None
    overwrite: bool
    temporary: bool
    checksums: Mapping[str, str]
    progress: Callable[[int, int], None] | None


class Uploads:
    """Uploads of one client."""

    def __init__(
        self, config: Config, files: Files, servers: DataServers, tokens: Tokens, folders: Folders, downloads: Downloads
    ) -> None:
        self.config = config
        self.files = files
        self.servers = servers
        self.tokens = tokens
        self.folders = folders
        self.proof = Proof(config, files, tokens, downloads)
        self.traits = Traits(files)
        self._sessions = Sessions(folder_of(config.resume), config.gateway)
        self._lock = threading.Lock()
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
        wish = _Wish(Ref.of(target), root, overwrite, temporary, verify.named(checksums or {}), progress)
        with observe.transfer("upload", wish.ref) as seen:
            done = self._put(source, wish)
            seen.moved(done.size)
        return done

    def _put(self, source: Source, wish: _Wish) -> Uploaded:
        with observe.phase("look"):
            self._look(wish)
        known = wish.checksums
        if source.size <= BLOCK:  # then it is hashed before it goes, and the storage can be told what to expect
            source = source.in_memory()
            known = hashed(source, {"adler32", *known})
            verify.same_checksums(known, wish.checksums, source.name, "expected was", WrongContent)
        slot = self._slot(source, wish)
        try:
            return _Upload(self, wish, source, slot, _opaque(source, known)).run()
        finally:
            slot.close()

    def _look(self, wish: _Wish) -> None:
        """Drivers that know no ids would make a root that is missing, such as one that is not mounted."""
        ref, root = wish.ref, wish.root
        there = self.again(lambda _: self.files.may_write(ref, overwrite=wish.overwrite))
        if there or root is None or root.id:
            return
        try:
            self.files.stat(root)
        except NotFound as error:
            raise Unavailable("the root folder is not there", path=str(root), status=error.status) from error

    def _slot(self, source: Source, wish: _Wish) -> Slot:
        """Where it is remembered how far this upload came; a small file is sent again sooner than looked up."""
        if not source.by_name or source.size <= BLOCK or self.config.upload_protocol == "simple":
            return Slot(None)
        user = jwt.claims(self.tokens.get()).get("user")
        return self._sessions.slot(repr(user), wish.ref, source.name, temporary=wish.temporary)

    def again(self, look: Callable[[int], T]) -> T:
        return again(look, self.config, self.tokens)

    def doubt(self, ref: Ref) -> None:
        """What was cut on its way to `ref` may yet be committed there."""
        with self._lock:
            self._doubtful[ref] = None
            if len(self._doubtful) > DOUBTS:
                del self._doubtful[next(iter(self._doubtful))]

    def written(self, ref: Ref, info: Info | None) -> None:
        """`ref` is right now, whatever comes."""
        with self._lock:
            if ref in self._doubtful:
                self._doubtful[ref] = info

    def moved(self, old: Ref, new: Ref) -> None:
        """See that what was moved is what was verified, where a cut upload could yet be committed over it."""
        with self._lock:
            known = self._doubtful.pop(old, None)
        if known is None:
            return
        try:
            self.compare(new, known)
        except Interrupted:
            self.discard(new, late=False)
            raise

    def compare(self, ref: Ref, known: Info | None) -> None:
        """See that `ref` is what was verified."""
        there = self.files.stat(ref)
        if known and (there.size, there.mtime, there.etag) != (known.size, known.mtime, known.etag):
            raise Interrupted("an earlier upload, cut on its way, was committed over this one", path=str(ref))

    def discard(self, staging: Ref, *, late: bool) -> None:
        discard(self.files, staging, late=late)


class _Upload:
    """One file, through all attempts. Each has a name of its own, unless it goes on where the last one was cut."""

    def __init__(self, of: Uploads, wish: _Wish, source: Source, slot: Slot, opaque: Mapping[str, str]) -> None:
        self._of = of
        self._wish = wish
        self._source = source
        self._opaque = opaque
        self._delivery = Delivery(of.config, of.files, of.servers, source, wish.ref, slot)

    def run(self) -> Uploaded:
        of = self._of
        try:
            return retry(self._attempt, UPLOAD, times=of.config.retries, tokens=of.tokens, reached=self._reached)
        except BaseException as error:
            self._end(error)
            _named(error, self._wish.ref)
            raise

    def _reached(self) -> int:
        return self._delivery.reached

    def _attempt(self, number: int) -> Uploaded:
        wish, of = self._wish, self._of
        with observe.phase("folders"):
            of.folders.ensure(wish.ref.parent, wish.root)
        left = self._left()
        staging = left or self._staging(number)
        tally = verify.Tally({"adler32", *wish.checksums}, self._source.size, wish.progress)
        try:
            written = self._store(staging, tally, goes_on=left is not None)
        except BaseException as error:
            of.folders.forget(wish.ref.parent)
            self._tidy(staging, tally, error)
            raise
        self._delivery.done()
        of.written(wish.ref, written)
        seen = (written.mtime, written.etag) if written else ()
        return Uploaded(wish.ref, tally.size, tally.checksums, *seen)

    def _left(self) -> Ref | None:
        """The name under which an earlier attempt goes on. Nothing stays under one with which it does not."""
        before = self._delivery.staging
        left = self._delivery.resume()
        if before and left is None:
            self._of.discard(before, late=False)
        return left

    def _staging(self, number: int) -> Ref:
        """A new name. A temporary one serves itself, but once: the server may yet commit the first, cut one there."""
        ref = self._wish.ref
        direct = self._wish.temporary and number == 0 and self._source.size > 0 and not PART.search(ref.name)
        return ref if direct else ref.parent / f".rucio-cs3-{secrets.token_hex(6)}.part"

    def _store(self, staging: Ref, tally: verify.Tally, *, goes_on: bool) -> Info | None:
        """Send it, see that it is there, and give it its name."""
        if self._source.size and not goes_on:
            self._delivery.begin(staging, self._opaque)
        self._send(staging, tally)
        inherited = goes_on and self._delivery.inherited
        with observe.phase("verify"):
            written = self._of.proof.of(self._source, staging, tally, inherited=inherited)
        if staging != self._wish.ref:
            self._of.again(lambda number: self._settle(number, staging, written))
        return written

    def _send(self, staging: Ref, tally: verify.Tally) -> None:
        """Send the bytes, and see that they were those of the file."""
        if self._source.size:
            try:
                self._delivery.send(tally)
            except (ChecksumMismatch, ServerError):  # the storage compares with what it was told to expect
                if tally.size == self._source.size:
                    self._confirm(tally)
                raise
        else:
            self._of.traits.make_empty(staging, self._opaque)
        self._confirm(tally)

    def _confirm(self, tally: verify.Tally) -> None:
        """Raises LocalSourceError for a source that changed on the way, WrongContent for one that is another file."""
        self._source.confirm()
        verify.same_checksums(tally.checksums, self._wish.checksums, self._source.name, "expected was", WrongContent)

    def _settle(self, number: int, staging: Ref, written: Info | None) -> None:
        """Give the file its name, if that is still free or may be taken."""
        of, ref = self._of, self._wish.ref
        if number and not of.files.exists(staging):  # nobody else knows this name: it went after all
            of.compare(ref, written)
        elif self._wish.overwrite:
            replace(of.files, staging, ref, written)
        elif of.traits.refuses_to_replace(staging, written):
            self._claim(staging, written)
        else:
            of.files.move(staging, ref)

    def _claim(self, staging: Ref, written: Info | None) -> None:
        """Take the name if it is free, without a look."""
        try:
            self._of.files.rename(staging, self._wish.ref, written)
        except AlreadyExists:
            self._of.files.may_write(self._wish.ref, overwrite=False)  # which says by what it is taken
            raise

    def _tidy(self, staging: Ref, tally: verify.Tally, error: BaseException) -> None:
        """Leave nothing of a failed attempt, unless the next one goes on with it."""
        if self._delivery.goes_on_after(error):
            return
        self._delivery.give_up()
        if isinstance(error, (NotFound, NotStored)) and not self._source.size:
            self._of.traits.missed()
        self._of.discard(staging, late=tally.size > 0 and not isinstance(error, ANSWERED))
        if staging == self._wish.ref and tally.size:
            self._of.doubt(staging)

    def _end(self, error: BaseException) -> None:
        """Say how to go on, or leave nothing behind."""
        delivery = self._delivery
        if delivery.resumable:
            there = delivery.reached or "some"  # the server has not been asked where it stands
            _tell(error, f"{there} of {self._source.size} bytes are there: upload it again, and it goes on")
            return
        staging = delivery.staging
        delivery.give_up()
        if staging:
            self._of.discard(staging, late=True)


def discard(files: Files, staging: Ref, *, late: bool) -> None:
    """Remove what failed; `late`, what may yet appear of it too. A second failure must not hide the first."""
    with deadline.apart():
        for pause in LATE_COMMIT if late else LATE_COMMIT[:1]:
            time.sleep(pause)
            try:
                files.discard(staging)
            except NotFound:
                continue
            except Cs3Error as error:
                log.warning("could not remove what a failed upload left: %s", error)
            return


def _named(error: BaseException, ref: Ref) -> None:
    """Tell of the file by the name that was asked for: nobody knows the temporary one."""
    if isinstance(error, Cs3Error) and STAGED.search(error.path):
        error.path = str(ref)


def _tell(error: BaseException, hint: str) -> None:
    if isinstance(error, Cs3Error):
        error.hint = hint
    else:
        log.warning("stopped: %s", hint)


def _opaque(source: Source, known: Mapping[str, str]) -> dict[str, str]:
    """What a session is opened with: storages that do not look at it do no harm."""
    opaque = {}
    for name in verify.cheapest(known):
        opaque["Upload-Checksum"] = f"{name} {normalise(name, known[name])}"
    if source.mtime_ns is not None and source.mtime_ns >= 0:
        seconds, nanos = divmod(source.mtime_ns, 10**9)
        opaque["X-OC-Mtime"] = f"{seconds}.{nanos:09}"
    return opaque
