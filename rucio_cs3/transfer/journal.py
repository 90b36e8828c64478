"""What a bulk job has done, kept in a file, so that the same job goes on after whatever ended it.

One JSON object on each line: a header that says which job it is, then one line for each item. A line that was torn is
no loss: its item is looked at again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from rucio_cs3.errors import ConfigError
from rucio_cs3.transfer.local import local_target

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT = 1
PIECE = 4096  # bytes; what is read to find the end of a line
SYNC = 5.0  # seconds; only a machine that fails loses what was not synced, and it is little


class Journal:
    """`job` is whatever names the job, in JSON's types. One process at a time has it open.

    What is kept in memory is where each line begins: there may be millions.

    Raises:
        ConfigError: it is another job's, or no journal at all, or in use.
    """

    def __init__(self, path: str, job: Any) -> None:
        self.path = path
        self._header = _line({"rucio-cs3-journal": FORMAT, "job": digest(job)})
        self._lock = threading.Lock()
        self._synced = time.monotonic()
        with local_target(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with local_target(path):
                self._lines = self._begin()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Also lets another process have it."""
        with self._lock:
            if self._file >= 0:
                with contextlib.suppress(OSError):
                    os.fsync(self._file)
                os.close(self._file)
                self._file = -1

    def get(self, key: str) -> dict[str, Any] | None:
        """What was written of an item that is done."""
        with self._lock:
            at = self._lines.get(hash(key))
            if at is None or self._file < 0:
                return None
            with local_target(self.path):
                entry = _read(self._line_at(at)) or {}
        return entry if entry.pop("item", None) == key else None

    def add(self, key: str, facts: dict[str, Any]) -> None:
        """Write that an item is done. After `close` nothing is written: a thread that was given up may come late."""
        with self._lock:
            if self._file < 0:
                return
            with local_target(self.path):
                self._lines[hash(key)] = self._write(_line({"item": key, **facts}))

    def _line_at(self, offset: int) -> bytes:
        line = b""
        while b"\n" not in line:
            piece = os.pread(self._file, PIECE, offset + len(line))
            if not piece:
                break
            line += piece
        return line.partition(b"\n")[0]

    def _write(self, line: bytes) -> int:
        """Returns where the line begins."""
        size = os.fstat(self._file).st_size
        if os.write(self._file, line) < len(line):
            os.ftruncate(self._file, size)
            raise OSError("there is no room for the journal")
        if time.monotonic() - self._synced > SYNC:
            os.fsync(self._file)
            self._synced = time.monotonic()
        return size

    def _begin(self) -> dict[int, int]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"journal {self.path} is in use by another process", hint="wait until that has ended"
            ) from None
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            head = file.readline()
            if head == self._header:
                return self._take_up(file)
        if head.endswith(b"\n") or not self._header.startswith(head):
            ours = "rucio-cs3-journal" in (_read(head) or {})
            raise self._foreign("the journal of another job" if ours else "no journal of ours")
        os.ftruncate(self._file, 0)
        self._write(self._header)
        os.fsync(self._file)
        return {}

    def _take_up(self, file: BinaryIO) -> dict[int, int]:
        """Where each line begins; the last one goes if it is torn."""
        lines, end = {}, len(self._header)
        for line in file:
            if not line.endswith(b"\n"):
                break
            item = (_read(line) or {}).get("item")
            if isinstance(item, str):
                lines[hash(item)] = end
            end += len(line)
        os.ftruncate(self._file, end)
        return lines

    def _foreign(self, what: str) -> ConfigError:
        return ConfigError(f"{self.path} is {what}", hint="give the job that it was begun with, or another file")


def digest(job: Any) -> str:
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()


def _line(entry: dict[str, Any]) -> bytes:
    """In ASCII, so that names that are not valid Unicode can be written too."""
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", entry) if isinstance(entry, dict) else None
