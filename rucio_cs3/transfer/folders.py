"""The folders a client has made or seen, so that the second file into one costs no call."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from rucio_cs3.errors import AlreadyExists
from rucio_cs3.flight import Flight

if TYPE_CHECKING:
    from rucio_cs3.cs3.files import Files
    from rucio_cs3.model import Ref

REMEMBERED = 100_000


class Folders:
    """Remembering too much does no harm: an upload into a folder that has gone forgets it and makes it again.

    Of many threads that want the same folder one makes it.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: set[Ref] = set()
        self._making: dict[Ref, Flight[None]] = {}
        self._lock = threading.Lock()

    def ensure(self, folder: Ref, root: Ref | None = None) -> None:
        """Make `folder` and what is missing above it, up to `root`: one call for each level below one that is known."""
        if folder == root or self._has(folder):
            return
        with self._lock:
            making = self._making.setdefault(folder, Flight())
        try:
            making.share(lambda: self._ensure(folder, root))
        finally:
            with self._lock:
                self._making.pop(folder, None)

    def _ensure(self, folder: Ref, root: Ref | None) -> None:
        if self._has(folder):
            return
        if any(above == root or self._has(above) for above in folder.ancestors()):
            self.ensure(folder.parent, root)
            with contextlib.suppress(AlreadyExists):  # should it be a file, what goes into it will say so
                self._files.mkdir(folder)
        else:  # nobody may make the upper levels of a storage, so begin with the lowest
            self._files.mkdir(folder, parents=True, exist_ok=True)
        with self._lock:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known.add(folder)

    def _has(self, folder: Ref) -> bool:
        return folder in self._known or (folder.id is not None and folder.is_root)

    def forget(self, folder: Ref) -> None:
        """And all above it: any of them may be the one that has gone."""
        with self._lock:
            self._known -= {folder, *folder.ancestors()}
