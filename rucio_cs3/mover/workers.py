"""The threads that copy: each takes what the queue gives it, and lets go of it when it is not ours any more."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from rucio_cs3 import observe
from rucio_cs3.deadline import Stop
from rucio_cs3.errors import Cs3Error
from rucio_cs3.mover.model import Failed, Side
from rucio_cs3.mover.told import all_tellable, tellable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rucio_cs3.mover.claims import Claim, Claims
    from rucio_cs3.mover.flow import Flow
    from rucio_cs3.mover.metrics import Metrics
    from rucio_cs3.mover.model import Copy, Done

T = TypeVar("T")
log = logging.getLogger("rucio_cs3.mover")

LOOK = 2.0  # seconds until the queue is looked at even if nobody told of something new
IN_VAIN = 0.02  # seconds after a look that found nothing until the next one, which finds all that came meanwhile
FORGET = 3600.0  # seconds between looks for old jobs
FORGETTING = 1.0  # seconds for that, of each quarter of a lease


@dataclass
class Running:
    """A copy that is being made."""

    claim: Claim
    moved: Callable[[int], None]
    """is told of each further byte"""
    stop: Stop = field(default_factory=Stop)
    began: float = field(default_factory=time.monotonic)
    bytes: int = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def tell(self, so_far: int) -> None:
        self.moved(so_far - self.bytes if so_far >= self.bytes else so_far)
        self.bytes = so_far

    def log(self, level: int, what: str, source: str = "", more: str = "", **facts: Any) -> None:
        """One line for each copy that ends, whatever its end is. `facts` are for who reads by program."""
        claim, seconds = self.claim, self.seconds
        urls = source or claim.wanted.sources[0].url, claim.wanted.target.url
        told = tellable(claim.wanted, *urls, more)
        link = {"source": claim.source_site, "destination": claim.target_site}
        known = {"job": claim.job, "file": claim.id, **link, "bytes": self.bytes, "seconds": round(seconds, 3)}
        text = "job %s, file %s: %s %s -> %s, %d bytes in %.1f s%s"
        values = claim.job, claim.id, what, told[0], told[1], self.bytes, seconds, told[2]
        log.log(level, text, *values, extra={**known, **facts})


class Workers:
    """`count` copies at the same time. One thread more claims for them, and tells that they live."""

    def __init__(
        self, claims: Claims, copy: Copy, count: int, metrics: Metrics, flow: Flow, tidy: Callable[[], bool]
    ) -> None:
        """`tidy` forgets some old jobs, and returns whether there are more."""
        self._claims = claims
        self._copy = copy
        self._count = count
        self._metrics = metrics
        self._flow = flow
        self._tidy = tidy
        self._running: dict[int, Running] = {}
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._seen = time.monotonic()  # when the queue last agreed that what runs is ours
        self._keepers = [
            threading.Thread(target=work, name=f"mover-{work.__name__.strip('_')}", daemon=True)
            for work in (self._hand_out, self._keep)
        ]

    def start(self) -> None:
        for keeper in self._keepers:
            keeper.start()

    def tell(self) -> None:
        """There may be something to do."""
        self._news.set()

    def stop(self, files: Iterable[int]) -> None:
        """These copies are not wanted any more."""
        with self._lock:
            unwanted = [self._running[file] for file in files if file in self._running]
        for running in unwanted:
            running.stop.now()

    def running(self) -> list[Running]:
        with self._lock:
            return list(self._running.values())

    def close(self) -> None:
        """What was not copied to its end is given back."""
        self._closing.set()
        self._news.set()
        self._keepers[0].join()
        self.stop([running.claim.id for running in self.running()])
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        self._keepers[1].join()

    def _hand_out(self) -> None:
        while not self._closing.is_set():
            self._news.clear()
            with self._lock:
                free = self._count - len(self._running)
            claimed = self._take(free) if free > 0 else []
            for claim in claimed:
                if not self._begin(claim):
                    self._told(functools.partial(self._claims.give_back, claim))
                    self._closing.wait(LOOK)
            if free > 0 and not claimed:
                self._closing.wait(IN_VAIN)
            if not claimed:
                self._news.wait(LOOK)

    def _take(self, free: int) -> list[Claim]:
        with _survived("claiming"):
            return self._claims.take(free)
        self._closing.wait(LOOK)
        return []

    def _begin(self, claim: Claim) -> bool:
        """False where this machine has no thread for it."""
        running = Running(claim, functools.partial(self._flow.add, claim.link))
        thread = threading.Thread(target=self._make, args=(running,), name=f"mover-copy-{claim.id}", daemon=True)
        with self._lock:
            if claim.id in self._running:  # it was not ours for a moment, which nobody here has seen
                return True
            self._running[claim.id] = running
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            log.error("a copy cannot begin: %s", error)  # noqa: TRY400 - there is nothing to see in the trace
            self._let_go(running, thread)
            return False
        return True

    def _make(self, running: Running) -> None:
        try:
            self._end(running)
        finally:
            self._let_go(running, threading.current_thread())
            self._news.set()

    def _let_go(self, running: Running, thread: threading.Thread) -> None:
        with self._lock:
            del self._running[running.claim.id]
            self._threads.discard(thread)

    def _end(self, running: Running) -> None:
        claim = running.claim
        link = {"source": claim.source_site, "destination": claim.target_site}
        try:
            with running.stop.scope(), observe.work("copy", claim.trace or {}, job=claim.job, file=claim.id, **link):
                done = self._copy(claim.wanted, running.tell)
        except Exception as error:  # noqa: BLE001 - whatever it is, the queue has to be told
            self._failed(running, _failure(error))
        else:
            self._finished(running, done)

    def _finished(self, running: Running, done: Done) -> None:
        running.tell(done.size)  # sites that copy by themselves do not always say how far they are
        done = replace(done, tried=all_tellable(running.claim.wanted, done.tried))
        if self._told(lambda: self._claims.finished(running.claim, done)):
            self._flow.copied(running.claim.link, done.size)
            self._metrics.finished(running.claim, done, running.seconds)
            running.log(logging.INFO, "copied", done.source, f", {done.how}", how=done.how)

    def _failed(self, running: Running, failure: Failed) -> None:
        claim = running.claim
        if running.stop.wanted():  # canceled, taken away, or we are told to end
            self._told(lambda: self._claims.give_back(claim))
            running.log(logging.INFO, "stopped")
            return
        [reason] = tellable(claim.wanted, failure.reason)
        tried = all_tellable(claim.wanted, failure.tried)
        again = bool(
            self._told(lambda: self._claims.failed(claim, reason, failure.dst_file, tried, again=failure.again))
        )
        self._metrics.failed(claim, failure.side, again=again)
        what = "failed (to be tried again)" if again else "failed"
        running.log(logging.WARNING, what, more=f": {reason}", side=failure.side.value, again=again)

    def _told(self, tell: Callable[[], T]) -> T | None:
        """However long the database is away: a file whose end nobody knows would be copied for ever."""
        while True:
            with _survived("telling the queue how a copy ended"):
                return tell()
            if self._closing.wait(LOOK):
                return None

    def _keep(self) -> None:
        """Tells that we live, clears up after those who don't, and ends what is ours no longer."""
        old = time.monotonic()
        while not (self._closing.wait(self._claims.lease / 4) and not self.running()):
            with _survived("keeping the queue"):
                before = self.running()
                kept = self._claims.renew([(running.bytes, running.claim.id) for running in before])
                self._seen = time.monotonic()
                self.stop(running.claim.id for running in before if running.claim.id not in kept)
                self._claims.sweep()
                self._flow.keep()
                if time.monotonic() - old > FORGET:
                    old = old if self._forget() else time.monotonic()
            if time.monotonic() - self._seen > self._claims.lease:
                self.stop([running.claim.id for running in self.running()])
            if self._closing.is_set():
                time.sleep(0.05)

    def _forget(self) -> bool:
        """True when there is more to forget than there was time for."""
        end = time.monotonic() + FORGETTING
        while self._tidy():
            if time.monotonic() > end:
                return True
        return False


def _failure(error: Exception) -> Failed:
    if isinstance(error, Failed):
        return error
    if isinstance(error, Cs3Error):
        return Failed(Side.TRANSFER, f"TRANSFER {error}", again=True)
    log.error("a copy failed in a way that nobody thought of: %s", _where(error))
    return Failed(Side.TRANSFER, f"TRANSFER the mover failed: {type(error).__name__}", again=False)


@contextlib.contextmanager
def _survived(what: str) -> Iterator[None]:
    """The database may be away for a while; the threads are needed when it is back."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above
        log.error("%s failed; it is tried again: %s", what, _where(error))  # noqa: TRY400 - its text is left out


def _where(error: Exception) -> str:
    """Without the error's text: nobody knows what stands in it."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
