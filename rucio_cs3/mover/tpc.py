"""HTTP-TPC: one site's WebDAV door copies from the other's (pull), or to it (push), and no byte passes through us.

What it says of its success is not believed: real doors say so when nothing, nothing yet, or half of it was written.
"""

from __future__ import annotations

import re
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable

import urllib3

from rucio_cs3 import deadline, observe
from rucio_cs3.errors import DeadlineExceeded
from rucio_cs3.transfer.local import BLOCK
from rucio_cs3.web import failures, unheard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.mover.sites import End

WAYS = {"pull": "Source", "push": "Destination"}  # and the header that names the other site
SMALLEST = BLOCK  # bytes; less is sent sooner than a door is asked
AGAIN_AFTER = 900.0  # seconds until a pair of sites that failed is asked again
MARKER, SUCCESS = "stripe bytes transferred:", "success"
COUNT = re.compile("[0-9]{1,18}")
SHOWN = 200  # characters of what a door says
LINE = 1 << 17  # characters; none of them is longer, not with a token in it either


class NotDone(Exception):
    """The sites do not copy this file between them. The message says why.

    Unless it is `over`, the door may still be writing.
    """

    def __init__(self, why: str, *, over: bool = True) -> None:
        super().__init__(why)
        self.over = over


class Ways:
    """What was seen of each pair of sites: who can copy from or to whom. While nobody knows, one copy finds out."""

    def __init__(self) -> None:
        self._works: set[tuple[str, str, str]] = set()
        self._not_before: dict[tuple[str, str, str], float] = {}
        self._lock = threading.Lock()

    def between(self, source: End, target: End) -> Iterator[str]:
        """The ways that may be tried, each for who then says whether it has `worked` or `failed`."""
        for way in WAYS if source.site.tpc and target.site.tpc and source.is_door and target.is_door else ():
            if passive_token(way, source, target) and self._may_try((source.site.name, target.site.name, way)):
                yield way

    def _may_try(self, key: tuple[str, str, str]) -> bool:
        with self._lock:
            if key in self._works:
                return True
            if time.monotonic() < self._not_before.get(key, 0.0):
                return False
            self._not_before[key] = time.monotonic() + AGAIN_AFTER  # also for those who ask while this one finds out
            return True

    def worked(self, way: str, source: End, target: End) -> None:
        with self._lock:
            self._works.add((source.site.name, target.site.name, way))

    def failed(self, way: str, source: End, target: End) -> None:
        key = (source.site.name, target.site.name, way)
        with self._lock:
            self._works.discard(key)
            self._not_before[key] = time.monotonic() + AGAIN_AFTER


def passive_token(way: str, source: End, target: End) -> str | None:
    """What lets the site that copies in at the other one, which is told to it: our own only where we are told to."""
    passive = source if way == "pull" else target
    if passive.token or not passive.site.lends:
        return passive.token
    with passive.blamed():
        return passive.client.tokens.get()


def copy(way: str, source: End, target: End, progress: Callable[[int], None]) -> None:
    """Returns when it is said to be done. Raises NotDone, and Cs3Error for what happens to the connection."""
    active, passive = (target, source) if way == "pull" else (source, target)
    token = passive_token(way, source, target) or ""
    headers = {
        WAYS[way]: passive.door,
        "TransferHeaderAuthorization": f"Bearer {token}",
        "X-Access-Token": active.client.tokens.get(),
        "Overwrite": "F",
        "Credential": "none",
    }
    stall = active.site.config.stall_timeout
    patience = deadline.at_most(active.site.config.connect_timeout), deadline.at_most(stall)
    with (
        observe.call("COPY", active.door, target.below, way) as step,
        failures(f"WebDAV door {active.address}", patience="stall_timeout", path=target.url),
        unheard(),
    ):
        response = active.pools.of(active.door).urlopen(
            "COPY",
            active.door,
            headers={**headers, **step.headers},
            timeout=urllib3.Timeout(connect=patience[0], read=patience[1]),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            said = _followed(response, stall, progress)
        finally:
            response.close()
    if response.status not in {HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}:
        raise NotDone(f"{way}: {active.address} answers HTTP {response.status}")
    if not said.lower().startswith(SUCCESS):
        for secret in filter(None, (headers["X-Access-Token"], token)):  # doors like to repeat what they were told
            said = said.replace(secret, "(hidden)")
        raise NotDone(f"{way}: {active.address} says: {said[:SHOWN]!a}")


def _followed(response: Any, stall: float, progress: Callable[[int], None]) -> str:
    """The last line of the answer. Raises DeadlineExceeded when there is talk, and no bytes."""
    last, most, since = "", 0, time.monotonic()
    for line in _lines(response):
        last = line or last
        if line.lower().startswith(MARKER):
            told = line[len(MARKER) :].strip()
            done = int(told) if COUNT.fullmatch(told) else 0
            if done > most:
                most, since = done, time.monotonic()
                progress(done)
        if time.monotonic() - since > stall and not line.lower().startswith(SUCCESS):
            raise DeadlineExceeded("a third-party copy gets no further", hint="raise stall_timeout if it is slow")
    return last


def _lines(response: Any) -> Iterator[str]:
    """Also an empty one now and then, so that talk without a line is noticed."""
    rest = ""
    for piece in response.stream(BLOCK, decode_content=False):
        *whole, rest = (rest + piece.decode("utf-8", "replace")).split("\n")
        yield from [*filter(None, map(str.strip, whole))] or [""]
        rest = rest[-LINE:]
    if rest.strip():
        yield rest.strip()
