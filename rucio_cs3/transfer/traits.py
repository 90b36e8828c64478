"""What a storage was seen to do, so that a call is saved, or a time is kept: each client asks once.

Only storages that tell of a file which folder it is in are asked, as the second line does. No other was seen to have
these traits, and what shows them leaves something behind there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.errors import AlreadyExists, Cs3Error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.cs3.files import Files
    from rucio_cs3.model import Info, Ref


class Traits:
    """Of the storages behind one gateway. Threads that ask at the same time get the same answer."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._refusing: dict[tuple[str, str], bool] = {}  # by the space: there may be several, not all alike
        self._begun_is_done: bool | None = None

    def refuses_to_replace(self, staging: Ref, written: Info | None) -> bool:
        """Whether Move takes no name that is taken. It shows when `staging`, which is ours, is to go where it is."""
        if written is None or not _tells_folder(written):
            return False
        space = (written.id.storage_id, written.id.space_id)
        if space not in self._refusing:
            self._refusing[space] = self._stays(staging)
        return self._refusing[space]

    def _stays(self, ref: Ref) -> bool:
        try:
            self._files.rename(ref, ref)
        except AlreadyExists:
            return True
        except Cs3Error:
            return False
        return False

    def make_empty(self, ref: Ref, opaque: Mapping[str, str]) -> None:
        """By an upload that has only to begin, where it is one: the storage then keeps what is told of the file.

        Elsewhere TouchFile. An empty PUT is an error on some servers, and TUS makes no file of it on others.
        """
        if self._begun_is_done is None:
            self._begun_is_done = _tells_folder(self._files.stat(ref.parent))
        if self._begun_is_done:
            self._files.initiate_upload(ref, 0, opaque=opaque)
        else:
            self._files.touch(ref)

    def missed(self) -> None:
        """An empty file was not there: make them all in the way that every storage knows."""
        self._begun_is_done = False


def _tells_folder(info: Info) -> bool:
    return info.parent is not None or info.id.is_space
