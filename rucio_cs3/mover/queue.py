"""The queue of jobs. All that is said to be so here has been committed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from rucio_cs3 import observe
from rucio_cs3.mover import fts
from rucio_cs3.mover.addresses import identity
from rucio_cs3.mover.jobs import HOPS, site_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rucio_cs3.mover.database import Database, Session
    from rucio_cs3.mover.jobs import File, Job
    from rucio_cs3.mover.model import Link

AT_ONCE = 500  # values in one statement; old SQLite takes 999
BITE = 20  # jobs forgotten in one commit; a large one has 10,000 files
USUAL_RETRIES = 2
ID = re.compile("[0-9a-f-]{36}")
CANCELED_REASON = "Job canceled by the user"
FILE_COLUMNS = (
    "job, position, lane, turn, priority, state, sources, target, source_site, target_site, live, size, checksum, "
    "compare, overwrite, activity, metadata, tokens, hop, tries, retries, retry_delay"
)


class Duplicate(Exception):
    """The job is there, or a file on its way to the same destination."""


class Queue:
    def __init__(self, database: Database, retries: int = USUAL_RETRIES) -> None:
        self._database = database
        self._retries = retries

    def submit(self, job: Job, vo: str, caller: str) -> str:
        """Its id, once it cannot get lost any more. Raises Duplicate."""
        job_id = job.id(vo)
        try:
            trace = observe.headers()
            self._database.write(lambda session: self._insert(session, job, job_id, vo, caller, trace))
        except Exception as error:
            if self._database.is_duplicate(error):
                raise Duplicate("The submission is duplicated: a file is on its way to the same destination") from None
            raise
        return job_id

    def jobs(self, ids: Sequence[str]) -> dict[str, Any]:
        """Those that there are, by id."""
        known = [job for job in ids if ID.fullmatch(job)]
        return self._database.read(lambda session: _jobs(session, known))

    def listed(self, vo: str, states: Sequence[str] = (), limit: int | None = None) -> list[Any]:
        """A VO's jobs that have not ended; with a limit the last ones, and then ended ones of these states."""
        sql, values = "SELECT * FROM jobs WHERE vo = ?", [vo, *states]
        if not (states and limit):
            sql += " AND ended IS NULL"
        if states:
            sql += f" AND state IN ({', '.join('?' * len(states))})"
        sql += " ORDER BY submitted DESC, id"
        if limit:
            sql += f" LIMIT {limit:d}"
        return self._database.read(lambda session: session.rows(sql, *values))

    def files(self, ids: Sequence[str]) -> dict[str, list[Any]]:
        """Of each of these jobs, in order."""
        return self._database.read(lambda session: _files(session, ids))

    def cancel(self, ids: Sequence[str]) -> list[int]:
        """The files whose copies somebody has to stop. Their destinations stay taken until that is done."""
        return self._database.write(lambda session: [file for job in ids for file in _cancel(session, job)])

    def prioritize(self, ids: Sequence[str], priority: int) -> None:
        def work(session: Session) -> None:
            for job in ids:
                session.run("UPDATE jobs SET priority = ? WHERE id = ? AND unfinished > 0", priority, job)
                session.run("UPDATE files SET priority = ? WHERE job = ? AND ended IS NULL", priority, job)

        self._database.write(work)

    def forget(self, seconds: float) -> bool:
        """Some of the jobs that ended so long ago, so that nobody waits for it. True when there are more."""
        some = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended < {now} - ? ORDER BY ended LIMIT ?)"
        gone: int = self._database.write(lambda session: session.run(some, seconds, BITE).rowcount)
        return gone == BITE

    def _insert(self, session: Session, job: Job, job_id: str, vo: str, caller: str, trace: Mapping[str, str]) -> None:
        now = session.now()
        session.run(
            "INSERT INTO jobs (id, vo, caller, kind, state, priority, compare, overwrite, metadata, submitted, expires,"
            " files, unfinished, finished, canceled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
            *(job_id, vo, caller, job.kind, fts.SUBMITTED, job.priority, job.compare.value, int(job.overwrite)),
            *(
                json.dumps(job.metadata),
                now,
                now + job.longest if job.longest else None,
                len(job.files),
                len(job.files),
            ),
        )
        if trace:
            session.run("INSERT INTO traces (job, headers) VALUES (?, ?)", job_id, json.dumps(dict(trace)))
        lanes = _Lanes(session, vo)
        rows = [
            (job_id, position, *lanes.place(file), job.priority, *self._file(file, job, position))
            for position, file in enumerate(job.files)
        ]
        marks = ", ".join("?" * len(FILE_COLUMNS.split(",")))
        session.many(f"INSERT INTO files ({FILE_COLUMNS}) VALUES ({marks})", rows)  # noqa: S608 - our own words

    def _file(self, file: File, job: Job, position: int) -> tuple[Any, ...]:
        hop = position if job.kind == HOPS else 0
        last = position == len(job.files) - 1
        return (
            fts.NOT_USED if hop else fts.SUBMITTED,
            json.dumps(file.sources),
            file.target,
            site_of(file.sources[0]),
            site_of(file.target),
            hashlib.sha256(identity(file.target)).hexdigest(),
            file.size,
            file.checksum,
            job.compare.value,
            int(job.overwrite or (job.overwrite_hop and not last)),
            file.activity,
            json.dumps(file.metadata),
            json.dumps(file.tokens) if file.tokens else None,
            hop,
            0,
            max(job.retries or self._retries, 0),
            job.retry_delay,
        )


