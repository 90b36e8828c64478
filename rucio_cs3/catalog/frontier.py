"""Which folders of a tree are still to be listed, on disk: for trees larger than memory, and for going on after a cut.

Not transfer.journal, which keeps all that is done in memory: here only the edge of what is known is kept, and it is
taken from its newest end, so that it stays small.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rucio_cs3.errors import ConfigError, LocalTargetError
from rucio_cs3.transfer.local import local_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self

TO_DO, TAKEN, FAILED = range(3)
TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (id INTEGER PRIMARY KEY, path TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_state ON folders (state);
"""


@dataclass(frozen=True)
class Folder:
    """By its path from the top, which is empty."""

    id: int
    path: str


class Frontier(Iterator[Folder]):
    """Iterate to take what is to do now; there may be more when a folder is `done`. One process at a time has it open.

    Nothing is kept before it is saved.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with local_target(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        with self._errors():
            self._base = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            self._begin()
        except BaseException:
            self._base.close()
            raise

    def _begin(self) -> None:
        with self._errors():
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.executescript(TABLES)
            self._base.execute("BEGIN IMMEDIATE")
            self._base.execute("UPDATE folders SET state = ? WHERE state != ?", (TO_DO, TO_DO))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def __next__(self) -> Folder:
        with self._errors():
            newest = "SELECT id, path FROM folders WHERE state = ? ORDER BY id DESC LIMIT 1"
            row = self._base.execute(newest, (TO_DO,)).fetchone()
            if row is None:
                raise StopIteration
            folder = Folder(*row)
            self._mark(folder, TAKEN)
        return folder

    def add(self, paths: Iterable[str]) -> None:
        with self._errors():
            self._base.executemany("INSERT INTO folders (path) VALUES (?)", ((path,) for path in paths))

    def done(self, folder: Folder) -> None:
        with self._errors():
            self._base.execute("DELETE FROM folders WHERE id = ?", (folder.id,))

    def failed(self, folder: Folder) -> None:
        """It is to do again when the frontier is opened the next time."""
        self._mark(folder, FAILED)

    def left(self) -> int:
        with self._errors():
            return int(self._base.execute("SELECT count(*) FROM folders").fetchone()[0])

    def facts(self) -> dict[str, object]:
        """What was saved beside the folders."""
        with self._errors():
            return dict(self._base.execute("SELECT name, value FROM facts"))

    def save(self, facts: Mapping[str, object]) -> None:
        with self._errors():
            self._base.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
            self._base.execute("COMMIT")
            self._base.execute("BEGIN IMMEDIATE")

    def clear(self) -> None:
        with self._errors():
            self._base.execute("DELETE FROM folders")
            self._base.execute("DELETE FROM facts")

    def remove(self) -> None:
        self._base.close()
        with local_target(self.path):
            os.unlink(self.path)  # noqa: PTH108 - as os.open above

    def _mark(self, folder: Folder, state: int) -> None:
        with self._errors():
            self._base.execute("UPDATE folders SET state = ? WHERE id = ?", (state, folder.id))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ConfigError(
                    f"{self.path} is in use by another process", hint="wait until that has ended"
                ) from error
            raise LocalTargetError(str(error), path=self.path) from error
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{self.path} cannot be read: {error}", hint="remove it to begin anew") from error
