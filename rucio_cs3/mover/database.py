"""Where the queue is kept: an SQLite file, or PostgreSQL, by the same SQL. What differs stands in one table."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sqlite3
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from rucio_cs3.errors import ConfigError
from rucio_cs3.private import refuse_public

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger("rucio_cs3.mover")

T = TypeVar("T")
Work = Callable[["Session"], T]
SERVERS = ("postgresql://", "postgres://")  # how addresses of PostgreSQL begin
ENCODE = "in its password % is written as %25, / as %2F, [ as %5B"
BATCH = 500  # pieces of work in one commit
TRIES = 3  # for what was only in the way of others
BUSY_SECONDS = 60
FROZEN_SECONDS = 15  # after which PostgreSQL ends what a mover began that is frozen, and holds up all others

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, vo TEXT NOT NULL, caller TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
    priority INTEGER NOT NULL, compare TEXT NOT NULL, overwrite INTEGER NOT NULL, metadata TEXT NOT NULL,
    submitted {real} NOT NULL, expires {real}, ended {real}, reason TEXT,
    files INTEGER NOT NULL, unfinished INTEGER NOT NULL, finished INTEGER NOT NULL, canceled INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS lanes (
    id {serial}, vo TEXT NOT NULL, source_site TEXT NOT NULL, target_site TEXT NOT NULL,
    turn INTEGER NOT NULL, served {real} NOT NULL, UNIQUE (vo, source_site, target_site));
CREATE TABLE IF NOT EXISTS files (
    id {serial}, job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, position INTEGER NOT NULL, lane INTEGER NOT NULL,
    turn INTEGER NOT NULL, priority INTEGER NOT NULL, state TEXT NOT NULL,
    sources TEXT NOT NULL, target TEXT NOT NULL, source_site TEXT NOT NULL, target_site TEXT NOT NULL, live TEXT,
    size {big}, checksum TEXT, compare TEXT NOT NULL, overwrite INTEGER NOT NULL, activity TEXT NOT NULL,
    metadata TEXT NOT NULL, tokens TEXT, hop INTEGER NOT NULL,
    tries INTEGER NOT NULL, retries INTEGER NOT NULL, retry_delay INTEGER NOT NULL, not_before {real},
    worker TEXT, lease {real}, lost INTEGER NOT NULL DEFAULT 0,
    began {real}, ended {real}, reason TEXT, used TEXT, tried TEXT, bytes {big});
CREATE TABLE IF NOT EXISTS traces (
    job TEXT PRIMARY KEY REFERENCES jobs ON DELETE CASCADE, headers TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS flow (
    slot {big} NOT NULL, mover TEXT NOT NULL, source_site TEXT NOT NULL, target_site TEXT NOT NULL,
    bytes {big} NOT NULL, PRIMARY KEY (slot, mover, source_site, target_site));
CREATE TABLE IF NOT EXISTS orders (
    vo TEXT NOT NULL, site TEXT NOT NULL, name TEXT NOT NULL, banned {real}, message TEXT, caller TEXT,
    inbound {big}, outbound {big}, PRIMARY KEY (vo, site));
CREATE INDEX IF NOT EXISTS files_job ON files (job, position);
CREATE INDEX IF NOT EXISTS files_next ON files (lane, state, priority DESC, turn, id);
CREATE INDEX IF NOT EXISTS files_state ON files (state, not_before);
CREATE INDEX IF NOT EXISTS files_worker ON files (worker) WHERE worker IS NOT NULL;
CREATE INDEX IF NOT EXISTS files_failed ON files (ended) WHERE state = 'FAILED';
CREATE UNIQUE INDEX IF NOT EXISTS files_live ON files (live) WHERE live IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_expires ON jobs (expires) WHERE expires IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (ended) WHERE ended IS NOT NULL;
"""


@dataclass(frozen=True)
class Dialect:
    words: Mapping[str, str]
    mark: str
    """what stands for a value"""
    now: str
    begin: str
    skip_locked: str
    lock: str
    """keeps others from changing a row, until the commit"""
    one_claims: str
    """makes claims of several movers wait for each other, until the commit"""
    one_makes: tuple[tuple[str, ...], tuple[str, ...]]
    """the same for who makes the tables, and its end"""


