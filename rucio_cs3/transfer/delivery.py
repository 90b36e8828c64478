"""One file's way to the data server: by one request, or by tus, which goes on where it was cut."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TYPE_CHECKING

from rucio_cs3 import deadline
from rucio_cs3.errors import (
    Cs3Error,
    DeadlineExceeded,
    Interrupted,
    NotFound,
    ServerError,
    SessionGone,
    Stopped,
    TokenRejected,
    Unavailable,
    Untrusted,
)
from rucio_cs3.transfer.http import SLOWEST_COMMIT, choose
from rucio_cs3.transfer.sessions import Session
from rucio_cs3.transfer.tus import Tus, is_over

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rucio_cs3.config import Config
    from rucio_cs3.cs3.files import Endpoint, Files
    from rucio_cs3.model import Ref
    from rucio_cs3.transfer.http import DataServers
    from rucio_cs3.transfer.local import Source
    from rucio_cs3.transfer.sessions import Slot
    from rucio_cs3.transfer.verify import Tally

log = logging.getLogger(__name__)
SETTLING, LONGEST_SETTLING = 0.1, 1.0  # seconds between looks at what a server still writes of a cut request: doubled
ANOTHER_LOOK = 1.0  # seconds until a session of an earlier run is asked for again
FINISHING = 5.0  # seconds, besides what a commit takes, that a server may need to end a session that is complete
SPARING = (Interrupted, Unavailable, DeadlineExceeded, ServerError, TokenRejected)  # what leaves a session as it is
WANTED = (Stopped, KeyboardInterrupt)  # by somebody who may want it to go on later
FATAL = (SessionGone, Untrusted)


class _Foreign(Exception):
    """Carries the failure of a caller's progress past urllib3, which would take it for the connection's."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


