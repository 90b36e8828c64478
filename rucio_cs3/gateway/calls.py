"""The log of what was asked of a gateway, so that tests can count round trips."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Call(NamedTuple):
    """One request: `door` is grpc or http, `path` the CS3 path it was about."""

    door: str
    method: str
    path: str


class Calls:
    """Thread-safe: iterating goes over what was there when it began."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()

    def add(self, door: str, method: str, path: str) -> None:
        with self._lock:
            self._calls.append(Call(door, method, path))

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        with self._lock:
            return iter(self._calls.copy())
