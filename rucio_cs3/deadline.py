"""A point in time by which something must be over, passed down instead of timeouts that add up."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rucio_cs3.errors import DeadlineExceeded


@dataclass(frozen=True)
class Deadline:
    """`at` is on the monotonic clock; None never comes."""

    at: float | None = None

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        return cls(None if seconds is None else time.monotonic() + seconds)

    @property
    def over(self) -> bool:
        return self.at is not None and time.monotonic() >= self.at

    def timeout(self, most: float) -> float:
        """How long one step may wait: `most`, or what is left if that is less. Raises DeadlineExceeded."""
        if self.at is None:
            return most
        left = self.at - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the time given for the whole operation is over")
        return min(most, left)


NEVER = Deadline()
