"""What the mover's parts hand to each other: a copy that is wanted, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Mapping


Link = tuple[str, str]
"""The sites that a copy goes from and to, as in the addresses of its files."""


class Compare(str, Enum):
    """Which ends' checksums are to be held against the one that is wanted, in FTS3's words: here both, or none."""

    NONE = "none"
    SOURCE = "source"
    TARGET = "target"
    BOTH = "both"


@dataclass(frozen=True)
class Place:
    """A file's address at a site, and the token that came with the job for it, if one did."""

    url: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Wanted:
    """One file that is to be at `target`, from the first of `sources` that has it right."""

    sources: tuple[Place, ...]
    target: Place
    size: int | None = None
    checksum: str | None = None  # adler32:0a1b2c3d
    compare: Compare = Compare.BOTH
    overwrite: bool = False


@dataclass(frozen=True)
class Done:
    """The file is at its target, and was seen to be right there."""

    source: str
    size: int
    checksums: Mapping[str, str]
    how: str  # streamed, pull, push
    tried: Mapping[str, str] = field(default_factory=dict)
    """sources that were of no use before this one, and why"""


class Side(str, Enum):
    """Where a copy failed, in FTS3's words."""

    SOURCE = "SOURCE"
    TARGET = "DESTINATION"
    TRANSFER = "TRANSFER"


class Failed(Exception):
    """A copy that came to nothing, and left nothing behind."""

    def __init__(self, side: Side, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.side = side
        self.reason = reason
        self.again = again  # whether another try may help
        self.dst_file: dict[str, Any] | None = None
        """what is at the target already, as FTS3 tells it in file_metadata: file_size, checksum_type, checksum_value"""
        self.tried: Mapping[str, str] = {}
        """what went wrong with each source that was tried"""


Copy = Callable[["Wanted", "Callable[[int], None]"], "Done"]
"""Makes one copy, telling how many bytes it has so far, fewer when it begins anew. Raises Failed.

Ends early when its `deadline.Stop` is set."""
