"""How much was moved when, between which sites: in the database, so that it outlives a mover and is of all movers."""

from __future__ import annotations

import threading
from collections import Counter, deque
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.mover.database import Database, Session
    from rucio_cs3.mover.model import Link

SLOT = 20  # seconds that are counted together
SLOTS = 180  # that are remembered: an hour
NOW = 10  # seconds that a rate of now is taken over


class Flow:
    """What this mover moved, and what of it came to a good end; `keep` writes down what is new."""

    def __init__(self, database: Database, mover: str) -> None:
        self._database = database
        self._mover = mover
        self._new: Counter[Link] = Counter()
        self._copied: Counter[Link] = Counter()
        self._lately: deque[tuple[int, Counter[Link]]] = deque(maxlen=NOW + 1)  # by second
        self._began = monotonic()
        self._lock = threading.Lock()

    def add(self, link: Link, count: int) -> None:
        second = int(monotonic())
        with self._lock:
            self._new[link] += count
            if not self._lately or self._lately[-1][0] != second:
                self._lately.append((second, Counter()))
            self._lately[-1][1][link] += count

    def copied(self, link: Link, size: int) -> None:
        """A whole file."""
        with self._lock:
            self._copied[link] += size

    def keep(self) -> None:
        with self._lock:
            new, self._new = self._new, Counter()
            copied, self._copied = self._copied, Counter()
        try:
            self._database.write(lambda session: self._write(session, new, copied))
        except Exception:
            with self._lock:
                self._new.update(new)
                self._copied.update(copied)
            raise

    def told(self, session: Session) -> dict[str, Any]:
        """`rates` in bytes a second, of the slots that have ended and, the last one, of now; `links` are of now.

        `bytes` are those of whole files.
        """
        now = session.now()
        current = int(now // SLOT)
        sums = "SELECT slot, sum(bytes) AS n, sum(copied) AS copied FROM flow WHERE slot > ? GROUP BY slot"
        rows = {row["slot"]: row for row in session.rows(sums, current - SLOTS)}
        with self._lock:
            unkept = sum(self._copied.values())
        links = self._now() + self._now_elsewhere(session, now)
        rates = [int(rows[slot]["n"]) / SLOT if slot in rows else 0 for slot in range(current - SLOTS + 1, current)]
        return {
            "seconds": SLOT,
            "bytes": sum(int(row["copied"]) for row in rows.values()) + unkept,
            "rates": [*map(round, rates), round(sum(links.values()))],
            "links": links,
        }

    def _now(self) -> Counter[Link]:
        """Rates of this mover."""
        moment = monotonic()
        seconds = max(min(NOW + moment % 1, moment - self._began), 1.0)
        with self._lock:
            lately = [counts for second, counts in self._lately if second >= int(moment) - NOW]
        moved: Counter[Link] = sum(lately, Counter())
        return _rates(moved, seconds)

    def _now_elsewhere(self, session: Session, now: float) -> Counter[Link]:
        """Rates of the other movers, as they last wrote them down."""
        rows = session.rows(
            "SELECT source_site, target_site, sum(bytes) AS n FROM flow WHERE slot >= ? AND mover <> ?"
            " GROUP BY source_site, target_site",
            *(int(now // SLOT) - 1, self._mover),
        )
        return _rates({(row["source_site"], row["target_site"]): int(row["n"]) for row in rows}, SLOT + now % SLOT)

    def _write(self, session: Session, new: Counter[Link], copied: Counter[Link]) -> None:
        slot = int(session.now() // SLOT)
        session.many(
            "INSERT INTO flow (slot, mover, source_site, target_site, bytes, copied) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (slot, mover, source_site, target_site)"
            " DO UPDATE SET bytes = flow.bytes + excluded.bytes, copied = flow.copied + excluded.copied",
            [(slot, self._mover, *link, new[link], copied[link]) for link in {**new, **copied}],
        )
        session.run("DELETE FROM flow WHERE slot < ?", slot - SLOTS)


def _rates(moved: Mapping[Link, int], seconds: float) -> Counter[Link]:
    return Counter({link: round(count / seconds) for link, count in moved.items() if count})
