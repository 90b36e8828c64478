"""What the second line asks of an upload: when it is announced, and again before its file appears."""

from __future__ import annotations

import posixpath
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway.nodes import ADLER32, MD5, SHA1, checksums
from rucio_cs3.gateway.spaces import ID
from rucio_cs3.gateway.status import Refused
from rucio_cs3.gateway.trees import SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from rucio_cs3.gateway.locks import Locks
    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.nodes import Nodes
    from rucio_cs3.gateway.spaces import Spaces
    from rucio_cs3.gateway.users import User

KINDS = {"sha1": SHA1, "md5": MD5, "adler32": ADLER32}
NAME_MAX = 255
HTTP = {  # of a PUT, and of the last PATCH; 500 else
    "ALREADY_EXISTS": (412, 409),
    "ABORTED": (412, 412),
    "INVALID_ARGUMENT": (419, 500),
    "INSUFFICIENT_STORAGE": (507, 500),
}


class NotFinished(Refused):
    """All bytes are there, and still there is no file."""

    @property
    def put(self) -> int:
        return HTTP.get(self.code, (500, 500))[0]

    @property
    def patch(self) -> int:
        return HTTP.get(self.code, (500, 500))[1]


@dataclass(frozen=True)
class Terms:
    """What was agreed when an upload was announced: `name` is to appear in the folder `within`, as the file `node`.

    Without a name it is the content of `node` that is replaced, wherever it may be then.
    """

    space: str
    within: str
    name: str
    node: str
    mtime: int  # nanoseconds
    if_match: str = ""
    unmodified_since: int = 0  # nanoseconds
    lock_id: str = ""
    checksum: str = ""


class Checks:
    def __init__(self, namespace: Spaces, nodes: Nodes, locks: Locks) -> None:
        self._namespace = namespace
        self._nodes = nodes
        self._locks = locks

    def agree(self, place: Place, user: User, request: Any, length: int) -> Terms:
        """Raises Refused for an upload that could not be finished as things are."""
        self._check_folder(place)
        self._check_conditions(place, user, request)
        self._check_lock(place, request.lock_id)
        checksum = _text(request, "Upload-Checksum")
        _check_format(checksum)
        if not self._nodes.has_room(length, place):
            raise Refused("INSUFFICIENT_STORAGE", "insufficient storage")
        told = _text(request, "X-OC-Mtime")
        agreed = {
            "space": self._namespace.space_of(place).id,
            "mtime": time.time_ns() if told is None else _nanoseconds(told),
            "if_match": request.if_match,
            "unmodified_since": _time(request.if_unmodified_since),
            "lock_id": request.lock_id,
            "checksum": checksum or "",
        }
        if place.local.exists():
            return Terms(within="", name="", node=self._namespace.node_id(place.key), **agreed)
        folder, name = posixpath.split(place.key)
        return Terms(within=self._id_of(folder, place), name=name, node=str(uuid.uuid4()), **agreed)

    def target(self, terms: Terms, user: User, name: str) -> Place:
        """Where it is to go by now. Raises NotFinished where there is nothing left that it could go to."""
        where = self._namespace.identity(terms.space, terms.within or terms.node)
        try:
            place = self._namespace.resolve(storage.Reference(resource_id=where, path=f"./{name}"), user)
        except Refused as refused:
            raise NotFinished("INTERNAL", refused.message) from refused
        if not place.local.parent.is_dir():
            raise NotFinished("INTERNAL", "could not symlink child entry")
        return place

    def check(self, terms: Terms, place: Place, user: User, length: int) -> None:
        """Raises NotFinished for what has come between."""
        if terms.name and place.local.exists():
            raise NotFinished("ALREADY_EXISTS", f"already exists: {terms.name}")
        held = self._held(place)
        if held and held != terms.lock_id:
            raise NotFinished("LOCKED", f"locked by {held}")
        if terms.lock_id and not held:
            raise NotFinished("ABORTED", "not locked")
        if terms.if_match and self._nodes.stat(place, user).etag != terms.if_match:
            raise NotFinished("ABORTED", "etag mismatch")
        if terms.unmodified_since and place.local.stat().st_mtime_ns > terms.unmodified_since:
            raise NotFinished("ABORTED", "if-unmodified-since mismatch")
        if not self._nodes.has_room(length, place):
            raise NotFinished("INSUFFICIENT_STORAGE", "quota exceeded")

    def facts(self, terms: Terms, content: Path, length: int) -> dict[str, str]:
        """What is kept of the content. Raises NotFinished for another one than was announced."""
        found = checksums(content)
        kind, _, wanted = terms.checksum.partition(" ")
        if kind and found[KINDS[kind]] != wanted:
            raise NotFinished("INVALID_ARGUMENT", f"checksum mismatch: expected {wanted} got {found[KINDS[kind]]}")
        return {**found, SIZE: str(length), ID: terms.node}

    def _check_folder(self, place: Place) -> None:
        if place.is_root:
            raise Refused("INTERNAL", "error getting upload id: error getting parent")
        if len(posixpath.basename(place.key).encode()) > NAME_MAX:
            raise Refused("INTERNAL", "stat: readlink error: file name too long")
        if place.local.is_dir() or not place.local.parent.exists():
            raise Refused("FAILED_PRECONDITION", "failed precondition")

    def _check_conditions(self, place: Place, user: User, request: Any) -> None:
        there = place.local.exists()
        if request.if_not_exist and there:
            raise Refused("ALREADY_EXISTS", "already exists")
        if request.if_match and not (there and self._nodes.stat(place, user).etag == request.if_match):
            raise Refused("FAILED_PRECONDITION", "etag mismatch")
        since = _time(request.if_unmodified_since)
        if since and there and place.local.stat().st_mtime_ns > since:
            raise Refused("FAILED_PRECONDITION", "resource has been modified")

    def _check_lock(self, place: Place, lock_id: str) -> None:
        held = self._held(place)
        if held and not lock_id:
            raise Refused("LOCKED", "locked")
        if held != lock_id:
            raise Refused(
                "INTERNAL", f"error getting upload id: error: aborted: {'mismatching lock' if held else 'not locked'}"
            )

    def _held(self, place: Place) -> str:
        """The id of the lock on a file; empty where there is none."""
        try:
            return str(self._locks.get(place.key).lock_id) if place.local.exists() else ""
        except Refused:
            return ""

    def _id_of(self, key: str, place: Place) -> str:
        return self._namespace.space_of(place).id if f"/{key}" == place.root else self._namespace.node_id(key)


def _text(request: Any, name: str) -> str | None:
    """What goes with the announcement, if it does."""
    entries = request.opaque.map
    return entries[name].value.decode(errors="replace") if name in entries else None


def _check_format(checksum: str | None) -> None:
    if checksum is None:
        return
    kind, space, _ = checksum.partition(" ")
    if not space:
        raise Refused(
            "INVALID_ARGUMENT", "error: bad request: invalid checksum format. must be '[algorithm] [checksum]'"
        )
    if kind not in KINDS:
        raise Refused("INVALID_ARGUMENT", f"error: bad request: unsupported checksum algorithm: {kind}")


def _nanoseconds(told: str) -> int:
    """!! What stands after the dot is taken for nanoseconds, and nonsense for 0."""
    seconds, _, nanos = told.partition(".")
    try:
        return int(seconds) * 10**9 + int(nanos or 0)
    except ValueError:
        return 0


def _time(stamp: Any) -> int:
    return int(stamp.seconds) * 10**9 + int(stamp.nanos)
