"""The engine of the second line: files that know their checksums, keep old versions, and go to a bin."""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import time
import zlib
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from cs3.storage.provider.v1beta1 import resources_pb2 as storage
from cs3.types.v1beta1 import types_pb2 as types

from rucio_cs3.gateway.metadata import HIDDEN
from rucio_cs3.gateway.namespace import STATE, clean, is_within
from rucio_cs3.gateway.resources import Describer, is_asked
from rucio_cs3.gateway.spaces import ID, VERSION, VERSIONS
from rucio_cs3.gateway.status import Refused
from rucio_cs3.gateway.storage import Storage, internal
from rucio_cs3.gateway.trees import SIZE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from rucio_cs3.gateway.metadata import Metadata
    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.spaces import Space, Spaces
    from rucio_cs3.gateway.trees import Trees
    from rucio_cs3.gateway.users import User

SHA1, MD5, ADLER32 = (f"{HIDDEN}{name}" for name in ("sha1", "md5", "adler32"))
STATUS = f"{HIDDEN}status"  # `processing`, until it can be read
FATE = f"{HIDDEN}fate"  # until when, and what then
FACTS = (SHA1, MD5, ADLER32, SIZE, STATUS, FATE)  # of the content, not of the file
BIN = f"{STATE}/bin"
SPACE, PATH, WHEN = (f"{HIDDEN}{name}" for name in ("space", "path", "deleted"))  # of what is in the bin
FAVORITE = "http://owncloud.org/ns/favorite"
NEWER = {"delete_container", "move_container", "set_immutable_file", "set_immutable_container"}  # than this Reva
PERMISSIONS = storage.ResourcePermissions(
    **{field.name: True for field in storage.ResourcePermissions.DESCRIPTOR.fields if field.name not in NEWER}
)
UNLIMITED = (1 << 64) - 1
BLOCK = 1 << 20


class Deleted(NamedTuple):
    """Something in the bin: `key` names it there, `path` is where it was in its space."""

    key: str
    path: str
    seconds: int
    local: Path


class NodeDescriber(Describer):
    _namespace: Spaces

    def __init__(self, namespace: Spaces, metadata: Metadata, trees: Trees) -> None:
        super().__init__(namespace, metadata)
        self._trees = trees

    def describe(self, place: Place, found: os.stat_result, user: User, keys: Collection[str] = ()) -> Any:
        """!! Who asks for any metadata but all of it gets no checksums; of an old version they are those of today."""
        info = super().describe(place, found, user, keys)
        space = self._namespace.space_of(place)
        info.path = self._namespace.inside(place)
        info.name = space.name if place.is_root else posixpath.basename(place.below)
        info.parent_id.CopyFrom(self._namespace.parent_id(place))
        info.permission_set.CopyFrom(PERMISSIONS)
        if info.type == storage.RESOURCE_TYPE_FILE:
            _add_content(info, self._metadata.get(place.below[1:]), shows_checksums=is_asked("*", keys))
        info.mtime.nanos = found.st_mtime_ns % 10**9
        return info

    def _size(self, place: Place, *_: object) -> int:
        return self._trees.size(place.key)

    def _etag(self, place: Place, found: os.stat_result) -> str:
        """Of the id and the time alone; that of a folder is the latest of all that is in it."""
        told = f"{self._namespace.resource_id(place).opaque_id} {found.st_mtime_ns}".encode()
        return f'"{hashlib.md5(told, usedforsecurity=False).hexdigest()}"'

    def _shown(self, place: Place, found: os.stat_result, keys: Collection[str]) -> dict[str, str]:
        favorite = {FAVORITE: ""} if is_asked(FAVORITE, keys) else {}
        return {**favorite, **super()._shown(place, found, keys)}


def _add_content(info: Any, facts: Mapping[str, str], *, shows_checksums: bool) -> None:
    told = {"status": facts.get(STATUS)}
    if shows_checksums and SHA1 in facts:
        info.checksum.type, info.checksum.sum = storage.RESOURCE_CHECKSUM_TYPE_SHA1, facts[SHA1]
        told |= {"md5": facts[MD5], "adler32": facts[ADLER32]}
    for name, value in told.items():
        if value:
            info.opaque.map[name].CopyFrom(types.OpaqueEntry(decoder="plain", value=value.encode()))


