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
from rucio_cs3.mover import tables
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
PATIENCE = {  # of libpq, where the address says nothing else: a network that swallows everything says nothing, ever
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}


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
    keep: str
    """keeps others from deleting a row, until the commit"""
    one_claims: str
    """makes claims of several movers wait for each other, until the commit"""
    one_makes: str
    """the same for who looks at the tables and makes them"""
    tables: str
    """their names"""


SQLITE = Dialect(
    words={"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "real": "REAL", "big": "INTEGER"},
    mark="?",
    now="((julianday('now') - 2440587.5) * 86400.0)",
    begin="BEGIN IMMEDIATE",
    skip_locked="",
    lock="",
    keep="",
    one_claims="",
    one_makes="",
    tables="SELECT name FROM sqlite_master WHERE type = 'table'",
)
POSTGRESQL = Dialect(
    words={"serial": "BIGSERIAL PRIMARY KEY", "real": "DOUBLE PRECISION", "big": "BIGINT"},
    mark="%s",
    now="extract(epoch FROM clock_timestamp())::float8",
    begin="BEGIN",
    skip_locked="FOR UPDATE SKIP LOCKED",
    lock="FOR UPDATE",
    keep="FOR KEY SHARE",
    one_claims="SELECT pg_advisory_xact_lock(7423001)",
    one_makes="SELECT pg_advisory_xact_lock(7423000)",
    tables="SELECT tablename AS name FROM pg_tables WHERE schemaname = ANY (current_schemas(false))",
)


class Session:
    """One connection.

    In our SQL `?` stands for a value, `{now}` for the database's clock, `{skip}` for passing over
    what another mover is about to take, `{lock}` for having others wait who want to change it, `{keep}` who want to
    delete it.
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
        known = {"{now}": words.now, "{skip}": words.skip_locked, "?": words.mark}
        known |= {"{lock}": words.lock, "{keep}": words.keep}
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
        if session is None or self._is_gone(session.connection):
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
            if self._is_gone(self._write.connection):
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
            self._connections = [one for one in self._connections if not self._is_gone(one)] + [connection]
        return Session(connection, self.dialect)

    def _is_gone(self, connection: Any) -> bool:
        return self.shared and bool(connection.closed)

    def _make(self) -> None:
        """One mover at a time: PostgreSQL's IF NOT EXISTS fails for who is second at the same moment."""
        self._write.run(self.dialect.begin)
        try:
            if self.dialect.one_makes:
                self._write.run(self.dialect.one_makes)
            tables.prepare(self._write)
        except BaseException:
            self._write.connection.close()
            raise
        self._write.run("COMMIT")


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
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
        from psycopg.rows import dict_row  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConfigError("psycopg is not installed", hint="pip install 'rucio-cs3[mover-postgresql]'") from None
    try:
        settings: dict[str, Any] = {**PATIENCE, **conninfo_to_dict(url)}
        connection = psycopg.connect(**settings, autocommit=True, row_factory=dict_row, prepare_threshold=3)
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
