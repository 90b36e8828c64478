"""Locks as the one storage has them that has any: advisory, and not against another holder."""

from __future__ import annotations

import threading
import time
from typing import Any

from rucio_cs3.gateway.status import Refused


class Locks:
    """By the key of a place. A second SetLock takes the lock over, whoever had it."""

    def __init__(self) -> None:
        self._locks: dict[str, Any] = {}
        self._guard = threading.Lock()

    def check(self, key: str, lock_id: str) -> None:
        """For who is about to change what is there: here anybody may."""

    def show(self, key: str, info: Any) -> None:
        """What Stat tells of a lock: here nothing."""

    def set(self, key: str, lock: Any) -> None:
        with self._guard:
            self._locks[key] = lock

    def get(self, key: str) -> Any:
        """Raises Refused(NOT_FOUND) when there is none, or when it has expired."""
        with self._guard:
            lock = self._locks.get(key)
        if lock is None or lock.expiration.seconds < time.time():
            raise Refused("NOT_FOUND", "reference or lock not found")
        return lock

    def refresh(self, key: str, lock: Any, existing_id: str) -> None:
        if self._held(key).lock_id != (existing_id or lock.lock_id):
            raise Refused("FAILED_PRECONDITION", "reference not locked or caller does not hold the lock")
        self.set(key, lock)

    def unlock(self, key: str, lock: Any) -> None:
        if self._held(key).lock_id != lock.lock_id:
            raise Refused("FAILED_PRECONDITION", "reference not locked")
        with self._guard:
            self._locks.pop(key, None)

    def _held(self, key: str) -> Any:
        try:
            return self.get(key)
        except Refused as none:
            raise Refused("FAILED_PRECONDITION", "reference not locked") from none


class StrictLocks(Locks):
    """Those of the second line: the holder is asked for the id of the lock, and nobody else gets by."""

    def check(self, key: str, lock_id: str) -> None:
        lock = self._find(key)
        if lock and not lock_id:
            raise _locked(lock)
        if lock and lock.lock_id != lock_id:
            raise Refused("ABORTED", "error: aborted: mismatching lock")

    def show(self, key: str, info: Any) -> None:
        """Stat tells the lock."""
        lock = self._find(key)
        if lock:
            info.lock.CopyFrom(lock)

    def set(self, key: str, lock: Any) -> None:
        if self._find(key):
            raise Refused("FAILED_PRECONDITION", "set lock: error: precondition failed: already locked")
        super().set(key, lock)

    def refresh(self, key: str, lock: Any, existing_id: str) -> None:
        held = self._find(key)
        if not held:
            raise Refused("FAILED_PRECONDITION", "refresh lock: error: precondition failed: lock does not exist")
        if held.lock_id != (existing_id or lock.lock_id):
            raise Refused("ABORTED", "refresh lock: error: aborted: mismatching lock ID")
        super().set(key, lock)

    def unlock(self, key: str, lock: Any) -> None:
        held = self._find(key)
        if not held:
            raise Refused("ABORTED", "unlock: error: aborted: lock does not exist")
        if held.lock_id != lock.lock_id:
            raise _locked(held)
        super().unlock(key, lock)

    def get(self, key: str) -> Any:
        """One without an end does not expire."""
        with self._guard:
            lock = self._locks.get(key)
        if lock is None or (lock.HasField("expiration") and lock.expiration.seconds < time.time()):
            raise Refused("NOT_FOUND", "get lock: error: not found: no lock found")
        return lock

    def _find(self, key: str) -> Any:
        try:
            return self.get(key)
        except Refused:
            return None


def _locked(lock: Any) -> Refused:
    return Refused("LOCKED", f"error: locked by {lock.lock_id}")