class Nodes(Storage):
    """Whatever changes, the folders above are told by `Trees`."""

    _namespace: Spaces

    def __init__(self, namespace: Spaces, metadata: Metadata, trees: Trees, quota: int | None) -> None:
        super().__init__(namespace, NodeDescriber(namespace, metadata, trees), metadata, quota)
        self._trees = trees

    def make_folder(self, place: Place) -> None:
        if place.is_root:
            raise Refused("INVALID_ARGUMENT", "create container:error: bad request: Invalid path: .")
        if not place.local.parent.exists():  # also below a file, where the disk has another error
            raise Refused(self._behaviour.make_without_parent, "path not found when creating container")
        with self._trees.changing(place.key):
            super().make_folder(place)

    def touch(self, place: Place) -> None:
        with self._trees.changing(place.key):
            super().touch(place)

    def set_metadata(self, place: Place, entries: Mapping[str, str]) -> None:
        """The time of a folder is that of what is in it, whatever is set."""
        if place.local.is_dir() and any(place.local.iterdir()):
            entries = {key: value for key, value in entries.items() if key != "mtime"}
        with self._trees.changing(place.key):
            super().set_metadata(place, entries)

    def unset_metadata(self, place: Place, keys: Collection[str]) -> None:
        with self._trees.changing(place.key):
            super().unset_metadata(place, keys)

    # What deletes and overwrites leave behind

    def delete(self, place: Place) -> None:
        """!! The root of a space can be deleted, and the space is lost, although the answer is an error."""
        if place.is_root:
            self.empty(place)
            self._namespace.destroy(self._namespace.space_of(place))
            raise Refused("INTERNAL", "delete:remove: no such file or directory")
        if STATUS in self._metadata.get(place.key):
            raise Refused("TOO_EARLY", "file is processing")
        with self._trees.changing(place.key):
            super().delete(place)

    def move(self, source: Place, target: Place) -> None:
        if source.root != target.root:
            raise Refused("UNIMPLEMENTED", "move:error: not supported: cannot move across spaces")
        with internal("moving", missing=self._behaviour.move_missing):
            source.local.lstat()
            if target.local.parent.is_file():
                raise NotADirectoryError(errno.ENOTDIR, "not a directory")
        with self._trees.changing(source.key, target.key):
            super().move(source, target)

    def lose(self, key: str) -> None:
        with self._trees.changing(key):
            super().lose(key)
            self._metadata.forget(key)

    def publish(self, content: Path, place: Place, facts: Mapping[str, str] | None = None) -> None:
        """What is there becomes an old version. Without checksums among the `facts` they are computed."""
        facts = {**(facts or {})}
        if SHA1 not in facts:
            facts.update(checksums(content))
        with self._trees.changing(place.key):
            self._keep_version(place)
            super().publish(content, place, facts)

    def _keep_version(self, place: Place) -> None:
        """Let the present content be found among the old ones too. To be called before it is replaced."""
        if place.local.is_file():
            when = place.local.stat().st_mtime_ns
            key = f"{VERSIONS}/{self._namespace.node_id(place.key)}{VERSION}{_stamp(when)}"
            with suppress(FileExistsError):
                os.link(place.local, self._namespace.root / key)
            self._take_facts(place.key, key)
        self._metadata.unset(place.key, FACTS)

    def versions(self, place: Place) -> list[tuple[str, os.stat_result, int]]:
        """The names of the old versions, the newest first, and what is known of them."""
        self._find(place, missing="NOT_FOUND", what="listing versions")
        if place.local.is_dir():
            return []
        return [
            (path.name, path.stat(), self._trees.size(f"{VERSIONS}/{path.name}"))
            for path in self._old_versions(place.key)
        ]

    def restore_version(self, name: str, user: User) -> None:
        """!! The name alone says of which file."""
        node = self._metadata.find(ID, name.partition(VERSION)[0])
        if VERSION not in name or not node:
            raise Refused("NOT_FOUND", f"restore file version: error: not found: {name}")
        place = self._namespace.place(node, user)
        with internal("restoring version"), self._trees.changing(place.key):
            old = place._replace(key=f"{VERSIONS}/{name}", local=self._namespace.root / VERSIONS / name)
            old.local.stat()
            self._keep_version(place)
            self._take_facts(old.key, place.key)
            self._metadata.forget(old.key)
            os.utime(old.local)
            old.local.replace(place.local)

    def take_back(self, key: str) -> None:
        """Undo the last upload to a file: its last old version comes back, or nothing is there."""
        old = self._old_versions(key)
        if not old:
            self.lose(key)
            return
        kept = f"{VERSIONS}/{old[0].name}"
        with self._trees.changing(key):
            self._metadata.unset(key, FACTS)
            self._take_facts(kept, key)
            self._metadata.forget(kept)
            old[0].replace(self._namespace.root / key)

    def _old_versions(self, key: str) -> list[Path]:
        """The newest first."""
        prefix = f"{self._namespace.node_id(key)}{VERSION}"
        found = [path for path in (self._namespace.root / VERSIONS).iterdir() if path.name.startswith(prefix)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _bin(self, place: Place) -> None:
        key = f"{BIN}/{self._namespace.node_id(place.key)}"
        place.local.rename(self._namespace.root / key)
        self._metadata.rename(place.key, key)
        space, path = self._namespace.space_of(place), self._namespace.inside(place)
        self._metadata.set(key, {SPACE: space.id, PATH: path, WHEN: str(int(time.time()))})

    def deleted(self, space: Space, below: str = "") -> list[Deleted]:
        """What is in the bin of this space, or in a folder there."""
        if below:
            top = self._binned(space, below.partition("/")[0])
            inner = clean(below.partition("/")[2]).strip("/")
            folder = top.local / inner
            if not is_within(os.path.realpath(folder), str(top.local)):
                raise Refused("NOT_FOUND", f"error listing recycle item: error: not found: {below}")
            within = posixpath.join(top.path, inner).rstrip("/")
            prefix = below.rstrip("/")
            return [
                Deleted(f"{prefix}/{path.name}", f"{within}/{path.name}", top.seconds, path)
                for path in (folder.iterdir() if folder.is_dir() else ())
            ]
        return [found for path in (self._namespace.root / BIN).iterdir() for found in self._in_bin(space, path.name)]

    def restore(self, space: Space, key: str, target: Place) -> None:
        """Put something back, at a place that need not be its old one."""
        if os.path.lexists(target.local):
            raise Refused("ALREADY_EXISTS", "restore recycle item: error: already exists: origin already exists")
        if not target.local.parent.exists():
            raise Refused("NOT_FOUND", "restore recycle item: error: not found")
        with internal("restoring"):
            try:
                found = self._binned(space, key)
            except Refused as refused:
                raise FileNotFoundError(errno.ENOENT, "no such file or directory") from refused
            with self._trees.changing(target.key):
                found.local.rename(target.local)
                self._metadata.rename(f"{BIN}/{key}", target.key)
                self._metadata.unset(target.key, (SPACE, PATH, WHEN))

    def purge(self, space: Space, key: str = "") -> None:
        """One thing in the bin, or all of it. Its old versions go too."""
        for found in [self._binned(space, key)] if key else self.deleted(space):
            for path in (self._namespace.root / VERSIONS).glob(f"{found.key}{VERSION}*"):
                self._metadata.forget(f"{VERSIONS}/{path.name}")
                path.unlink()
            self.discard(found.local)
            self._metadata.forget(f"{BIN}/{found.key}")

    def _binned(self, space: Space, key: str) -> Deleted:
        for found in self._in_bin(space, key):
            return found
        raise Refused("NOT_FOUND", f"error purging recycle item: error: not found: {key}")

    def _in_bin(self, space: Space, key: str) -> Iterator[Deleted]:
        """The one of this name, if there is one."""
        kept = self._metadata.get(f"{BIN}/{key}")
        if kept.get(SPACE) == space.id:
            yield Deleted(key, kept[PATH], int(kept[WHEN]), self._namespace.root / BIN / key)

    def _take_facts(self, source: str, target: str) -> None:
        kept = self._metadata.get(source)
        self._metadata.set(target, {name: kept[name] for name in FACTS if name in kept})

    # Room

    def quota(self, place: Place) -> tuple[int, int]:
        """Of the space: a total of 0 is no limit."""
        self._find(place, missing="NOT_FOUND", what="getting quota")
        return self.limit(place), self.used_in(self._namespace.space_of(place))

    def limit(self, place: Place) -> int:
        return self._namespace.space_of(place).quota or self._quota or 0

    def used_in(self, space: Space) -> int:
        return self._trees.size(space.key)

    def has_room(self, size: int, place: Place) -> bool:
        """!! Room is counted as announced; what is overwritten makes room."""
        disk, total = os.statvfs(self._namespace.root), self.limit(place)
        if not 0 <= size <= disk.f_bavail * disk.f_frsize or not total:
            return 0 <= size <= disk.f_bavail * disk.f_frsize
        there = self._trees.size(place.key) if place.local.is_file() else 0
        return self.used_in(self._namespace.space_of(place)) - there + size <= total

    @staticmethod
    def _mtime(told: str) -> int:
        """!! What stands after the dot is taken for nanoseconds."""
        seconds, _, nanos = told.partition(".")
        return int(seconds) * 10**9 + int(nanos or 0)


def checksums(content: Path) -> dict[str, str]:
    """The facts of a file's content, each in lower-case hex."""
    sha1, md5, adler = hashlib.sha1(usedforsecurity=False), hashlib.md5(usedforsecurity=False), 1
    with content.open("rb") as file:
        while block := file.read(BLOCK):
            sha1.update(block)
            md5.update(block)
            adler = zlib.adler32(block, adler)
    return {SHA1: sha1.hexdigest(), MD5: md5.hexdigest(), ADLER32: f"{adler:08x}"}


def _stamp(nanoseconds: int) -> str:
    """RFC 3339, with as many digits as it takes."""
    seconds, rest = divmod(nanoseconds, 10**9)
    day = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{day}.{rest:09d}".rstrip("0").rstrip(".") + "Z"
