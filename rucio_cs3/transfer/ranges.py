"""What a client has learnt of its data servers: whether they serve parts of files, and how far away they are."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

FAR = 0.015  # seconds to the first byte of an answer; from here on one connection does not fill the line
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class NoRanges(Exception):
    """The data server gives whole files only."""


@dataclass
class _Server:
    honours: bool | None = None
    quickest: float = float("inf")


class Ranges:
    """Some servers announce ranges and refuse every one, so what counts is what a server did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}

    def honours(self, url: str) -> bool | None:
        """None as long as nobody has asked."""
        return self._of(url).honours

    def learn(self, url: str, *, honours: bool) -> None:
        self._of(url).honours = honours

    def answered(self, url: str, seconds: float) -> None:
        """The quickest answer is the link's; the others are the server's business."""
        server = self._of(url)
        with self._lock:
            server.quickest = min(server.quickest, seconds)

    def far(self, url: str) -> bool:
        return self._of(url).quickest >= FAR

    def _of(self, url: str) -> _Server:
        with self._lock:
            return self._servers.setdefault(origin_of(url), _Server())


@dataclass(frozen=True)
class Span:
    """What the bytes of an answer are: of a file of `total` bytes those from `start` to before `end`."""

    start: int
    end: int
    total: int | None

    @classmethod
    def of(cls, response: Any) -> Self | None:
        """None for what is not one range of bytes, or contradicts itself."""
        found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if response.status != HTTPStatus.PARTIAL_CONTENT or not found or found[1] is None:
            return None
        span = cls(int(found[1]), int(found[2]) + 1, None if found[3] == "*" else int(found[3]))
        return span if told_length(response) in {None, span.end - span.start} else None


def told_length(response: Any) -> int | None:
    told = response.headers.get("Content-Length", "")
    return int(told) if told.isdigit() else None


def told_size(response: Any) -> int | None:
    """The size of the file that a refusal names: `bytes */1234`."""
    found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return None if found is None or found[3] == "*" else int(found[3])


def origin_of(url: str) -> str:
    """The part of an endpoint that may be shown: the rest can be a secret."""
    return "/".join(url.split("/", 3)[:3]) if "://" in url else "(no address)"
