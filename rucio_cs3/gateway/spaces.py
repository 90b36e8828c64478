"""The namespace of the second line: spaces, each a tree with an owner, and ids that files keep when they move."""

from __future__ import annotations

import json
import os
import posixpath
import tempfile
import threading
import uuid
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway.metadata import HIDDEN
from rucio_cs3.gateway.namespace import STATE, STORAGE_ID, Namespace, Place, clean, is_within
from rucio_cs3.gateway.status import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from rucio_cs3.gateway.behaviours import Behaviour
    from rucio_cs3.gateway.metadata import Metadata
    from rucio_cs3.gateway.users import User

ID = f"{HIDDEN}id"
VERSIONS = f"{STATE}/versions"
VERSION = ".REV."  # in the id of an old version, after that of the file
PERSONAL, PROJECT = "personal", "project"
MOUNTS = {PERSONAL: "users", PROJECT: "projects"}


@dataclass(frozen=True)
class Space:
    """`owner` is a user's id; a `quota` of 0 is none. One that was destroyed is still there, and of no use."""

    id: str
    kind: str
    name: str
    owner: str
    quota: int = 0
    destroyed: bool = False

    @property
    def key(self) -> str:
        """Its folder below the root."""
        return f"{MOUNTS[self.kind]}/{self.id}"

    @property
    def path(self) -> str:
        """Its absolute CS3 path, which for projects of one name is the same."""
        return f"/{MOUNTS[self.kind]}/{self.id if self.kind == PERSONAL else self.name}"


class Hidden(Refused):
    """It is there, and the user may not see it."""

    def __init__(self, space: Space) -> None:
        super().__init__("NOT_FOUND", f"stat: error: not found: {STORAGE_ID}${space.id}!{space.id}")


