"""How often an account may ask."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict


class RateLimit:
    """A token bucket for each account, kept as one number: the time when it will be full again.

    An account whose bucket is full is forgotten, and so is the one that was quiet for longest when there are too many.
    """

    def __init__(self, per_minute: int, most: int = 10_000) -> None:
        self._interval = 60.0 / per_minute
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, account: str, now: float | None = None) -> float:
        """Take one request from the account's bucket and return 0, or the seconds until there is one in it."""
        now = time.monotonic() if now is None else now
        with self._lock:
            full_at = max(self._full_at.get(account, now), now) + self._interval
            missing = full_at - now - 60.0
            if missing > self._interval / 1000:  # more than what adding up loses
                return missing
            self._full_at[account] = full_at
            self._full_at.move_to_end(account)
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        while self._full_at:
            account, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) <= self._most:
                return
            del self._full_at[account]
