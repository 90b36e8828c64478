"""What movers tell of their work: to programs, to a terminal and to the status page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rucio_cs3.mover import fts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rucio_cs3.mover.database import Session
    from rucio_cs3.mover.model import Link
    from rucio_cs3.mover.workers import Running

MOST_RUNNING = 200  # copies of others that are shown
LAST = 20  # failures that are shown
STATES = (fts.SUBMITTED, fts.WAITING, fts.ACTIVE, fts.CANCELED, fts.FAILED, fts.FINISHED)  # that a file can be in


def depth(session: Session) -> dict[str, int]:
    """Files by state."""
    rows = session.rows("SELECT state, count(*) AS n FROM files GROUP BY state")
    found = {row["state"]: row["n"] for row in rows}
    return {state: found.get(state, 0) for state in STATES}


def oldest(session: Session) -> float:
    """Seconds since the oldest job came that has not ended; 0 where all have."""
    return max(session.row("SELECT {now} - min(submitted) AS age FROM jobs WHERE ended IS NULL")["age"] or 0.0, 0.0)


def ours(copies: Iterable[Running], vo: str, mover: str) -> list[dict[str, Any]]:
    """What this mover is at, also what it has to let go of."""
    return [
        {
            **_named(copy.claim.job, copy.claim.id, copy.claim.wanted.target.url),
            **_progress(copy.claim.link, copy.claim.wanted.size, copy.bytes, copy.seconds, mover),
        }
        for copy in copies
        if copy.claim.vo == vo
    ]


def theirs(session: Session, vo: str, mover: str) -> list[dict[str, Any]]:
    """What the other movers are at, as they last wrote it down."""
    now = session.now()
    rows = session.rows(
        "SELECT files.* FROM files JOIN jobs ON jobs.id = files.job"
        " WHERE files.worker IS NOT NULL AND files.worker <> ? AND jobs.vo = ? ORDER BY files.began, files.id LIMIT ?",
        *(mover, vo, MOST_RUNNING),
    )
    return [
        {
            **_named(row["job"], row["id"], row["target"]),
            **_progress(
                (row["source_site"], row["target_site"]),
                *(row["size"], row["bytes"] or 0, max(now - row["began"], 0.0), row["worker"]),
            ),
        }
        for row in rows
    ]


def _named(job: str, file: int, url: str) -> dict[str, Any]:
    return {"job": job, "file_id": file, "file": without_query(url)}


def _progress(link: Link, size: int | None, count: int, seconds: float, mover: str) -> dict[str, Any]:
    source, target = link
    where = {"source": source, "destination": target, "mover": mover}
    return {**where, "size": size, "bytes": count, "seconds": round(seconds, 1)}


def links(session: Session, rates: Mapping[Link, float]) -> list[dict[str, Any]]:
    """Between which sites files wait or are moved, or were a moment ago."""
    rows = session.rows(
        "SELECT source_site, target_site, sum(active) AS active, sum(waiting) AS waiting FROM (SELECT lanes.*,"
        " (SELECT count(*) FROM files WHERE lane = lanes.id AND state = 'ACTIVE') AS active,"
        " (SELECT count(*) FROM files WHERE lane = lanes.id AND state IN ('SUBMITTED', 'WAITING')) AS waiting"
        " FROM lanes) AS links GROUP BY source_site, target_site HAVING sum(active) + sum(waiting) > 0"
    )
    queued = {(row["source_site"], row["target_site"]): (int(row["active"]), int(row["waiting"])) for row in rows}
    return [
        {
            "source": link[0],
            "destination": link[1],
            "active": queued.get(link, (0, 0))[0],
            "waiting": queued.get(link, (0, 0))[1],
            "rate": round(rates.get(link, 0.0)),
        }
        for link in sorted(queued.keys() | rates.keys())
    ]


def failures(session: Session, vo: str) -> list[dict[str, Any]]:
    """The last ones first. The state is named, so that its index is used."""
    rows = session.rows(
        "SELECT files.* FROM files JOIN jobs ON jobs.id = files.job"
        " WHERE files.state = 'FAILED' AND jobs.vo = ? ORDER BY files.ended DESC LIMIT ?",
        *(vo, LAST),
    )
    return [
        {
            **_named(row["job"], row["id"], row["target"]),
            "reason": row["reason"],
            "time": fts.time_of(row["ended"]),
        }
        for row in rows
    ]


def without_query(url: str) -> str:
    """Something that opens the door may stand in it."""
    return urlsplit(url)._replace(query="").geturl()
