"""Where a CS3 reference leads: from path or resource id to a file below the root, and never out of it."""

from __future__ import annotations

import base64
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus, unquote_plus

from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway.status import Refused

if TYPE_CHECKING:
    from rucio_cs3.gateway.behaviours import Behaviour
    from rucio_cs3.gateway.users import User

STORAGE_ID = "rucio-cs3"
ID_PREFIX = "fileid-"
STATE = ".cs3-gateway"  # our own files, below the root so that a rename publishes an upload


class Place(NamedTuple):
    """`below` is the path from the mount on, always absolute and clean; `key` tells users' trees apart."""

    below: str
    key: str
    local: Path
    root: str = "/"

    @property
    def is_root(self) -> bool:
        return self.below == self.root


def clean(path: str) -> str:
    """An absolute path without `.`, `..` and double slashes; `..` at the top stays at the top."""
    return posixpath.normpath("/" + path.lstrip("/"))


def is_relative(reference: Any) -> bool:
    """True for what Reva calls a relative reference: an id with a path that begins with a dot."""
    return bool(reference.HasField("resource_id") and reference.path.startswith("."))


def is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


class Namespace:
    def __init__(self, root: Path, behaviour: Behaviour) -> None:
        self.root = Path(root).resolve()
        self.state = self.root / STATE
        self.behaviour = behaviour
        self.space_id = base64.b32encode(behaviour.mount.encode()).decode()

    def resolve(self, reference: Any, user: User) -> Place:
        """The place that a reference names, whether or not anything is there.

        Raises:
            Refused: as Reva does for references that lead nowhere.
        """
        self.check(reference)
        if reference.HasField("resource_id"):
            return self.place(self._below_id(reference, user), user)
        return self.place(clean(reference.path[len(self.behaviour.mount.rstrip("/")) :]), user)

    def check(self, reference: Any) -> None:
        """Raises Refused for a reference that no storage behind the gateway is responsible for."""
        if reference is None:
            raise Refused("INTERNAL", "error calling GetStorageProvider: nil pointer dereference")
        if reference.HasField("resource_id") and reference.resource_id.storage_id not in ("", STORAGE_ID):
            raise Refused("INTERNAL", "grpc failed with code CODE_INTERNAL")
        by_id = reference.HasField("resource_id") and reference.resource_id.storage_id
        if not by_id and not is_within(reference.path, self.behaviour.mount):
            raise Refused("NOT_FOUND", "storage provider not found for reference")

    def place(self, below: str, user: User) -> Place:
        """Raises Refused(NOT_FOUND) for what is outside the tree or none of the user's business."""
        key = posixpath.join(self._layout(user), below.lstrip("/")).rstrip("/")
        local = self.root / key
        home, ours = str(self.home(user)), str(self.state)
        try:
            real = os.path.realpath(local)
        except ValueError as error:  # a NUL in the name
            raise Refused("INTERNAL", str(error)) from error
        if not is_within(real, home) or is_within(real, ours):
            raise Refused("NOT_FOUND", "path not found")
        return Place(below, key, local)

    def child(self, folder: Place, name: str, user: User, *, is_link: bool) -> Place:
        """What is in a folder that has been found good: only a link, or what is ours, needs another look."""
        below = f"{folder.below.rstrip('/')}/{name}"
        if is_link or name == STATE:
            return self.place(below, user)
        return Place(below, f"{folder.key}/{name}".lstrip("/"), folder.local / name, folder.root)

    def home(self, user: User) -> Path:
        """The folder that the user sees as the mount's root."""
        return self.root / self._layout(user)

    def make_home(self, user: User) -> None:
        """What a login makes, where users have homes."""
        if self.behaviour.home_per_user:
            self.home(user).mkdir(exist_ok=True)

    def is_above_mount(self, reference: Any) -> bool:
        """True for a path that the mount hangs below: a folder that nobody stores."""
        mount = self.behaviour.mount
        by_path = reference is not None and not reference.HasField("resource_id") and reference.path.startswith("/")
        return by_path and mount != "/" and mount.startswith(posixpath.join(reference.path, ""))

    def path(self, place: Place) -> str:
        """The absolute CS3 path."""
        return clean(self.behaviour.mount + place.below)

    def relative(self, reference: Any, _: User) -> Any:
        """The reference as the data server is told it."""
        return reference

    def spelt(self, resource_id: Any) -> str:
        """A resource id as it stands in the URLs of the data server."""
        return f"{resource_id.storage_id}!{resource_id.opaque_id}"

    def resource_id(self, place: Place, inode: int) -> Any:
        """An id as this storage makes them: out of the path, or out of the inode."""
        shown = place.key if self.behaviour.home_per_user else place.below
        opaque = ID_PREFIX + quote_plus(shown) if self.behaviour.id_is_path else str(inode)
        return storage.ResourceId(storage_id=STORAGE_ID, opaque_id=opaque, space_id=self.space_id)

    def _layout(self, user: User) -> str:
        return user.username if self.behaviour.home_per_user else ""

    def _below_id(self, reference: Any, user: User) -> str:
        if not self.behaviour.finds_ids:
            raise Refused("INTERNAL", "cannot find a path by its id")
        opaque, prefix = reference.resource_id.opaque_id, ID_PREFIX + self._layout(user)
        opaque = opaque.removeprefix(prefix)
        return clean(clean(unquote_plus(opaque)) + clean(reference.path))
