"""Reads on in a thread of its own, so that bytes arrive while those before them are sent."""

from __future__ import annotations

import contextvars
import queue
import threading
from typing import TYPE_CHECKING, Callable

from rucio_cs3 import deadline
from rucio_cs3.deadline import Stop
from rucio_cs3.transfer.local import BLOCK

if TYPE_CHECKING:
    from typing import Union

    Found = Union[memoryview, BaseException]

BLOCKS = 3  # in memory: one at who takes them, one at hand, one that is being read
NOTHING = memoryview(b"")


class Ahead:
    """What `read` gives, `size` bytes in all. It is called by one thread, which begins at once.

    What came before a failure is given out first.
    """

    def __init__(self, read: Callable[[memoryview], int], size: int) -> None:
        self._read = read
        self._stop = Stop()
        self._stop.ends_calls = True
        self._empty: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[Found] = queue.SimpleQueue()
        self._block = self._rest = NOTHING
        self._last: Found | None = None
        for start in range(0, min(size, BLOCKS * BLOCK), BLOCK):
            self._empty.put(memoryview(bytearray(min(size - start, BLOCK))))
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._fill,), name="rucio-cs3-ahead", daemon=True)
        self._thread.start()

    def take(self, most: int) -> memoryview:
        """Up to so many bytes, good until more are taken; none at the end. Raises what `read` has raised."""
        if not self._rest:
            if self._block:
                self._empty.put(memoryview(self._block.obj))
            self._block = self._rest = self._next()
        taken, self._rest = self._rest[:most], self._rest[most:]
        return taken

    def end(self) -> None:
        """Whoever reads is woken, and waited for."""
        self._stop.now()
        self._empty.put(None)
        self._thread.join()

    def _next(self) -> memoryview:
        found = self._found.get() if self._last is None else self._last
        if not isinstance(found, memoryview):
            self._last = found
            raise found
        if not found:
            self._last = found
        return found

    def _fill(self) -> None:
        try:
            with deadline.breaks_off(self._stop), self._stop.scope():
                while block := self._empty.get():
                    count = self._read(block)
                    self._found.put(block[:count])
                    if not count:
                        return
        except BaseException as error:  # noqa: BLE001 - it is for who takes
            self._found.put(error)
