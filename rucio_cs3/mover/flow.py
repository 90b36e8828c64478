"""How much was moved when, between which sites: in the database, so that it outlives a mover and is of all movers."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rucio_cs3.mover.database import Database, Session

    Link = tuple[str, str]

SLOT = 20  # seconds that are counted together
SLOTS = 180  # that are remembered: an hour
NOW = 3  # slots, the last of which has not ended, that a rate of now is taken over


class Flow:
    """What this mover moved; `keep` writes down what is new."""

    def __init__(self, database: Database, mover: str) -> None:
        self._database = database
        self._mover = mover
        self._new: Counter[Link] = Counter()
        self._lock = threading.Lock()

    def add(self, link: Link, count: int) -> None:
        with self._lock:
            self._new[link] += count

    def keep(self) -> None:
        with self._lock:
            new, self._new = self._new, Counter()
        try:
            self._database.write(lambda session: self._write(session, new))
        except Exception:
            with self._lock:
                self._new.update(new)
            raise

    def told(self, session: Session) -> dict[str, Any]:
        """`rates` in bytes a second, of the slots that have ended and, the last one, of now; `links` are of now."""
        now = session.now()
        current = int(now // SLOT)
        with self._lock:
            new = Counter(self._new)
        rows = session.rows("SELECT slot, sum(bytes) AS n FROM flow WHERE slot > ? GROUP BY slot", current - SLOTS)
        by_slot = {row["slot"]: int(row["n"]) for row in rows}
        total = sum(by_slot.values()) + sum(new.values())
        recent = session.rows(
            "SELECT source_site, target_site, sum(bytes) AS n FROM flow WHERE slot > ?"
            " GROUP BY source_site, target_site",
            current - NOW,
        )
        for row in recent:
            new[row["source_site"], row["target_site"]] += int(row["n"])
        seconds = now - (current - NOW + 1) * SLOT
        links = {link: count / seconds for link, count in new.items() if count}
        rates = [by_slot.get(slot, 0) / SLOT for slot in range(current - SLOTS + 1, current)]
        return {
            "seconds": SLOT,
            "bytes": total,
            "rates": [*map(round, rates), round(sum(links.values()))],
            "links": links,
        }

    def _write(self, session: Session, new: Counter[Link]) -> None:
        slot = int(session.now() // SLOT)
        session.many(
            "INSERT INTO flow (slot, mover, source_site, target_site, bytes) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (slot, mover, source_site, target_site) DO UPDATE SET bytes = flow.bytes + excluded.bytes",
            [(slot, self._mover, *link, count) for link, count in new.items() if count],
        )
        session.run("DELETE FROM flow WHERE slot < ?", slot - SLOTS)
