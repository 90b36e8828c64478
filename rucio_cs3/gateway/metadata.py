"""Arbitrary metadata of files and folders, by path, in one small database."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

HIDDEN = "\0"  # begins the keys of what the gateway itself has to remember of a file: never shown
SCHEMA = "CREATE TABLE IF NOT EXISTS metadata (path TEXT, key TEXT, value TEXT, PRIMARY KEY (path, key))"
IN_TREE = "(path = ? OR (path > ? AND path < ?))"
INDEX = "CREATE INDEX IF NOT EXISTS found ON metadata (key, value)"


class Metadata:
    """Knows nothing of files: whoever deletes or moves one says here what becomes of its metadata."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(str(file), check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(SCHEMA)
        self._database.execute(INDEX)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def get(self, path: str) -> dict[str, str]:
        with self._lock:
            return dict(self._database.execute("SELECT key, value FROM metadata WHERE path = ?", (path,)))

    def set(self, path: str, entries: Mapping[str, str]) -> None:
        rows = [(path, key, value) for key, value in entries.items()]
        with self._lock, self._at_once():
            self._database.executemany("INSERT OR REPLACE INTO metadata VALUES (?, ?, ?)", rows)

    def claim(self, path: str, key: str, value: str) -> str:
        """What stands there, which is this value if there was none."""
        kept = self.get(path)
        if key in kept:
            return kept[key]
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO metadata VALUES (?, ?, ?)", (path, key, value))
            found = self._database.execute("SELECT value FROM metadata WHERE path = ? AND key = ?", (path, key))
            return str(found.fetchone()[0])

    def find(self, key: str, value: str) -> str | None:
        """The path of the file that has this."""
        with self._lock:
            found = self._database.execute("SELECT path FROM metadata WHERE key = ? AND value = ?", (key, value))
            row = found.fetchone()
        return str(row[0]) if row else None

    def having(self, key: str) -> list[tuple[str, str]]:
        """The paths of all files that have this, with what they have."""
        with self._lock:
            return list(self._database.execute("SELECT path, value FROM metadata WHERE key = ?", (key,)))

    def add(self, paths: Iterable[str], key: str, more: int) -> None:
        """To the numbers that stand there, down to 0; where there is none nothing happens."""
        rows = [(more, path, key) for path in paths]
        with self._lock, self._at_once():
            self._database.executemany("UPDATE metadata SET value = max(0, value + ?) WHERE path = ? AND key = ?", rows)

    def unset(self, path: str, keys: Iterable[str]) -> None:
        rows = [(path, key) for key in keys]
        with self._lock, self._at_once():
            self._database.executemany("DELETE FROM metadata WHERE path = ? AND key = ?", rows)

    def unset_everywhere(self, key: str) -> None:
        with self._lock:
            self._database.execute("DELETE FROM metadata WHERE key = ?", (key,))

    def hand_over(self, source: str, target: str) -> None:
        """Give the target what the source has; what is below a folder stays behind.

        Raises:
            KeyError: the target has one of the keys already.
        """
        try:
            with self._lock:
                self._database.execute("UPDATE metadata SET path = ? WHERE path = ?", (target, source))
        except sqlite3.IntegrityError as error:
            raise KeyError(target) from error

    def forget(self, path: str) -> None:
        """Drop what is kept of a path and of all below it."""
        with self._lock:
            self._database.execute(f"DELETE FROM metadata WHERE {IN_TREE}", _tree(path))  # noqa: S608 - a constant

    def rename(self, source: str, target: str) -> None:
        """Take everything along, in place of what the target had."""
        self.forget(target)
        move = f"UPDATE metadata SET path = ? || substr(path, ?) WHERE {IN_TREE}"  # noqa: S608 - a constant
        with self._lock:
            self._database.execute(move, (target, len(source) + 1, *_tree(source)))

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Several rows as one change, on the disk too."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield


def _tree(path: str) -> tuple[str, str, str]:
    """What picks a path and all below it, by the index: `0` comes after `/`."""
    return (path, f"{path}/", f"{path}0")
