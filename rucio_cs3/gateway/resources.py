"""What Stat and ListContainer say of a file or folder."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import posixpath
import stat as modes
import struct
from typing import TYPE_CHECKING, Any

from cs3.storage.provider.v1beta1 import resources_pb2 as storage
from cs3.types.v1beta1 import types_pb2 as types

from rucio_cs3.gateway.metadata import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rucio_cs3.gateway.metadata import Metadata
    from rucio_cs3.gateway.namespace import Namespace, Place
    from rucio_cs3.gateway.users import User

FILE_TYPE = "application/octet-stream"
ROOTS = f"{HIDDEN}root"  # marks a file that belongs to root and not to a user
NOT_GRANTED = {"deny_grant"}
PERMISSIONS = storage.ResourcePermissions(
    **{field.name: True for field in storage.ResourcePermissions.DESCRIPTOR.fields if field.name not in NOT_GRANTED}
)


class Describer:
    """Turns what the file system knows into ResourceInfo messages."""

    def __init__(self, namespace: Namespace, metadata: Metadata) -> None:
        self._namespace = namespace
        self._behaviour = namespace.behaviour
        self._metadata = metadata

    def describe(self, place: Place, found: os.stat_result, user: User, keys: Collection[str] = ()) -> Any:
        """`keys` picks from the metadata; none, or `*`, takes all of it. There is never a checksum."""
        is_folder = modes.S_ISDIR(found.st_mode)
        kind = storage.RESOURCE_TYPE_CONTAINER if is_folder else storage.RESOURCE_TYPE_FILE
        info = storage.ResourceInfo(
            type=kind,
            id=self._namespace.resource_id(place, found.st_ino),
            path=self._namespace.path(place),
            etag=self._etag(place, found),
            mime_type=self._mime_type(place, is_folder),
            mtime=types.Timestamp(seconds=int(found.st_mtime)),
            size=self._size(place, found, is_folder),
            owner=user.user_id,
            permission_set=PERMISSIONS,
            arbitrary_metadata=storage.ArbitraryMetadata(metadata=self._shown(place, found, keys)),
            parent_id=storage.ResourceId(space_id=self._namespace.space_id),
        )
        info.space.id.opaque_id = self._namespace.space_id
        if self._behaviour.shows_inode:
            info.name = posixpath.basename(place.below) or "/"
            info.checksum.SetInParent()
        return info

    def _shown(self, place: Place, found: os.stat_result, keys: Collection[str]) -> dict[str, str]:
        kept = self._metadata.get(place.key)
        shown = {key: value for key, value in kept.items() if is_asked(key, keys) and not key.startswith(HIDDEN)}
        if self._behaviour.shows_inode:
            shown.update(inode=str(found.st_ino), device=str(found.st_dev))
        return shown

    def _size(self, place: Place, found: os.stat_result, is_folder: bool) -> int:
        if is_folder and self._behaviour.folder_size_is_recursive:
            return sum(size for _, size in files_below(place.local))
        return 4096 if is_folder else found.st_size

    def _mime_type(self, place: Place, is_folder: bool) -> str:
        if is_folder:
            return self._behaviour.folder_mime_type
        return mimetypes.guess_type(place.below)[0] or FILE_TYPE

    def _etag(self, _: Place, found: os.stat_result) -> str:
        """Changes when the inode does, so a same-second overwrite of the same size shows where uploads are staged."""
        if self._behaviour.etag_is_change_time:
            return f'"{found.st_ino}:{found.st_ctime_ns // 10**9}.{found.st_ctime_ns % 10**9:09d}"'
        facts = struct.pack(">qQQQ", int(found.st_mtime), found.st_ino, found.st_dev, found.st_size)
        return f'"{hashlib.md5(facts, usedforsecurity=False).hexdigest()}"'


def is_asked(key: str, keys: Collection[str]) -> bool:
    return not keys or "*" in keys or key in keys


def files_below(folder: os.PathLike[str]) -> Iterator[tuple[str, int]]:
    """Every file in a tree with its size; what vanishes meanwhile is left out."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - a Path for each of many files costs
            try:
                yield path, os.lstat(path).st_size
            except OSError:
                continue
