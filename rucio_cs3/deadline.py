"""The time in which whatever a block does must be over, instead of timeouts that are handed down and add up.

It holds for the thread, or the task, that entered the block: channel and data connections ask here how long they may
wait, whoever called them.
"""

from __future__ import annotations

import contextlib
import math
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

from rucio_cs3.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

TIDYING = 15.0  # seconds to put things in order when the time is over

_end: ContextVar[float] = ContextVar("rucio_cs3_deadline", default=math.inf)  # on the monotonic clock


@contextlib.contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """At most so long, and never longer than an outer block allows. None adds no limit."""
    with _until(_end.get() if seconds is None else min(_end.get(), time.monotonic() + seconds)):
        yield


@contextlib.contextmanager
def apart(seconds: float = TIDYING) -> Iterator[None]:
    """For what has to be tried even when the outer block's time is over."""
    with _until(time.monotonic() + seconds):
        yield


@contextlib.contextmanager
def _until(end: float) -> Iterator[None]:
    token = _end.set(end)
    try:
        yield
    finally:
        _end.reset(token)


def is_over() -> bool:
    return time.monotonic() >= _end.get()


def check() -> None:
    """Raises DeadlineExceeded when the time is over."""
    if is_over():
        raise DeadlineExceeded("the time given for the whole operation is over")


def at_most(seconds: float) -> float:
    """How long one step may wait: `seconds`, or what is left if that is less. Raises DeadlineExceeded."""
    check()
    return min(seconds, max(_end.get() - time.monotonic(), 0.001))
