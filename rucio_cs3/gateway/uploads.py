"""Uploads under way: announced in one call, filled by others, published at the end."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rucio_cs3.gateway.resources import ROOTS
from rucio_cs3.gateway.status import Refused
from rucio_cs3.gateway.storage import internal
from rucio_cs3.gateway.streams import BodyCut

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rucio_cs3.gateway.behaviours import Behaviour
    from rucio_cs3.gateway.metadata import Metadata
    from rucio_cs3.gateway.namespace import Namespace, Place
    from rucio_cs3.gateway.storage import Storage
    from rucio_cs3.gateway.users import User, Users

CHUNK_NAME = re.compile(r"(?P<name>.*)-chunking-(?P<transfer>\w+)-(?P<total>\d+)-(?P<number>\d+)")


@dataclass(frozen=True)
class Upload:
    """Where the bytes will go, and how many were announced."""

    id: str
    below: str
    username: str
    length: int


def part_of(below: str, code: str) -> re.Match[str] | None:
    """What a name says of the file that it is a part of, if it does. Raises Refused with `code` for a part too many."""
    part = CHUNK_NAME.fullmatch(below)
    if part and int(part["number"]) >= int(part["total"]):
        raise Refused(code, f"current chunk:{part['number']} exceeds total number of chunks:{part['total']}")
    return part


class Uploads:
    """Sessions survive a restart. Those that nobody finishes stay, as on the real ones."""

    def __init__(self, namespace: Namespace, storage: Storage, users: Users) -> None:
        self._namespace = namespace
        self._behaviour = namespace.behaviour
        self._storage = storage
        self._users = users
        self._folder = namespace.state / "uploads"

    def begin(self, place: Place, user: User, _: Any, length: int) -> Upload:
        """Announced by a request, of which nothing counts but the length. Raises Refused."""
        self.check(place, length)
        return self._keep(Upload(str(uuid.uuid4()), place.below, user.username, length))

    def check(self, place: Place, length: int) -> None:
        """Raises Refused when there is no room, or for the root, but for nothing else."""
        if place.is_root:
            raise Refused("INTERNAL", "can't upload to mount path")
        self.check_room(place, length)

    def check_room(self, place: Place, length: int) -> None:
        if not self._storage.has_room(length, place):
            raise Refused("INSUFFICIENT_STORAGE", "insufficient storage")

    def find(self, upload_id: str) -> Upload | None:
        """None for a session that is unknown or finished."""
        try:
            uuid.UUID(upload_id)
            return self._load(json.loads(self._record(upload_id).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return None

    def content(self, upload: Upload) -> Path:
        return self._folder / upload.id

    def offset(self, upload: Upload) -> int:
        return self.content(upload).stat().st_size

    def receive(self, upload: Upload, blocks: Iterable[bytes | memoryview], length: int | None) -> Place | None:
        """All of a PUT. Whatever arrives becomes the file: too much, too little, or what came before a break.

        Returns:
            Where it is then; None when it is not a file yet.
        """
        self.check_room(self.place(upload), length or 0)
        try:
            self.append(upload, blocks)
        except BodyCut:
            if self._behaviour.keeps_killed_uploads:
                self.finish(upload, may_be_part=True)
            raise
        return self.finish(upload, may_be_part=True)

    def append(self, upload: Upload, blocks: Iterable[bytes | memoryview]) -> None:
        """Add to what is there. Raises BodyCut after having kept what arrived."""
        with internal("writing"), self.content(upload).open("ab", buffering=0) as file:
            for block in blocks:
                file.write(block)

    def finish(self, upload: Upload, *, may_be_part: bool = False) -> Place | None:
        """Publish under the final name, over whatever is there: a file, or a whole folder.

        Returns:
            Where; None when the name may mean a part of a file, and does, and other parts are still to come.
        """
        whole = self._assemble(upload) if may_be_part else (self.content(upload), upload.below)
        place = None
        if whole:
            content, below = whole
            place = self._namespace.place(below, self._owner(upload))
            self._storage.publish(content, place)
        self.drop(upload)
        return place

    def drop(self, upload: Upload) -> None:
        self._record(upload.id).unlink()
        self.content(upload).unlink(missing_ok=True)

    def path(self, upload: Upload) -> str:
        """The CS3 path that it will have."""
        return self._namespace.path(self.place(upload))

    def place(self, upload: Upload) -> Place:
        return self._namespace.place(upload.below, self._owner(upload))

    def _keep(self, upload: Upload) -> Upload:
        self.content(upload).touch()
        self._record(upload.id).write_text(json.dumps(asdict(upload)), encoding="utf-8")
        return upload

    def _load(self, entry: dict[str, Any]) -> Upload:
        return Upload(**entry)

    def _assemble(self, upload: Upload) -> tuple[Path, str] | None:
        """The content and its path, put together when it came in the parts of old ownCloud clients."""
        part = part_of(upload.below, "INTERNAL") if self._behaviour.takes_chunk_names else None
        if not part:
            return self.content(upload), upload.below
        prefix = f"{upload.username}-{part['transfer']}-{part['total']}-"
        self.content(upload).replace(self._folder / f"{prefix}{int(part['number'])}")
        parts = [self._folder / f"{prefix}{number}" for number in range(int(part["total"]))]
        if not all(path.exists() for path in parts):
            return None
        with parts[0].open("ab") as whole:
            for path in parts[1:]:
                with path.open("rb") as content:
                    shutil.copyfileobj(content, whole)
                path.unlink()
        return parts[0], part["name"]

    def _record(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.info"

    def _owner(self, upload: Upload) -> User:
        owner = self._users.by_name(upload.username)
        if not owner:
            raise Refused("INTERNAL", f"the user {upload.username} is gone")
        return owner


class InPlace:
    """Writing without a session, as content arrives: everybody sees it half-done, and nothing takes it back."""

    def __init__(self, behaviour: Behaviour, metadata: Metadata) -> None:
        self._behaviour = behaviour
        self._metadata = metadata
        self._broken: set[str] = set()

    def write(self, place: Place, user: User, blocks: Iterable[bytes | memoryview]) -> None:
        """Raises BodyCut as it comes; from then on this user's transfers fail until a restart."""
        self.refuse_broken(user)
        with internal("uploading file"):
            if ROOTS in self._metadata.get(place.key):
                raise PermissionError(errno.EACCES, "permission denied")
            place.local.parent.mkdir(parents=True, exist_ok=True)
            with place.local.open("wb", buffering=0) as file:
                try:
                    for block in blocks:
                        file.write(block)
                except BodyCut:
                    if self._behaviour.killed_upload_breaks_user:
                        self._broken.add(user.username)
                    raise

    def refuse_broken(self, user: User) -> None:
        with internal("input/output error"):
            if user.username in self._broken:
                raise OSError(errno.EIO, "input/output error")


def make_folders(state: Path) -> None:
    """What a gateway keeps for itself, out of sight of its users."""
    for name in ("uploads", "trash", "bin", "versions"):
        os.makedirs(state / name, mode=0o700, exist_ok=True)  # noqa: PTH103 - the mode for all of them
