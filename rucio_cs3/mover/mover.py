"""The mover as one object: its queue, its workers, and what it tells of them."""

from __future__ import annotations

import fcntl
import os
import socket
import time
import uuid
from typing import TYPE_CHECKING, Any

from rucio_cs3.errors import ConfigError
from rucio_cs3.mover import fts
from rucio_cs3.mover.claims import Claims
from rucio_cs3.mover.claims import Limits as Places
from rucio_cs3.mover.config import DAY
from rucio_cs3.mover.database import Database
from rucio_cs3.mover.metrics import Metrics
from rucio_cs3.mover.queue import Queue
from rucio_cs3.mover.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rucio_cs3.mover.config import MoverConfig
    from rucio_cs3.mover.database import Session
    from rucio_cs3.mover.model import Copy

LAST = 20  # failures that are shown


class Mover:
    def __init__(self, config: MoverConfig, copy: Copy) -> None:
        limits = config.limits
        self._database = Database(config.database)
        self._alone = None if self._database.shared else _lock(config.database)
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.most_files = limits.files
        self.queue = Queue(self._database, limits.retries)
        self.metrics = Metrics(self.depth)
        places = Places(limits.site, limits.link, tuple(config.site_limits.items()))
        claims = Claims(self._database, self.name, places, limits.lease)
        if self._alone is not None:
            claims.sweep_all()
        self._workers = Workers(claims, copy, limits.copies, self.metrics, lambda: self.queue.forget(limits.days * DAY))
        self._workers.start()

    def tell(self) -> None:
        """There is something new in the queue."""
        self._workers.tell()

    def stop(self, files: Iterable[int]) -> None:
        """These copies are not wanted any more."""
        self._workers.stop(files)

    def depth(self) -> dict[str, int]:
        """Files by state."""
        found = self._database.read(_counts)
        return {state: found.get(state, 0) for state in (fts.SUBMITTED, fts.WAITING, fts.ACTIVE, *sorted(fts.FINAL))}

    def status(self) -> dict[str, Any]:
        now = time.monotonic()
        running = [
            {
                "job": copy.claim.job,
                "source": copy.claim.source_site,
                "destination": copy.claim.target_site,
                "size": copy.claim.wanted.size,
                "bytes": copy.bytes,
                "seconds": round(now - copy.began, 1),
            }
            for copy in self._workers.running()
        ]
        return {"mover": self.name, "files": self.depth(), "running": running, **self._database.read(_recent)}

    def close(self) -> None:
        self._workers.close()
        self._database.close()
        if self._alone is not None:
            os.close(self._alone)


def check_database(url: str) -> None:
    """Raises ConfigError where a mover could not work with it."""
    database = Database(url)
    database.close()
    if not database.shared:
        os.close(_lock(url))


def _lock(database: str) -> int:
    """An SQLite file is for one mover at a time. The kernel gives it back, whatever ends us."""
    place = os.open(f"{database}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(place)
        raise ConfigError(
            f"another mover works with {database}", hint="stop it, or give them a postgresql:// database to share"
        ) from None
    return place


def _counts(session: Session) -> dict[str, int]:
    rows = session.rows("SELECT state, count(*) AS n FROM files GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


def _recent(session: Session) -> dict[str, Any]:
    """What waits on which link, and what failed last."""
    lanes = session.rows(
        "SELECT source_site, target_site, sum(active) AS active, sum(waiting) AS waiting FROM (SELECT lanes.*,"
        " (SELECT count(*) FROM files WHERE lane = lanes.id AND state = 'ACTIVE') AS active,"
        " (SELECT count(*) FROM files WHERE lane = lanes.id AND state IN ('SUBMITTED', 'WAITING')) AS waiting"
        " FROM lanes) AS links GROUP BY source_site, target_site HAVING sum(active) + sum(waiting) > 0"
        " ORDER BY source_site, target_site",
    )
    failures = session.rows(
        "SELECT job, reason, ended FROM files WHERE state = 'FAILED' ORDER BY ended DESC LIMIT ?", LAST
    )
    return {
        "links": [
            {
                "source": row["source_site"],
                "destination": row["target_site"],
                "active": int(row["active"]),
                "waiting": int(row["waiting"]),
            }
            for row in lanes
        ],
        "failures": [
            {"job": row["job"], "reason": row["reason"], "time": fts.time_of(row["ended"])} for row in failures
        ],
    }
