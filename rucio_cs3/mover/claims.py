"""Who copies what next: in order, within limits, and for as long as a worker shows that it lives."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rucio_cs3 import observe
from rucio_cs3.mover import fts
from rucio_cs3.mover.model import Compare, Place, Wanted
from rucio_cs3.mover.orders import Held
from rucio_cs3.mover.queue import Ending, cancel_waiting, end

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rucio_cs3.mover.database import Database, Session
    from rucio_cs3.mover.model import Done, Link

LEASE = 30.0  # seconds after which a silent mover's copies are somebody else's
FIRST_DELAY = 2.0  # seconds before another try, doubled each time
LONGEST_DELAY = 600.0
LANES = (  # with the highest priority of what is to do there
    "SELECT lanes.*, (SELECT priority FROM files WHERE lane = lanes.id AND state = 'SUBMITTED'"
    " ORDER BY priority DESC LIMIT 1) AS top FROM lanes"
)
MOST_LOST = 5  # times that a copy may be begun anew because its mover was gone
LOST = f"TRANSFER [5] Input/output error: its mover was gone {MOST_LOST + 1} times before it was copied"
EXPIRED = "Job has been canceled because it stayed in the queue for too long"


@dataclass(frozen=True)
class Limits:
    """Copies at the same time."""

    site: int = 32
    link: int = 16
    sites: tuple[tuple[str, int], ...] = ()
    """of single sites, by host:port"""

    def of(self, site: str) -> int:
        return dict(self.sites).get(site, self.site)


@dataclass(frozen=True)
class Claim:
    """A file that is ours to copy."""

    id: int
    job: str
    vo: str
    source_site: str
    target_site: str
    wanted: Wanted
    trace: Mapping[str, str] | None = None
    """what the copy is a part of, if whoever wanted it said so"""

    @property
    def link(self) -> Link:
        return self.source_site, self.target_site


class Claims:
    """The files of one mover, `worker`."""

    def __init__(self, database: Database, worker: str, limits: Limits, lease: float = LEASE) -> None:
        self._database = database
        self._worker = worker
        self._limits = limits
        self.lease = lease

    def take(self, most: int) -> list[Claim]:
        return self._database.write(lambda session: self._take(session, most))

    def renew(self, so_far: Collection[tuple[int, int]]) -> set[int]:
        """Those of them that are still ours; the others have to end. Of each how many bytes it has, and its id.

        What is ours and not among them runs out, and is swept up: the answer that gave it to us may have got lost.
        """
        copied = {file for _, file in so_far}

        def work(session: Session) -> set[int]:
            change = "UPDATE files SET lease = {now} + ?, bytes = ? WHERE id = ? AND worker = ?"
            session.many(change, [(self.lease, count, file, self._worker) for count, file in so_far])
            rows = session.rows("SELECT id FROM files WHERE worker = ? AND state = ?", self._worker, fts.ACTIVE)
            return {row["id"] for row in rows}.intersection(copied)

        return self._database.write(work)

    def finished(self, claim: Claim, done: Done) -> bool:
        """False when it was not ours any more."""

        def work(session: Session) -> bool:
            row = self._mine(session, claim)
            if not row:
                return False
            end(session, row, Ending(fts.FINISHED, done.source, done.size, tried=_text(done.tried)))
            return True

        return self._database.write(work)

    def failed(
        self,
        claim: Claim,
        reason: str,
        there: Mapping[str, Any] | None = None,
        tried: Mapping[str, str] | None = None,
        *,
        again: bool,
    ) -> bool:
        """True when there will be another try. `there` is the file in the way, `tried` what each source gave."""

        def work(session: Session) -> bool:
            row = self._mine(session, claim)
            if row and again and row["tries"] < row["retries"]:
                _later(session, row, reason)
                return True
            if row:
                metadata = _with_file(row["metadata"], there)
                end(session, row, Ending(fts.FAILED, reason=reason, metadata=metadata, tried=_text(tried)))
            return False

        return self._database.write(work)

    def give_back(self, claim: Claim) -> None:
        """It was not tried, or not to its end: whoever comes first may."""

        def work(session: Session) -> None:
            if self._mine(session, claim):
                session.run("UPDATE files SET state = 'SUBMITTED', worker = NULL, lease = NULL WHERE id = ?", claim.id)

        self._database.write(work)

    def sweep(self) -> None:
        """What movers left behind that went away, and what has waited longer than its client wants."""
        self._database.write(lambda session: _sweep(session, everything=False))

    def sweep_all(self) -> None:
        """The same, where no other mover can be at work."""
        self._database.write(lambda session: _sweep(session, everything=True))

    def _mine(self, session: Session, claim: Claim) -> Any:
        """The row, if the copy still counts. A canceled one's destination is free from now on."""
        row = session.row("SELECT * FROM files WHERE id = ? AND worker = ? {lock}", claim.id, self._worker)
        if row and row["state"] == fts.CANCELED:
            session.run("UPDATE files SET worker = NULL, lease = NULL, live = NULL WHERE id = ?", claim.id)
        return row if row and row["state"] == fts.ACTIVE else None

    def _take(self, session: Session, most: int) -> list[Claim]:
        if session.dialect.one_claims:
            session.run(session.dialect.one_claims)
        _wake(session)
        lanes = _Choice(session, self._limits)
        taken: list[Claim] = []
        while len(taken) < most:
            lane = lanes.next()
            if lane is None:
                break
            row = self._first(session, lane)
            if row:
                taken.append(_claim(row, lane, _trace(session, row["job"])))
            lanes.served(lane, row)
        return taken

    def _first(self, session: Session, lane: Any) -> Any:
        row = session.row(
            "SELECT * FROM files WHERE lane = ? AND state = 'SUBMITTED'"
            " ORDER BY priority DESC, turn, id LIMIT 1 {skip}",
            lane["id"],
        )
        if not row:
            return None
        session.run(
            "UPDATE files SET state = ?, worker = ?, lease = {now} + ?, began = {now}, bytes = NULL WHERE id = ?",
            *(fts.ACTIVE, self._worker, self.lease, row["id"]),
        )
        session.run("UPDATE jobs SET state = ? WHERE id = ? AND state = ?", fts.ACTIVE, row["job"], fts.SUBMITTED)
        return row


