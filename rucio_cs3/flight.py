"""What many threads need at once is fetched by one of them."""

from __future__ import annotations

import math
import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Generic, TypeVar

from rucio_cs3 import deadline

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Flight(Generic[T]):
    """Who comes while a fetch is under way waits for it and shares what comes of it, failures too.

    A failure of the fetcher's own, because its time is over or somebody pressed Ctrl-C, is shared by nobody: the next
    in line fetches again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None

    def share(self, fetch: Callable[[], T]) -> T:
        while True:
            with self._lock:
                awaited = self._under_way
                mine = self._under_way = awaited or Future()
            if awaited is None:
                return self._fetch(mine, fetch)
            left = deadline.at_most(math.inf)
            try:
                return awaited.result(left if math.isfinite(left) else None)
            except CancelledError:
                continue
            except FutureTimeoutError:
                deadline.check()
                raise

    def _fetch(self, mine: Future[T], fetch: Callable[[], T]) -> T:
        try:
            result = fetch()
            self._land()
            mine.set_result(result)
        except Exception as error:
            if not deadline.is_over():
                self._land()
                mine.set_exception(error)
            raise
        else:
            return result
        finally:
            if not mine.done():
                self._land()
                mine.cancel()

    def _land(self) -> None:
        with self._lock:
            self._under_way = None