class _Lanes:
    """Links of a VO, which take turns. In a lane jobs take turns: a file's turn is as far ahead as its job is long."""

    def __init__(self, session: Session, vo: str) -> None:
        self._session = session
        self._vo = vo
        self._known: dict[Link, list[int]] = {}

    def place(self, file: File) -> tuple[int, int]:
        """Lane and turn."""
        link = (site_of(file.sources[0]), site_of(file.target))
        if link not in self._known:
            self._known[link] = self._find(*link)
        self._known[link][1] += 1
        return self._known[link][0], self._known[link][1]

    def _find(self, source: str, target: str) -> list[int]:
        find = "SELECT id, turn FROM lanes WHERE vo = ? AND source_site = ? AND target_site = ?"
        row = self._session.row(find, self._vo, source, target)
        if not row:
            self._session.run(
                "INSERT INTO lanes (vo, source_site, target_site, turn, served) VALUES (?, ?, ?, 0, 0)"
                " ON CONFLICT (vo, source_site, target_site) DO NOTHING",
                *(self._vo, source, target),
            )
            row = self._session.row(find, self._vo, source, target)
        return [row["id"], row["turn"]]


class Ending(NamedTuple):
    """What is known of a file in the end."""

    state: str
    used: str | None = None
    bytes: int | None = None
    reason: str | None = None
    metadata: str | None = None
    """where it is not what the client gave"""
    tried: str | None = None
    """the sources that were of no use, and why"""


def end(session: Session, row: Any, ending: Ending) -> None:
    """A file has come to its end, and perhaps its job. Its tokens are nobody's business any more."""
    session.run(
        "UPDATE files SET ended = {now}, tokens = NULL, worker = NULL, lease = NULL, live = NULL,"
        " state = ?, used = ?, bytes = ?, reason = ?, metadata = COALESCE(?, metadata), tried = ? WHERE id = ?",
        *(*ending, row["id"]),
    )
    session.run(
        "UPDATE jobs SET unfinished = unfinished - 1, finished = finished + ? WHERE id = ?",
        *(int(ending.state == fts.FINISHED), row["job"]),
    )
    if ending.state == fts.FINISHED:
        session.run(
            "UPDATE files SET state = 'SUBMITTED' WHERE job = ? AND position = ? AND hop > 0 AND state = 'NOT_USED'",
            *(row["job"], row["position"] + 1),
        )
    elif row["hop"] or _has_hops(session, row["job"]):
        _drop_hops(session, row["job"], row["position"])
    _end_job(session, row["job"], ending.reason)


def _has_hops(session: Session, job: str) -> bool:
    return bool(session.row("SELECT kind FROM jobs WHERE id = ?", job)["kind"] == HOPS)


def _drop_hops(session: Session, job: str, position: int) -> None:
    """Those after one that failed are not made."""
    dropped = session.run(
        "UPDATE files SET ended = {now}, tokens = NULL, live = NULL WHERE job = ? AND position > ? AND ended IS NULL",
        *(job, position),
    ).rowcount
    session.run("UPDATE jobs SET unfinished = unfinished - ? WHERE id = ?", dropped, job)


def _end_job(session: Session, job: str, reason: str | None) -> None:
    row = session.row("SELECT * FROM jobs WHERE id = ?", job)
    if row["unfinished"]:
        return
    state = fts.verdict(row["finished"], row["canceled"], row["files"])
    why = None if state == fts.FINISHED else row["reason"] or reason or "One or more files failed"
    session.run("UPDATE jobs SET state = ?, reason = ?, ended = {now}, expires = NULL WHERE id = ?", state, why, job)


def _cancel(session: Session, job: str) -> list[int]:
    """The files that are being copied stay in somebody's hands until he lets go."""
    running = session.rows("SELECT id FROM files WHERE job = ? AND state = 'ACTIVE'", job)
    changed = session.run(
        "UPDATE files SET state = 'CANCELED', ended = {now}, tokens = NULL, reason = ?"
        " WHERE job = ? AND state = 'ACTIVE'",
        *(CANCELED_REASON, job),
    ).rowcount
    _count_canceled(session, job, changed, CANCELED_REASON)
    cancel_waiting(session, job, CANCELED_REASON)
    return [row["id"] for row in running]


def cancel_waiting(session: Session, job: str, reason: str) -> None:
    """What has not begun."""
    changed = session.run(
        "UPDATE files SET state = 'CANCELED', ended = {now}, tokens = NULL, reason = ?, live = NULL"
        " WHERE job = ? AND ended IS NULL AND state <> 'ACTIVE'",
        *(reason, job),
    ).rowcount
    _count_canceled(session, job, changed, reason)


def _count_canceled(session: Session, job: str, changed: int, reason: str) -> None:
    if changed:
        session.run(
            "UPDATE jobs SET unfinished = unfinished - ?, canceled = canceled + ?, reason = ? WHERE id = ?",
            *(changed, changed, reason, job),
        )
        _end_job(session, job, reason)


def _jobs(session: Session, ids: Sequence[str]) -> dict[str, Any]:
    return {row["id"]: row for row in _in(session, "SELECT * FROM jobs WHERE id IN ({})", ids)}


def _files(session: Session, ids: Sequence[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {job: [] for job in ids}
    for row in _in(session, "SELECT * FROM files WHERE job IN ({}) ORDER BY job, position", ids):
        found[row["job"]].append(row)
    return found


def _in(session: Session, sql: str, ids: Sequence[str]) -> Iterable[Any]:
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        yield from session.rows(sql.format(", ".join("?" * len(some))), *some)
