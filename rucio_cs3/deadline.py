"""The time in which whatever a block does must be over, instead of timeouts that are handed down and add up.

It holds for the thread, or the task, that entered the block: channel and data connections ask here how long they may
wait, whoever called them. A `Stop` does the same for who does not know beforehand how long: it ends what runs in its
scope from another thread.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, Union

from rucio_cs3.errors import DeadlineExceeded, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

TIDYING = 15.0  # seconds to put things in order when the time is over


class Call(Protocol):
    """Of gRPC, whose connections are shared by many."""

    def cancel(self) -> bool: ...


Waited = Union[socket.socket, Call]


class Stop:
    """One for many threads. Whoever waits on a connection in its scope is woken by having that broken."""

    def __init__(self) -> None:
        self.ends_calls = False
        self._wanted = threading.Event()
        self._connections: set[Waited] = set()
        self._lock = threading.Lock()

    def now(self) -> None:
        with self._lock:
            self._wanted.set()
            for waited in self._connections:
                _break(waited)

    def cancel(self) -> bool:
        """As of a call: for a Stop in whose scope this one is."""
        self.now()
        return True

    def wanted(self) -> bool:
        return self._wanted.is_set()

    def wait(self, seconds: float) -> None:
        self._wanted.wait(seconds)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        token = _stop.set(self)
        try:
            yield
        finally:
            _stop.reset(token)

    @contextlib.contextmanager
    def breaks(self, waited: Waited) -> Iterator[None]:
        with self._lock:
            self._connections.add(waited)
        try:
            check()  # it may have been wanted a moment ago
            yield
        finally:
            with self._lock:
                self._connections.discard(waited)


def _break(waited: Waited) -> None:
    if not isinstance(waited, socket.socket):
        waited.cancel()
        return
    with contextlib.suppress(OSError):
        # not SSLSocket's own, after which the other thread could go on in the clear
        socket.socket.shutdown(waited, socket.SHUT_RDWR)


_stop: ContextVar[Stop | None] = ContextVar("rucio_cs3_stop", default=None)
_end: ContextVar[float] = ContextVar("rucio_cs3_deadline", default=math.inf)  # on the monotonic clock


def within(seconds: float | None) -> AbstractContextManager[None]:
    """At most so long, and never longer than an outer block allows. None adds no limit."""
    if seconds is None:
        return contextlib.nullcontext()
    return _until(min(_end.get(), time.monotonic() + seconds))


@contextlib.contextmanager
def apart(seconds: float = TIDYING) -> Iterator[None]:
    """For what has to be tried even when the outer block's time is over, or somebody wants it to end."""
    token = _stop.set(None)
    try:
        with _until(time.monotonic() + seconds):
            yield
    finally:
        _stop.reset(token)


@contextlib.contextmanager
def _until(end: float) -> Iterator[None]:
    token = _end.set(end)
    try:
        yield
    finally:
        _end.reset(token)


def is_over() -> bool:
    return is_stopped() or time.monotonic() >= _end.get()


def is_stopped() -> bool:
    stop = _stop.get()
    return stop is not None and stop.wanted()


def check() -> None:
    """Raises DeadlineExceeded when the time is over, or Stopped."""
    if is_stopped():
        raise Stopped("stopped on request")
    if is_over():
        raise DeadlineExceeded("the time given for the whole operation is over")


def at_most(seconds: float) -> float:
    """How long one step may wait: `seconds`, or what is left if that is less. Raises DeadlineExceeded."""
    check()
    return min(seconds, max(_end.get() - time.monotonic(), 0.001))


def breaks_off(waited: Waited) -> AbstractContextManager[None]:
    """While waiting on a connection, or for a call: a Stop that is wanted breaks it."""
    stop = _stop.get()
    return stop.breaks(waited) if stop else contextlib.nullcontext()


def end_calls() -> None:
    """Have the Stop in force end calls of gRPC too, instead of waiting for them. That makes each half as slow again."""
    stop = _stop.get()
    if stop:
        stop.ends_calls = True


def ends_calls() -> bool:
    stop = _stop.get()
    return stop is not None and stop.ends_calls


def sleep(seconds: float) -> None:
    """No longer than there is time, and not on when a Stop is wanted."""
    stop = _stop.get()
    (stop.wait if stop else time.sleep)(at_most(seconds))
    check()
