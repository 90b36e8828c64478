"""How often an account may ask, and how often somebody may guess a token."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict


class RateLimit:
    """A token bucket for each key, kept as one number: the time when it will be full again.

    A key whose bucket is full is forgotten, and so is the one that was quiet for longest when there are too many.
    """

    def __init__(self, per_minute: int, most: int = 10_000) -> None:
        self._interval = 60.0 / per_minute
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str, now: float | None = None) -> float:
        """Take one request from the key's bucket and return 0, or the seconds until there is one in it."""
        now = time.monotonic() if now is None else now
        with self._lock:
            full_at = max(self._full_at.get(key, now), now) + self._interval
            missing = full_at - now - 60.0
            if missing > self._interval / 1000:  # more than what adding up loses
                return missing
            self._full_at[key] = full_at
            self._full_at.move_to_end(key)
            self._forget(now)
        return 0.0

    def give_back(self, key: str) -> None:
        """What was taken does not count."""
        with self._lock:
            if key in self._full_at:
                self._full_at[key] -= self._interval

    def _forget(self, now: float) -> None:
        while self._full_at:
            key, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) <= self._most:
                return
            del self._full_at[key]
