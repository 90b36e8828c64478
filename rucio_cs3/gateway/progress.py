"""What a client is told of a copy while it goes on: performance markers, and how it ended."""

from __future__ import annotations

import select
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from rucio_cs3.gateway.exchange import Answered
from rucio_cs3.gateway.streams import BodyCut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.gateway.exchange import Exchange

SECONDS = 5  # between markers
TYPE = {"Content-Type": "text/plain; charset=utf-8"}
GONE = getattr(select, "POLLRDHUP", 0x2000) | select.POLLHUP | select.POLLERR


class Progress:
    """Nothing is said before the first marker, not even the code of the answer, as Reva does it.

    A marker is said when bytes have come, so a copy that stands still says nothing.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._last = time.monotonic()
        self._moved = 0
        self._begun = False

    def watched(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The same blocks. Raises BodyCut when the client has gone away."""
        for block in blocks:
            self._moved += len(block)
            if self._exchange.polled(GONE):
                raise BodyCut
            if time.monotonic() - self._last >= SECONDS:
                self._mark()
            yield block

    def end(self, said: str) -> None:
        """Raises Answered when it is the first thing that is said."""
        if not self._begun:
            raise Answered(HTTPStatus.ACCEPTED, TYPE if said else {}, said.encode())
        self._exchange.say(said.encode())
        self._exchange.say(b"", last=True)

    def _mark(self) -> None:
        """Misspelt as there."""
        marker = (
            f"Perf Marker\nTimestamp: {int(time.time())}\nStripe Bytes Transferred: {self._moved}\n"
            "Strip Index: 0\nTotal Stripe Count: 1\nEnd\n\n"
        )
        try:
            if not self._begun:
                self._exchange.begin_saying(HTTPStatus.ACCEPTED, TYPE)
            self._begun, self._last = True, time.monotonic()
            self._exchange.say(marker.encode())
        except OSError as error:
            raise BodyCut from error
