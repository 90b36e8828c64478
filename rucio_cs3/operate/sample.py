"""Some file that is there already, to be looked at where nothing may be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.errors import Cs3Error

if TYPE_CHECKING:
    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import Info, Ref

FOLDERS = 32  # that are listed
WIDE = 3  # of one folder's before others': one may be full of empty ones


def find(client: Cs3Client, root: Ref, largest: int | None = None) -> tuple[str, Info] | None:
    """One with content, by its path below the root; None where none is soon found.

    Raises what keeps us out of the root itself. Other folders may be closed to us.
    """
    waiting = [""]
    for _ in range(FOLDERS):
        if not waiting:
            break
        below = waiting.pop()
        inside: list[str] = []
        try:
            for info in client.files.list(root / below if below else root):
                path = f"{below}/{info.name}".lstrip("/")
                if info.is_directory:
                    inside.append(path)
                elif _can_be_read(info, largest):
                    return path, info
        except Cs3Error:
            if not below:
                raise
        waiting = [*inside[WIDE:], *waiting, *inside[:WIDE]]
    return None


def _can_be_read(info: Info, largest: int | None) -> bool:
    return info.is_file and bool(info.size) and not info.processing and (largest is None or info.size <= largest)
