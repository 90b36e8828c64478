"""The mover as one object: its queue, its workers, and what it tells of them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import logging
import os
import socket
import uuid
from typing import TYPE_CHECKING, Any

from rucio_cs3.errors import ConfigError
from rucio_cs3.mover import status
from rucio_cs3.mover.claims import Claims, Places
from rucio_cs3.mover.config import DAY
from rucio_cs3.mover.database import Database
from rucio_cs3.mover.flow import Flow
from rucio_cs3.mover.fts import time_of
from rucio_cs3.mover.metrics import Metrics
from rucio_cs3.mover.orders import Orders
from rucio_cs3.mover.queue import Queue
from rucio_cs3.mover.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rucio_cs3.mover.config import MoverConfig
    from rucio_cs3.mover.database import Session
    from rucio_cs3.mover.model import Copy
    from rucio_cs3.service.certificates import Endpoint

log = logging.getLogger("rucio_cs3.mover")


class Mover:
    def __init__(self, config: MoverConfig, copy: Copy, endpoints: Iterable[Endpoint] = ()) -> None:
        """`endpoints` are where the sites of `copy` speak TLS."""
        limits = config.limits
        self._database = Database(config.database)
        self._alone = None if self._database.shared else _lock(config.database)
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.most_files = limits.files
        self.queue = Queue(self._database, limits.retries)
        self.orders = Orders(self._database)
        self._flow = Flow(self._database, self.name)
        self.metrics = Metrics(self.depth, self.oldest, endpoints)
        places = Places(limits.site, limits.link, tuple(config.site_limits.items()))
        claims = Claims(self._database, self.name, places, limits.lease)
        if self._alone is not None:
            claims.sweep_all()
        tidy = functools.partial(self.queue.forget, limits.days * DAY)
        self._workers = Workers(claims, copy, limits.copies, self.metrics, self._flow, tidy)
        self._workers.start()

    def tell(self) -> None:
        """There is something new in the queue."""
        self._workers.tell()

    def stop(self, files: Iterable[int]) -> None:
        """These copies are not wanted any more."""
        self._workers.stop(files)

    def depth(self) -> dict[str, int]:
        """Files by state."""
        return self._database.read(status.depth)

    def oldest(self) -> float:
        """The age of the oldest job that has not ended."""
        return self._database.read(status.oldest)

    def so_far(self) -> dict[int, int]:
        """How many bytes of a file this mover has moved, of those that it is at."""
        return {copy.claim.id: copy.bytes for copy in self._workers.running()}

    def status(self, vo: str) -> dict[str, Any]:
        """Of all movers that share the queue. Files are named to their own VO only."""
        running = status.ours(self._workers.running(), vo, self.name)

        def work(session: Session) -> dict[str, Any]:
            flow = self._flow.told(session)
            rates = flow.pop("links")
            return {
                "mover": self.name,
                "time": time_of(session.now()),
                "files": status.depth(session),
                "running": [*running, *status.theirs(session, vo, self.name)],
                "links": status.links(session, rates),
                "failures": status.failures(session, vo),
                "flow": flow,
            }

        return {**self._database.read(work), "banned": self.orders.bans(vo)}

    def close(self) -> None:
        log.info("told to stop; copies that are given back: %d", len(self._workers.running()))
        self._workers.close()
        with contextlib.suppress(Exception):  # numbers are not worth an error at the end
            self._flow.keep()
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