class _Choice:
    """Which lane comes next: the highest priority first, and among equals the one that was served longest ago."""

    def __init__(self, session: Session, limits: Limits) -> None:
        self._session = session
        self._limits = limits
        self._held = Held(session)
        self._lanes = {row["id"]: dict(row) for row in session.rows(LANES)}
        self._active: Counter[Link] = Counter()
        counts = session.rows(
            "SELECT source_site, target_site, count(*) AS n FROM files WHERE state = 'ACTIVE'"
            " GROUP BY source_site, target_site"
        )
        for row in counts:
            self._active[row["source_site"], row["target_site"]] = row["n"]
        self._top = {lane: row["top"] for lane, row in self._lanes.items()}
        self._clock = max((lane["served"] for lane in self._lanes.values()), default=0.0)

    def next(self) -> Any:
        open_lanes = [lane for lane in self._lanes.values() if self._top[lane["id"]] is not None and self._room(lane)]
        return min(
            open_lanes, key=lambda lane: (-(self._top[lane["id"]] or 0), lane["served"], lane["id"]), default=None
        )

    def served(self, lane: Any, row: Any) -> None:
        """`row` is None where another mover was quicker."""
        if row is None:
            self._top[lane["id"]] = None
            return
        self._clock += 1
        lane["served"], lane["turn"] = self._clock, max(lane["turn"], row["turn"])
        self._active[lane["source_site"], lane["target_site"]] += 1
        self._top[lane["id"]] = self._highest(lane["id"])
        self._session.run(
            "UPDATE lanes SET served = ?, turn = ? WHERE id = ?", lane["served"], lane["turn"], lane["id"]
        )

    def _highest(self, lane: int) -> int | None:
        row = self._session.row(f"{LANES} WHERE id = ?", lane)
        top: int | None = row["top"]
        return top

    def _room(self, lane: Any) -> bool:
        source, target = lane["source_site"], lane["target_site"]
        at_site = {site: sum(n for link, n in self._active.items() if site in link) for site in (source, target)}
        return (
            self._active[source, target] < self._limits.link
            and all(n < self._limits.of(site) for site, n in at_site.items())
            and not self._held.back(lane["vo"], (source, target), self._active)
        )


def _trace(session: Session, job: str) -> Mapping[str, str] | None:
    if not observe.is_tracing():
        return None
    row = session.row("SELECT headers FROM traces WHERE job = ?", job)
    return json.loads(row["headers"]) if row else None


def _claim(row: Any, lane: Any, trace: Mapping[str, str] | None) -> Claim:
    sources = json.loads(row["sources"])
    tokens = json.loads(row["tokens"]) if row["tokens"] else [None] * (len(sources) + 1)
    wanted = Wanted(
        sources=tuple(Place(url, token) for url, token in zip(sources, tokens)),
        target=Place(row["target"], tokens[-1]),
        size=row["size"],
        checksum=row["checksum"],
        compare=Compare(row["compare"]),
        overwrite=bool(row["overwrite"]),
    )
    return Claim(row["id"], row["job"], lane["vo"], lane["source_site"], lane["target_site"], wanted, trace)


def _with_file(metadata: str, there: Mapping[str, Any] | None) -> str:
    known = json.loads(metadata)
    return json.dumps({**known, "dst_file": there}) if there and isinstance(known, dict) else metadata


def _text(tried: Mapping[str, str] | None) -> str | None:
    return json.dumps(dict(tried)) if tried else None


def _later(session: Session, row: Any, reason: str) -> None:
    delay = row["retry_delay"] or min(FIRST_DELAY * 2 ** row["tries"], LONGEST_DELAY)
    session.run(
        "UPDATE files SET state = ?, tries = tries + 1, not_before = {now} + ?, reason = ?, worker = NULL, lease = NULL"
        " WHERE id = ?",
        *(fts.WAITING, delay, reason, row["id"]),
    )


def _wake(session: Session) -> None:
    session.run("UPDATE files SET state = ? WHERE state = ? AND not_before <= {now}", fts.SUBMITTED, fts.WAITING)


def _sweep(session: Session, *, everything: bool) -> None:
    gone = "worker IS NOT NULL" if everything else "lease < {now}"
    hopeless = f"SELECT * FROM files WHERE {gone} AND state = 'ACTIVE' AND lost >= ? {{skip}}"  # noqa: S608 - our words
    for row in session.rows(hopeless, MOST_LOST):
        end(session, row, Ending(fts.FAILED, reason=LOST))
    for state, change in (("ACTIVE", "state = 'SUBMITTED', lost = lost + 1"), ("CANCELED", "live = NULL")):
        sql = f"UPDATE files SET {change}, worker = NULL, lease = NULL WHERE {gone} AND state = ?"  # noqa: S608 - our words
        session.run(sql, state)
    for row in session.rows("SELECT id FROM jobs WHERE expires < {now}"):
        cancel_waiting(session, row["id"], EXPIRED)
