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
