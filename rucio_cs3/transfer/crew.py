"""Many pieces of work at once: taken as threads get free, told of as they end, broken off on request."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from rucio_cs3.deadline import Stop
from rucio_cs3.errors import Cs3Error, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

JOBS = 16
AHEAD = 2  # items taken for each thread: the next one is at hand when it is done
GRACE = 5.0  # seconds for what is broken off to tidy up; a gateway that is silent is not waited for
TICK = 0.1  # seconds between two words of the bytes
DONE, SKIPPED, FAILED, STOPPED = "done", "skipped", "failed", "stopped"
NOT_BEGUN, GIVEN_UP = "not begun", "given up"


class Skip(Exception):
    """Raised by work that finds nothing to do."""


@dataclass(frozen=True)
class Result:
    """What came of one item. `note` says why it was skipped, or what was special about its stop."""

    item: Any
    outcome: str
    value: Any = None
    error: Exception | None = None
    note: str = ""
    seconds: float = 0.0
    size: int = 0


@dataclass
class Totals:
    """How far a run is. `bytes_found` is of the items that tell their size."""

    found: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    stopped: int = 0
    bytes_done: int = 0
    bytes_found: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def moved(self, count: int) -> None:
        with self._lock:
            self.bytes_done += count

    def ended(self, result: Result) -> None:
        setattr(self, result.outcome, getattr(self, result.outcome) + 1)


Progress = Callable[[Totals], None]
Work = Callable[[Any, Callable[[int, int], None]], Any]
"""An item, and whom to tell of its bytes, done and all. What it returns may have a `size`."""


class Run(Iterator[Result]):
    """Iterate for the results, in a `with` block: what is under way at its end is broken off."""

    def __init__(self, items: Iterable[Any], work: Work, *, jobs: int = JOBS, progress: Progress | None = None) -> None:
        self.totals = Totals()
        self.items = iter(items)
        """what has not been taken"""
        self._work = work
        self._jobs = jobs
        self._progress = progress
        self._said = 0.0
        self._stop = Stop()
        self._more = True
        self._todo: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[int, Result]] = queue.SimpleQueue()
        self._under_way: dict[int, Any] = {}
        self._threads = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __next__(self) -> Result:
        self._feed()
        if not self._under_way:
            self._dismiss()
            raise StopIteration
        return self._take(*self._ended.get())

    def stop(self) -> list[Result]:
        """End now, and tell what came of all that was taken. What was not taken is left in `items`."""
        self._more = False
        self._stop.now()
        patience = time.monotonic() + GRACE
        results = []
        while self._under_way:
            try:
                results.append(self._take(*self._ended.get(timeout=max(patience - time.monotonic(), 0))))
            except queue.Empty:
                results += [
                    self._take(number, _stopped(item, GIVEN_UP)) for number, item in list(self._under_way.items())
                ]
        self._dismiss()
        return results

    def _feed(self) -> None:
        while self._more and len(self._under_way) < AHEAD * self._jobs:
            try:
                item = next(self.items)
            except StopIteration:  # for now: what comes of the items under way may bring more
                return
            number = self.totals.found
            self.totals.found += 1
            self.totals.bytes_found += getattr(item, "size", 0)
            self._under_way[number] = item
            self._todo.put((number, item))
            if self._threads < self._jobs:
                self._hire()
            if not self._ended.empty():  # what takes items slowly must not keep results back
                return

    def _hire(self) -> None:
        self._threads += 1
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._labour,), name="rucio-cs3-bulk", daemon=True).start()

    def _dismiss(self) -> None:
        for _ in range(self._threads):
            self._todo.put(None)
        self._threads = 0

    def _take(self, number: int, result: Result) -> Result:
        del self._under_way[number]
        if isinstance(result.error, Exception) and not isinstance(result.error, (Cs3Error, OSError)):
            raise result.error  # a mistake in the program is not one of the item's
        self.totals.ended(result)
        if self._progress:
            self._progress(self.totals)
        return result

    def _labour(self) -> None:
        with self._stop.scope():
            while (given := self._todo.get()) is not None:
                number, item = given
                self._ended.put((number, self._do(item)))

    def _do(self, item: Any) -> Result:
        if self._stop.wanted():
            return _stopped(item, NOT_BEGUN)
        began = time.monotonic()
        try:
            value = self._work(item, self._told())
        except Skip as why:
            return Result(item, SKIPPED, note=str(why), seconds=time.monotonic() - began)
        except Stopped as error:
            return Result(item, STOPPED, error=error, seconds=time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 - raised again where the results are taken, if it is a mistake
            return Result(item, FAILED, error=error, seconds=time.monotonic() - began)
        return Result(item, DONE, value, seconds=time.monotonic() - began, size=getattr(value, "size", 0))

    def _told(self) -> Callable[[int, int], None]:
        """For the bytes of one item, which begin anew with each attempt."""
        before = 0

        def moved(done: int, _: int) -> None:
            nonlocal before
            self.totals.moved(done - before)
            before = done
            now = time.monotonic()
            if self._progress and now - self._said > TICK:
                self._said = now
                self._progress(self.totals)

        return moved


def _stopped(item: Any, note: str = "") -> Result:
    return Result(item, STOPPED, error=Stopped("stopped on request"), note=note)