SQLITE = Dialect(
    words={"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "real": "REAL", "big": "INTEGER"},
    mark="?",
    now="((julianday('now') - 2440587.5) * 86400.0)",
    begin="BEGIN IMMEDIATE",
    skip_locked="",
    lock="",
    one_claims="",
    one_makes=((), ()),
)
POSTGRESQL = Dialect(
    words={"serial": "BIGSERIAL PRIMARY KEY", "real": "DOUBLE PRECISION", "big": "BIGINT"},
    mark="%s",
    now="extract(epoch FROM clock_timestamp())::float8",
    begin="BEGIN",
    skip_locked="FOR UPDATE SKIP LOCKED",
    lock="FOR UPDATE",
    one_claims="SELECT pg_advisory_xact_lock(7423001)",
    one_makes=(("SELECT pg_advisory_lock(7423000)",), ("SELECT pg_advisory_unlock(7423000)",)),
)


class Session:
    """One connection.

    In our SQL `?` stands for a value, `{now}` for the database's clock, `{skip}` for passing over
    what another mover is about to take, `{lock}` for having others wait who want to change it.
    """

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self.connection = connection
        self.dialect = dialect
        self._known: dict[str, str] = {}

    def run(self, sql: str, *values: Any) -> Any:
        return self.connection.execute(self._said(sql), values)

    def rows(self, sql: str, *values: Any) -> list[Any]:
        rows: list[Any] = self.run(sql, *values).fetchall()
        return rows

    def row(self, sql: str, *values: Any) -> Any:
        return self.run(sql, *values).fetchone()

    def many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        cursor = self.connection.cursor()
        cursor.executemany(self._said(sql), values)

    def now(self) -> float:
        return float(self.row("SELECT {now} AS now")["now"])

    def _said(self, sql: str) -> str:
        said = self._known.get(sql)
        if said is None:
            said = self._known[sql] = self._in_dialect(sql)
        return said

    def _in_dialect(self, sql: str) -> str:
        words = self.dialect
        known = {"{now}": words.now, "{skip}": words.skip_locked, "{lock}": words.lock, "?": words.mark}
        for name, word in known.items():
            sql = sql.replace(name, word)
        return sql


class Database:
    """Reads have a connection for each that is at work. Writes go through one thread, which commits all that waits."""

    def __init__(self, url: str) -> None:
        self.shared = url.startswith(SERVERS)
        self.dialect = POSTGRESQL if self.shared else SQLITE
        self._url = url
        self._idle: list[Session] = []  # the one used last at the end: it remembers most
        self._connections: list[Any] = []
        self._lock = threading.Lock()
        self._integrity, self._trouble = _errors(shared=self.shared)
        self._work: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._write = self._open()
        self._make()
        self._writer = threading.Thread(target=self._write_all, name="mover-writer", daemon=True)
        self._writer.start()

    def read(self, work: Work[T]) -> T:
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is None or (self.shared and session.connection.closed):
            session = self._open()
        try:
            return work(session)
        finally:
            self._idle.append(session)

    def write(self, work: Work[T]) -> T:
        """In a transaction, whose commit is awaited. `work` may be called again after a failure."""
        future: Future[T] = Future()
        self._work.put((work, future))
        return future.result()

    def is_duplicate(self, error: BaseException) -> bool:
        return isinstance(error, self._integrity)

    def close(self) -> None:
        self._work.put(None)
        self._writer.join()
        with self._lock:
            for connection in self._connections:
                connection.close()

    def _write_all(self) -> None:
        while True:
            batch = [self._work.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < BATCH:
                    batch.append(self._work.get_nowait())
            work = [item for item in batch if item]
            if not self._commit(work):
                for item in work:
                    self._commit_alone(*item)
            if None in batch:
                return

    def _commit_alone(self, work: Work[Any], future: Future[Any]) -> None:
        for _ in range(TRIES):
            if self._commit([(work, future)]):
                return
        future.set_exception(ConnectionError("the mover's database does not take anything; look at its log"))

    def _commit(self, batch: list[tuple[Work[Any], Future[Any]]]) -> bool:
        """False when all of it has to be done again: what fails by itself has been told so and is left out."""
        told: list[Callable[[], None]] = []
        try:
            if self.shared and self._write.connection.closed:
                self._write = self._open()
            self._write.run(self.dialect.begin)
            for work, future in batch:
                told.append(_answer(future, *self._apart(work)))
            self._write.run("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, the next batch has to find this thread alive
            log.warning("the mover's database: %s; it is tried again", type(error).__name__)
            with contextlib.suppress(Exception):
                self._write.run("ROLLBACK")
            return False
        for tell in told:
            tell()
        return True

    def _apart(self, work: Work[Any]) -> tuple[Any, BaseException | None]:
        self._write.run("SAVEPOINT work")
        try:
            result = work(self._write)
        except self._trouble:
            raise
        except Exception as error:  # noqa: BLE001 - it is for who waits for this piece
            self._write.run("ROLLBACK TO SAVEPOINT work")
            self._write.run("RELEASE SAVEPOINT work")
            return None, error
        self._write.run("RELEASE SAVEPOINT work")
        return result, None

    def _open(self) -> Session:
        connection = _postgresql(self._url) if self.shared else _sqlite(Path(self._url))
        with self._lock:
            self._connections.append(connection)
        return Session(connection, self.dialect)

    def _make(self) -> None:
        """One mover at a time: PostgreSQL's IF NOT EXISTS fails for who is second at the same moment."""
        lock, unlock = self.dialect.one_makes
        statements = (*lock, *filter(str.strip, SCHEMA.format(**self.dialect.words).split(";")), *unlock)
        for statement in statements:
            self._write.run(statement)


def _answer(future: Future[Any], result: Any, error: BaseException | None) -> Callable[[], None]:
    return lambda: future.set_exception(error) if error else future.set_result(result)


def _sqlite(file: Path) -> Any:
    """Made for us alone: tokens are in it until a file ends, and are overwritten then."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its other files the same rights
    except OSError as error:
        raise ConfigError(f"cannot use the mover's database {file}: {error.strerror}", hint="check database") from None
    refuse_public(file, "tokens are in it, so the mover's database")
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _postgresql(url: str) -> Any:
    try:
        import psycopg  # noqa: PLC0415 - an extra
        from psycopg.rows import dict_row  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConfigError("psycopg is not installed", hint="pip install 'rucio-cs3[mover-postgresql]'") from None
    try:
        connection = psycopg.connect(url, autocommit=True, row_factory=dict_row, prepare_threshold=3)
        connection.execute(f"SET idle_in_transaction_session_timeout = '{FROZEN_SECONDS}s'")
    except psycopg.ProgrammingError:  # whose text may repeat the password
        raise ConfigError("database is no address of PostgreSQL", hint=ENCODE) from None
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot use the mover's database: {reason}", hint="check database") from None
    return connection


def _errors(*, shared: bool) -> tuple[type[Exception], tuple[type[Exception], ...]]:
    if not shared:
        return sqlite3.IntegrityError, (sqlite3.OperationalError,)
    import psycopg  # noqa: PLC0415 - an extra

    return psycopg.IntegrityError, (psycopg.OperationalError, psycopg.InterfaceError)
