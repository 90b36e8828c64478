"""The folders a client has made or seen, so that the second file into one costs no call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.errors import PermissionDenied

if TYPE_CHECKING:
    from rucio_cs3.cs3.files import Files
    from rucio_cs3.model import Ref

REMEMBERED = 100_000


class Folders:
    """Remembering too much does no harm: an upload into a folder that has gone forgets it and makes it again."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: set[Ref] = set()

    def ensure(self, folder: Ref) -> None:
        """Make `folder` and what is missing above it, one call for each level not yet known."""
        if folder.is_root or folder in self._known:
            return
        self.ensure(folder.parent)
        self._make(folder)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known.add(folder)

    def _make(self, folder: Ref) -> None:
        try:
            self._files.mkdir(folder, exist_ok=True)
        except PermissionDenied:
            if not self._files.stat(folder).is_directory:  # some servers look at the right before the name
                raise

    def forget(self, folder: Ref) -> None:
        """And all above it: any of them may be the one that has gone."""
        while not folder.is_root:
            self._known.discard(folder)
            folder = folder.parent