class Delivery:
    """Never two protocols on one session, nor a second PUT: some servers append it to the first.

    Nor anything after a silence: what went silent may arrive yet, and is then written into the finished file.
    """

    def __init__(
        self, config: Config, files: Files, servers: DataServers, source: Source, target: Ref, slot: Slot
    ) -> None:
        self._config = config
        self._files = files
        self._servers = servers
        self._source = source
        self._target = target
        self._slot = slot
        self._session: Session | None = None
        self._tus: Tus | None = None  # of a session that can be gone on with
        self._open: Tus | None = None  # of any that has not ended: who sends by one request can end it by tus only
        self._offset = 0
        self._failed_at: int | None = None
        self._silent = False
        self.reached = 0
        """bytes that the server is known to have"""
        self.inherited = False
        """whether an earlier run opened the session at hand"""
        left = slot.find()
        if left:
            self._use(left)
            self.inherited = True

    @property
    def resumable(self) -> bool:
        """Whether the next run can go on."""
        return self._tus is not None and self._slot.holds

    def goes_on_after(self, error: BaseException) -> bool:
        """Whether the session is worth another look."""
        if isinstance(error, WANTED):
            return self.resumable
        if self._tus is None or not isinstance(error, SPARING) or isinstance(error, FATAL):
            return False
        if isinstance(error, DeadlineExceeded):
            self._silent = True
            self._slot.forget()
        self._failed_at = self._offset if isinstance(error, ServerError) else None
        return True

    def begin(self, staging: Ref, opaque: Mapping[str, str]) -> None:
        """Open a new session."""
        offered = self._files.initiate_upload(staging, self._source.size, opaque=opaque)
        self._use(Session(self._choose(offered, staging), staging, self._source.stamp))
        self._open = self._tus or next((self._tus_at(each) for each in offered if each.protocol == "tus"), None)
        self.inherited = False
        self._offset, self._silent = 0, False
        self._remember()

    def resume(self) -> Ref | None:
        """See how far an earlier attempt came. The name that its session writes to, None where a new one is needed.

        A session that is over was either finished or lost, and the storage shows which.
        """
        if self._tus is None or self._session is None:
            return None
        staging = self._session.staging
        if self._can_go_on(self._session):
            return staging
        self.give_up()
        return None

    def _can_go_on(self, session: Session) -> bool:
        if session.stamp != self._source.stamp:
            log.info("%s has changed since its upload was cut: beginning anew", self._source.name)
            return False
        try:
            self._offset = self._found(session)
        except SessionGone as gone:
            log.debug("%s", gone)
            self._ended()
            self._offset = self._source.size
            return self._is_there(session.staging)
        except Cs3Error as error:
            if not self._is_hopeless(error):
                raise
            log.info("the upload of %s cannot be gone on with: %s", self._source.name, error)
            return False
        if self._silent or self._offset in {self._source.size, self._failed_at}:
            return False
        self.reached = max(self.reached, self._offset)
        log.info("going on with the upload of %s at byte %d", self._source.name, self._offset)
        self._remember()
        return True

    def send(self, tally: Tally) -> None:
        """All that is missing. The bytes before it are read again, so that `tally` knows them all."""
        try:
            self._send(tally)
        except _Foreign as foreign:
            raise foreign.error from None

    def _send(self, tally: Tally) -> None:
        assert self._session is not None
        if self._session.endpoint.protocol == "simple":
            size = self._source.size
            self._servers.put(self._session.endpoint, self._counted(tally, 0, size), size, path=self._path)
            self._ended()
            self._refuse_early(tally, size)
            return
        for _ in self._counted(tally, 0, self._offset):
            pass
        while self._tus:
            left = self._source.size - self._offset
            count = min(self._config.chunk_size or left, left)
            self._tus.patch(self._offset, self._counted(tally, self._offset, count), count)
            self._refuse_early(tally, self._offset + count)
            self._offset = self.reached = self._offset + count
            if self._offset == self._source.size:
                self._ended()
            else:
                self._remember()

    def _refuse_early(self, tally: Tally, wanted: int) -> None:
        if tally.size != wanted:
            raise Interrupted(f"the data server took {tally.size} of {wanted} bytes for all", path=self._path)

    def done(self) -> None:
        """Nothing is left to go on with."""
        self._session = None
        self._ended()
        self._slot.forget()

    def _ended(self) -> None:
        self._tus = self._open = None

    def give_up(self) -> None:
        """Let the server and the next run forget it."""
        session = self._open
        self.done()
        if session:
            try:
                with deadline.apart():
                    session.give_up()
            except Cs3Error as error:
                log.debug("the data server keeps what it has of an upload that was given up: %s", error)

    def _use(self, session: Session) -> None:
        self._session = session
        self._tus = self._open = self._tus_at(session.endpoint) if session.endpoint.protocol == "tus" else None

    def _tus_at(self, endpoint: Endpoint) -> Tus:
        return Tus(self._servers, endpoint, self._source.size, self._path)

    @property
    def staging(self) -> Ref | None:
        """The name that the session at hand writes to."""
        return self._session.staging if self._session else None

    @property
    def _path(self) -> str:
        return str(self.staging)

    def _remember(self) -> None:
        if self._tus and self._session and self._source.by_name:
            self._slot.keep(dataclasses.replace(self._session, expires=self._tus.expires))

    def _choose(self, offered: Sequence[Endpoint], staging: Ref) -> Endpoint:
        """One request costs least; tus is worth more the more there is to lose."""
        wanted = self._config.upload_protocol
        large = self._source.size >= self._config.tus_from
        order = {"auto": ("tus", "simple") if large else ("simple", "tus")}.get(wanted, (wanted,))
        hint = "" if wanted == "auto" else "set upload_protocol = auto"
        return choose(offered, order, "uploads", path=str(staging), hint=hint)

    def _counted(self, tally: Tally, start: int, count: int) -> Iterator[memoryview]:
        for block in self._source.blocks(start, count):
            deadline.check()  # no time is seen on the socket when its buffers take all
            try:
                tally.add(block)
            except OSError as error:
                raise _Foreign(error) from error
            yield block

    def _found(self, session: Session) -> int:
        """The server's offset, or SessionGone."""
        if is_over(session.expires):
            raise SessionGone("the time of the upload session is over", path=self._path)
        try:
            return self._settled()
        except Unavailable:
            if not self.inherited:
                raise
            deadline.sleep(ANOTHER_LOOK)
            return self._settled()

    def _is_hopeless(self, error: Cs3Error) -> bool:
        """A session is not asked for ever: least of all one of an earlier run, whose server may have moved."""
        if isinstance(error, Stopped) or deadline.is_over():
            return False
        return self.inherited or not isinstance(error, SPARING)

    def _settled(self) -> int:
        """The server's offset when it no longer changes, or SessionGone.

        What came before a cut may yet be written while we ask; and one that has it all is about to end the session.
        """
        assert self._tus is not None
        size = self._source.size
        finished_by = time.monotonic() + FINISHING + size / SLOWEST_COMMIT
        patience = time.monotonic() + self._config.stall_timeout
        before, pause = self._tus.offset(), SETTLING
        while True:
            deadline.sleep(pause)
            pause = min(2 * pause, LONGEST_SETTLING)
            now = self._tus.offset()
            if now == before and (now < size or time.monotonic() > finished_by):
                return now
            if now < size and time.monotonic() > patience:
                raise SessionGone("somebody else is sending to our session", path=self._path)
            before = now

    def _is_there(self, staging: Ref) -> bool:
        """Only under a name that nobody else can have used."""
        if staging == self._target:
            return False
        try:
            info = self._files.stat(staging)
        except NotFound:
            return False
        return info.is_file and info.size == self._source.size
