"""What a WebDAV door opens on, as an RSE has to do with it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rucio_cs3.errors import ConfigError, Cs3Error, NotFound
from rucio_cs3.model import relative, slashed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import Info, Ref
    from rucio_cs3.operate.door import Door, Seen

USUAL = ("/remote.php/webdav", "/webdav")  # where Reva has its doors
OF_SPACES = "/dav/spaces"


@dataclass(frozen=True)
class Opening:
    """How the door and the CS3 side name one folder: `root` here is `path` there, and the RSE is `below` both."""

    path: str
    root: Ref
    info: Info
    below: str

    @property
    def prefix(self) -> str:
        """Of PFNs."""
        return slashed(f"{self.path}/{self.below}")


def find(door: Door, client: Cs3Client, root: Ref) -> Opening:
    """The RSE's root, or a folder above it. Raises ConfigError when it is neither."""
    above = list(_above(client, root))
    told: list[str] = []
    for path in [door.path] if door.path != "/" else _usual(info for _, info, _ in above):
        try:
            seen = door.find(path)
        except NotFound as missing:
            told.append(str(missing))
            continue
        for place, info, below in above:
            if seen.is_that(info):
                return Opening(path, place, info, below)
        told.append(f"{door.url(path)} {_elsewhere(seen, client)}")
    raise ConfigError(
        f"the WebDAV door does not show {root}: {'; '.join(told)}",
        hint="give --webdav the address of that very folder, or of one above it",
    )


def _above(client: Cs3Client, root: Ref) -> Iterator[tuple[Ref, Info, str]]:
    """The root and what it is in, as far as it can be seen, each with the way back down."""
    for place in (root, *root.ancestors()):
        try:
            info = client.files.stat(place)
        except Cs3Error:
            if place == root:
                raise
            return
        yield place, info, relative(root.path[len(place.path) :])


def _usual(above: Iterable[Info]) -> list[str]:
    """Where the doors are. That of a space, where there are any, is the same for all users."""
    spaces = [f"{OF_SPACES}/{info.id.space}" for info in above if info.id.is_space]
    return [*spaces, *USUAL]


def _elsewhere(seen: Seen, client: Cs3Client) -> str:
    """What the door shows instead, where the gateway can tell."""
    for home in _homes(client):
        with contextlib.suppress(Cs3Error):
            if seen.is_that(client.files.stat(home)):
                return f"opens on {home}"
    return "is another folder" if seen.folder else "is no folder"


def _homes(client: Cs3Client) -> Iterator[str]:
    with contextlib.suppress(Cs3Error):
        yield client.files.home()
    yield "/"
