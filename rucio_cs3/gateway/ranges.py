"""Byte ranges of a download: what is asked for, and a body of several parts."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNIT = "bytes="
CHARSET = "; charset=UTF-8"


class BadRange(ValueError):
    """It is not understood."""


class BeyondEnd(ValueError):
    """There is nothing in it."""


class Range(NamedTuple):
    start: int
    length: int

    def of(self, size: int) -> str:
        """As Content-Range says it."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def parse(told: str, size: int) -> list[Range]:
    """The ranges that a header asks for, in its order; none for a header that has none in it.

    Raises:
        BadRange: it makes no sense.
        BeyondEnd: none of them begins within the file.
    """
    if not told:
        return []
    if not told.startswith(UNIT):
        raise BadRange(told)
    parts = [part.strip() for part in told[len(UNIT) :].split(",") if part.strip()]
    ranges = [_range(part, size) for part in parts]
    found = [one for one in ranges if one]
    if parts and not found:
        raise BeyondEnd(told)
    return found


def _range(part: str, size: int) -> Range | None:
    """None for one that begins beyond the end."""
    first, dash, last = (piece.strip() for piece in part.partition("-"))
    if not dash or not (first or last) or not all(piece.isdigit() for piece in (first, last) if piece):
        raise BadRange(part)
    if not first:
        length = min(int(last), size)
        return Range(size - length, length) if size else None
    start = int(first)
    if last and int(last) < start:
        raise BadRange(part)
    return Range(start, min(int(last or size), size - 1) - start + 1) if start < size else None


class Reply:
    """What answers a request for these ranges, or for all where there are none."""

    def __init__(self, ranges: list[Range], size: int, mime_type: str) -> None:
        self.code = 206
        self.headers = {"Content-Type": f"{mime_type}{CHARSET}"}
        self.parts: Iterable[bytes | Range] = ranges or [Range(0, size)]
        self.length = sum(one.length for one in ranges) if ranges else size
        if not ranges or self.length > size:
            self.code, self.length, self.parts = 200, size, [Range(0, size)]
        elif len(ranges) == 1:
            self.headers |= {"Content-Range": ranges[0].of(size), "Accept-Ranges": "bytes"}
        else:
            several = Multipart(ranges, size, mime_type)
            self.headers = {"Content-Type": several.content_type}
            self.length, self.parts = several.length, several


class Multipart:
    """A body of several parts, each with a head of its own.

    !! Reva forgets the charset when it counts, so the end is missing: for five parts and more, of the content too.
    """

    def __init__(self, ranges: list[Range], size: int, content_type: str) -> None:
        boundary = secrets.token_hex(30)
        self.content_type = f"multipart/byteranges; boundary={boundary}"
        self._pieces: list[bytes | Range] = []
        for number, one in enumerate(ranges):
            lines = (
                f"--{boundary}",
                f"Content-Range: {one.of(size)}",
                f"Content-Type: {content_type}{CHARSET}",
                "",
                "",
            )
            self._pieces += [b"\r\n" * bool(number) + "\r\n".join(lines).encode(), one]
        self._pieces.append(f"\r\n--{boundary}--\r\n".encode())
        self.length = sum(map(_length, self._pieces)) - len(CHARSET) * len(ranges)

    def __iter__(self) -> Iterator[bytes | Range]:
        """What is sent as it is, and what of the file."""
        left = self.length
        for piece in self._pieces:
            yield piece[:left] if isinstance(piece, bytes) else Range(piece.start, min(piece.length, left))
            left = max(left - _length(piece), 0)


def _length(piece: bytes | Range) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.length