class Spaces(Namespace):
    """A place is `below` the folder of its space, and that below the root; paths and ids are translated to it."""

    def __init__(self, root: Path, behaviour: Behaviour, metadata: Metadata) -> None:
        super().__init__(root, behaviour)
        self._metadata = metadata
        self._file = self.state / "spaces.json"
        self._lock = threading.Lock()
        self._spaces: dict[str, Space] = {}
        if self._file.exists():
            known = (Space(**entry) for entry in json.loads(self._file.read_text(encoding="utf-8")))
            self._spaces = {space.id: space for space in known}

    # The spaces

    def of(self, user: User) -> list[Space]:
        """Those that the user may see."""
        return [space for space in self._spaces.values() if space.owner == user.id and not space.destroyed]

    def create(self, space: Space) -> Space:
        """The one of its id, made if there is none."""
        with self._lock:
            if space.id not in self._spaces:
                (self.root / space.key).mkdir(parents=True, exist_ok=True)
                self._keep(space)
            return self._spaces[space.id]

    def make_home(self, user: User) -> None:
        self.personal(user)

    def personal(self, user: User) -> Space:
        return self.create(Space(user.id, PERSONAL, user.display_name or user.username, user.id))

    def project(self, name: str, user: User, quota: int) -> Space:
        """Another one, whatever it is called."""
        return self.create(Space(str(uuid.uuid4()), PROJECT, name, user.id, quota))

    def destroy(self, space: Space) -> None:
        """What is in it is not ours to remove."""
        with self._lock:
            self._keep(replace(space, destroyed=True))

    def space_of(self, place: Place) -> Space:
        return self._spaces[place.root.rpartition("/")[2]]

    def _keep(self, space: Space) -> None:
        self._spaces[space.id] = space
        fd, draft = tempfile.mkstemp(dir=self.state)
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor
            json.dump([asdict(one) for one in self._spaces.values()], file)
        os.replace(draft, self._file)  # noqa: PTH105 - mkstemp gives a string

    # Where references lead

    def resolve(self, reference: Any, user: User) -> Place:
        reference = self.relative(reference, user)
        space = self._spaces.get(reference.resource_id.space_id)
        if not space:
            raise _not_found()
        self._check_sight(space, user)
        way = posixpath.normpath(reference.path.lstrip("/") or ".")
        if way.split("/")[0] == "..":
            raise Refused("INTERNAL", "stat:decomposedfs: Wrap: readlink error")
        opaque = reference.resource_id.opaque_id
        if VERSION in opaque and way == ".":
            return self.version(self._node(space, opaque.partition(VERSION)[0]), opaque)
        start = self._node(space, opaque).key
        return self.place(clean(f"{start}/{way}"), user)

    def relative(self, reference: Any, user: User) -> Any:
        """The same by a resource id, whoever may see that; a path is looked up among the user's spaces.

        Raises:
            Refused: it is no reference, or one into no space.
        """
        if reference is None or not (reference.path or reference.HasField("resource_id")):
            raise Refused("INVALID_ARGUMENT", "invalid reference, at least path or id must be set")
        if reference.HasField("resource_id"):
            where = reference.resource_id
            if where.storage_id not in ("", STORAGE_ID) or not where.space_id:
                raise _no_space(reference)
            return reference
        path = posixpath.normpath(reference.path)
        for space in self.of(user):
            if is_within(path, space.path):
                root = self.identity(space.id, space.id)
                return storage.Reference(resource_id=root, path=f".{path[len(space.path) :]}")
        raise _no_space(reference)

    def check(self, reference: Any) -> None:
        """What can be said without knowing the user is nothing."""

    def place(self, below: str, user: User) -> Place:
        key = clean(below)[1:]
        _, _, rest = key.partition("/")
        space = self._spaces.get(rest.partition("/")[0])
        if not space:
            raise Refused("INTERNAL", "no such space")
        self._check_sight(space, user)
        local = self.root / key
        try:
            real = os.path.realpath(local)
        except ValueError as error:  # a NUL in the name
            raise Refused("INTERNAL", str(error)) from error
        if not is_within(real, str(self.root / space.key)):
            raise _not_found(key)
        return Place(f"/{key}", key, local, f"/{space.key}")

    def version(self, place: Place, name: str) -> Place:
        """An old version of what is there: it has facts and content of its own."""
        key = f"{VERSIONS}/{name}"
        if "/" in name or not (self.root / key).exists():
            raise _not_found(name)
        return Place(place.below, key, self.root / key, place.root)

    def is_above_mount(self, _: Any) -> bool:
        return False  # nobody stores that, nor shows it

    # What places are called

    def path(self, place: Place) -> str:
        return posixpath.normpath(f"{self.space_of(place).path}{place.below[len(place.root) :]}")

    def inside(self, place: Place) -> str:
        """The path from the root of the space on, which itself is a dot."""
        return place.below[len(place.root) :] or "."

    def resource_id(self, place: Place, _: int = 0) -> Any:
        space = self.space_of(place).id
        return self.identity(space, space if place.is_root else self.node_id(place.below[1:]))

    def parent_id(self, place: Place) -> Any:
        if place.is_root:
            return storage.ResourceId(space_id=self.space_of(place).id)
        return self.resource_id(place._replace(below=posixpath.dirname(place.below)))

    def node_id(self, key: str) -> str:
        """Made when it is first asked for, and kept from then on."""
        return self._metadata.claim(key, ID, str(uuid.uuid4()))

    def spelt(self, resource_id: Any) -> str:
        return f"{resource_id.storage_id}${resource_id.space_id}!{resource_id.opaque_id}"

    def identity(self, space_id: str, opaque: str) -> Any:
        return storage.ResourceId(storage_id=STORAGE_ID, space_id=space_id, opaque_id=opaque)

    def _node(self, space: Space, opaque: str) -> Place:
        key = space.key if opaque in ("", space.id) else self._metadata.find(ID, opaque)
        if not key or not is_within(key, space.key):
            raise _not_found(opaque)
        return Place(f"/{key}", key, self.root / key, f"/{space.key}")

    def _check_sight(self, space: Space, user: User) -> None:
        if space.owner != user.id:
            raise Hidden(space)
        if space.destroyed:
            raise Refused("INTERNAL", "node.Xattr user.ocis.name: no data available")


def _not_found(what: str = "") -> Refused:
    return Refused("NOT_FOUND", f"stat: error: not found: {what}")


def _no_space(reference: Any) -> Refused:
    return Refused("NOT_FOUND", f"gateway could not find space for ref={reference}".strip())
