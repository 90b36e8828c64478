"""The tables of the queue, and that they are those of this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.errors import ConfigError

if TYPE_CHECKING:
    from rucio_cs3.mover.database import Session

VERSION = 2  # of the tables; 1 had none written down
SCHEMA = """
CREATE TABLE IF NOT EXISTS mover_queue (version INTEGER NOT NULL);
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
    bytes {big} NOT NULL, copied {big} NOT NULL, PRIMARY KEY (slot, mover, source_site, target_site));
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


def prepare(session: Session) -> None:
    """Make them where there are none. Raises ConfigError for those of another version."""
    version = _version(session)
    if version is None:
        for statement in filter(str.strip, SCHEMA.format(**session.dialect.words).split(";")):
            session.run(statement)
        session.run("INSERT INTO mover_queue (version) VALUES (?)", VERSION)
    elif version != VERSION:
        raise ConfigError(
            f"the mover's database was made by another version of rucio-cs3: its tables are of version {version},"
            f" and these would be of version {VERSION}",
            hint="let that version copy what is in it, and give this one a new database",
        )


def _version(session: Session) -> int | None:
    """Of the tables that are there; None where there are none."""
    names = {row["name"] for row in session.rows(session.dialect.tables)}
    if "mover_queue" in names:
        return int(session.row("SELECT version FROM mover_queue")["version"])
    return 1 if {"jobs", "lanes", "files"} <= names else None
