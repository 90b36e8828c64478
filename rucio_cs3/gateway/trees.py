"""What folders of the second line know of all that is below them: how many bytes it is, and when it last changed.

The time is the folder's own time of modification. The bytes are counted once, when somebody first asks, and kept up to
date from then on; a start forgets them, as who was killed may have left them wrong.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rucio_cs3.gateway.metadata import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rucio_cs3.gateway.metadata import Metadata

SIZE = f"{HIDDEN}size"  # of a file, as it was announced
TREE = f"{HIDDEN}tree"  # of a folder, with all that is below


class Trees:
    def __init__(self, root: Path, metadata: Metadata) -> None:
        self._root = root
        self._metadata = metadata
        self._lock = threading.Lock()
        metadata.unset_everywhere(TREE)

    def size(self, key: str) -> int:
        """Of a file, or of a folder with all that is below; 0 where nothing is."""
        with self._lock:
            return self._size(key)

    @contextmanager
    def changing(self, *keys: str) -> Iterator[None]:
        """Whoever changes what is there does it within: the folders above hear of it, unless it fails."""
        with self._lock:
            before = [self._size(key) for key in keys]
            yield
            for key, size in zip(keys, before):
                self._tell(_folders_above(key), self._size(key) - size)

    def _tell(self, folders: list[str], more: int) -> None:
        now = time.time_ns()
        for folder in folders:
            with suppress(OSError):
                os.utime(self._root / folder, ns=(now, now))
        if more:
            self._metadata.add(folders, TREE, more)

    def _size(self, key: str) -> int:
        kept = self._metadata.get(key)
        told = kept.get(SIZE, kept.get(TREE))
        if told is not None:
            return int(told)
        local = self._root / key
        try:
            return self._count(local) if local.is_dir() else local.lstat().st_size
        except OSError:
            return 0

    def _count(self, top: Path) -> int:
        """With the files of others than the gateway, but for those whose names are no text: nobody can ask for them."""
        sizes: dict[str, int] = {}
        for parent, folders, files in os.walk(top, topdown=False):
            key = os.path.relpath(parent, self._root)
            if _is_text(key):
                own = sum(self._size(f"{key}/{name}") for name in files if _is_text(name))
                sizes[key] = own + sum(sizes.get(f"{key}/{name}", 0) for name in folders)
        for key, size in sizes.items():
            self._metadata.set(key, {TREE: str(size)})
        return sizes.get(os.path.relpath(top, self._root), 0)


def _folders_above(key: str) -> list[str]:
    """Up to that of the space, which is the second from the top."""
    parts = key.split("/")
    return ["/".join(parts[:depth]) for depth in range(2, len(parts))]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
