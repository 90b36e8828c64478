"""Having a site do something with a file of ours: what it says of that is kept, and what is there afterwards counts."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rucio_cs3.client import Cs3Client
from rucio_cs3.errors import Cs3Error, NotFound
from rucio_cs3.mover import tpc
from rucio_cs3.mover.model import Failed
from rucio_cs3.transfer.ends import Remote

if TYPE_CHECKING:
    from rucio_cs3.model import Ref
    from rucio_cs3.mover.sites import End

PARTS = 3  # requests of TUS


@dataclass(frozen=True)
class Trial:
    """What came of it."""

    sent: bytes = field(repr=False)
    there: bytes | None = field(repr=False)
    """None where no file is"""
    refusal: str = ""
    """what was said against it; empty for success"""

    @property
    def worked(self) -> bool:
        return self.there == self.sent

    @property
    def seen(self) -> str:
        if self.there is None:
            return "nothing is there"
        if self.worked:
            return "all bytes are there"
        if len(self.there) == len(self.sent):
            return "other bytes are there than were sent"
        return f"{len(self.there)} of {len(self.sent)} bytes are there"


def in_parts(client: Cs3Client, target: Ref, root: Ref, content: bytes) -> Trial:
    """An upload in several requests. Raises Unsupported where the site does not take it so, and what else stops it."""
    login = {"auth": "token", "token": client.tokens.get(), "token_file": None, "cache": "off"}
    chunk = len(content) // PARTS + 1
    with Cs3Client(client.config.but(**login, upload_protocol="tus", chunk_size=chunk)) as by_tus:
        by_tus.upload(io.BytesIO(content), target, temporary=True, root=root)
    return Trial(content, _there(Remote(client, target)))


def copied(way: str, source: End, target: End, content: bytes) -> Trial:
    """A third-party copy of the file at `source`, which has this content."""
    refusal = _refusal(way, source, target)
    return Trial(content, _there(target.remote), refusal)


def _refusal(way: str, source: End, target: End) -> str:
    try:
        tpc.copy(way, source, target, lambda _: None)
    except (tpc.NotDone, Failed) as why:
        return str(why)
    except Cs3Error as error:
        return f"{way}: {error.message}"
    return ""


def _there(file: Remote) -> bytes | None:
    """As it comes, without a look at checksums."""
    try:
        file.settled()
    except NotFound:
        return None
    with file.client.open_read(file.ref) as opened:
        return opened.read()
