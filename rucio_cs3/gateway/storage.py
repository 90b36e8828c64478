"""The storage calls on a folder of this machine, with the manners of the behaviour."""

from __future__ import annotations

import errno
import io
import os
import shutil
import uuid
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO

from rucio_cs3.gateway.resources import ROOTS, files_below
from rucio_cs3.gateway.status import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from rucio_cs3.gateway.metadata import Metadata
    from rucio_cs3.gateway.namespace import Namespace, Place
    from rucio_cs3.gateway.resources import Describer
    from rucio_cs3.gateway.users import User

NAME_MAX = 255
by_name = attrgetter("name")
BIN_SUFFIX = ".d1700000000000"  # a time in milliseconds


@contextmanager
def internal(what: str, *, missing: str = "INTERNAL") -> Iterator[None]:
    """Whatever the file system has against it, Reva answers INTERNAL, except sometimes when something is missing."""
    try:
        yield
    except FileNotFoundError as error:
        raise Refused(missing, f"path not found when {what}") from error
    except (OSError, ValueError) as error:
        raise Refused("INTERNAL", f"error {what}: {error}") from error


class Storage:
    def __init__(self, namespace: Namespace, describer: Describer, metadata: Metadata, quota: int | None) -> None:
        self._namespace = namespace
        self._behaviour = namespace.behaviour
        self._describer = describer
        self._metadata = metadata
        self._quota = quota

    def stat(self, place: Place, user: User, keys: Collection[str] = ()) -> Any:
        found = self._find(place, missing="NOT_FOUND", what="statting")
        assert found
        return self._describer.describe(place, found, user, keys)

    def list(self, place: Place, user: User, keys: Collection[str] = ()) -> Iterator[Any]:
        self._find(place, missing=self._behaviour.list_missing, what="listing container")
        with internal("listing container"), os.scandir(place.local) as found:
            entries = list(found)
        for entry in sorted(entries, key=by_name) if self._behaviour.lists_in_order else entries:
            try:
                there = self._namespace.child(place, entry.name, user, is_link=entry.is_symlink())
                yield self._describer.describe(there, entry.stat(follow_symlinks=False), user, keys)
            except (OSError, Refused, UnicodeEncodeError):  # gone meanwhile, ours, leading outside, or no text
                continue

    def open(self, place: Place) -> BinaryIO:
        """For reading. A folder opens too, and there is nothing in it."""
        with internal("opening", missing="NOT_FOUND"):
            return io.BytesIO() if place.local.is_dir() else place.local.open("rb")

    def make_folder(self, place: Place) -> None:
        with internal("creating container", missing=self._behaviour.make_without_parent):
            if place.local.exists():
                self._refuse(self._behaviour.make_existing, "container already exists")
            self._make_parents(place)
            place.local.mkdir(exist_ok=self._behaviour.make_existing == "OK")

    def touch(self, place: Place) -> None:
        with internal("touching file", missing="NOT_FOUND"):
            if place.local.exists():
                self._refuse(self._behaviour.touch_existing, "file already exists")
            self._make_parents(place)
            if self._behaviour.touched_files_take_no_bytes and not place.local.exists():
                self._metadata.set(place.key, {ROOTS: ""})
            os.close(os.open(place.local, os.O_CREAT | os.O_WRONLY, 0o664))

    def delete(self, place: Place) -> None:
        """Recursive, as the real ones are."""
        if place.is_root:
            raise Refused("INTERNAL", "can't delete mount path")
        if self._find(place, missing=self._behaviour.delete_missing, what="deleting"):
            with internal("deleting"):
                self._bin(place)
            if not self._behaviour.metadata_outlives_file:
                self._metadata.forget(place.key)

    def move(self, source: Place, target: Place) -> None:
        """Onto whatever file is there, without a word, or onto nothing."""
        with internal("moving", missing=self._behaviour.move_missing):
            self._make_parents(target)
            if os.path.lexists(source.local) and os.path.lexists(target.local):
                self._refuse(self._behaviour.move_existing, "already exists")
            if target.local.is_dir():  # we could rename onto an empty one, and Go cannot
                raise FileExistsError(errno.EEXIST, "file exists")
            source.local.rename(target.local)
        if not self._behaviour.metadata_outlives_file:
            self._metadata.rename(source.key, target.key)
            return
        try:
            self._metadata.hand_over(source.key, target.key)
        except KeyError as error:
            raise Refused("INTERNAL", "error copying metadata") from error

    def set_metadata(self, place: Place, entries: Mapping[str, str]) -> None:
        self._find(place, missing=self._behaviour.metadata_missing, what="setting arbitrary metadata")
        entries = dict(entries)
        if self._behaviour.metadata_sets_mtime and "mtime" in entries:
            with internal("setting mtime"):
                mtime = self._mtime(entries.pop("mtime"))
                os.utime(place.local, ns=(mtime, mtime))
        self._metadata.set(place.key, {self._bare(key): value for key, value in entries.items()})

    def unset_metadata(self, place: Place, keys: Collection[str]) -> None:
        self._find(place, missing=self._behaviour.metadata_missing, what="unsetting arbitrary metadata")
        self._metadata.unset(place.key, [self._bare(key) for key in keys])

    @staticmethod
    def _mtime(told: str) -> int:
        """In nanoseconds."""
        return int(float(told) * 10**9)

    def publish(self, content: Path, place: Place, facts: Mapping[str, str] | None = None) -> None:
        """Give uploaded content its name, over whatever is there: a file, or a whole folder.

        `facts` are hidden metadata of the file, in place of those it had.
        """
        with internal("publishing the upload"):
            if place.local.is_dir() and self._behaviour.replaces_folders:
                self.discard(place.local)
            content.replace(place.local)
        if facts:
            self._metadata.set(place.key, facts)

    def quota(self, place: Place) -> tuple[int, int]:
        """Total and used bytes: as configured, as this behaviour always says, or those of the disk."""
        if self._behaviour.quota_missing != "OK":
            self._find(place, missing=self._behaviour.quota_missing, what="getting quota")
        if self._quota is not None:
            return self._quota, self.used()
        if self._behaviour.fixed_quota is not None:
            return self._behaviour.fixed_quota, 0
        disk = os.statvfs(self._namespace.root)
        return disk.f_blocks * disk.f_frsize, (disk.f_blocks - disk.f_bavail) * disk.f_frsize

    def has_room(self, size: int, _: Place) -> bool:
        """False when a configured quota would be exceeded. The disk is not asked: the real ones do not either."""
        return self._quota is None or self.used() + size <= self._quota

    def used(self) -> int:
        ours = f"{self._namespace.state}/"
        return sum(size for path, size in files_below(self._namespace.root) if not path.startswith(ours))

    def discard(self, path: Path) -> None:
        """Remove a file or a tree from the namespace in one step, and from the disk after that."""
        grave = self._namespace.state / "trash" / uuid.uuid4().hex
        path.rename(grave)
        if grave.is_dir() and not grave.is_symlink():
            shutil.rmtree(grave, ignore_errors=True)
        else:
            grave.unlink()

    def empty(self, place: Place) -> None:
        """Remove all that is in a folder, but for what is ours."""
        for child in place.local.iterdir():
            if child != self._namespace.state:
                self.lose(f"{place.key}/{child.name}".lstrip("/"))

    def lose(self, key: str) -> None:
        """For good, and without a bin."""
        self.discard(self._namespace.root / key)

    def _bin(self, place: Place) -> None:
        if self._behaviour.bins_under_name and len(place.local.name.encode()) + len(BIN_SUFFIX) > NAME_MAX:
            raise OSError(errno.ENAMETOOLONG, "file name too long")
        self.discard(place.local)

    def _find(self, place: Place, *, missing: str, what: str) -> os.stat_result | None:
        """What is there; None where a missing file is as good as done."""
        with internal(what):
            try:
                return place.local.stat()
            except FileNotFoundError:
                self._refuse(missing, f"path not found when {what}")
            except NotADirectoryError:
                self._refuse(self._behaviour.below_file, f"path not found when {what}")
        return None

    @staticmethod
    def _refuse(code: str, message: str) -> None:
        if code != "OK":
            raise Refused(code, message)

    def _make_parents(self, place: Place) -> None:
        if self._behaviour.makes_parents:
            place.local.parent.mkdir(parents=True, exist_ok=True)

    def _bare(self, key: str) -> str:
        prefix = self._behaviour.metadata_prefix
        return key[len(prefix) :] if prefix and key.startswith(prefix) else key
