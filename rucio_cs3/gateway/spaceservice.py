"""The calls of the gateway API on the second line: what it answers otherwise, and what only it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from cs3.storage.provider.v1beta1 import provider_api_pb2 as provider
from cs3.storage.provider.v1beta1 import resources_pb2 as storage
from cs3.storage.provider.v1beta1 import spaces_api_pb2 as spaces
from cs3.types.v1beta1 import types_pb2 as types

from rucio_cs3.gateway.namespace import is_relative
from rucio_cs3.gateway.nodes import UNLIMITED
from rucio_cs3.gateway.service import METHODS, Method, Service
from rucio_cs3.gateway.spaces import PROJECT, Hidden
from rucio_cs3.gateway.status import Aborted, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.nodes import Nodes
    from rucio_cs3.gateway.spaces import Space, Spaces
    from rucio_cs3.gateway.users import User

FOREVER = 86_400  # seconds
Filter = spaces.ListStorageSpacesRequest.Filter
FILTERS: dict[int, Callable[[Any, Space, Any], bool]] = {
    Filter.TYPE_ID: lambda wanted, _, told: wanted.id.opaque_id == told.id.opaque_id,
    Filter.TYPE_OWNER: lambda wanted, space, _: wanted.owner.opaque_id == space.owner,
    Filter.TYPE_SPACE_TYPE: lambda wanted, space, _: wanted.space_type == space.kind,
}


class SpaceService(Service):
    @property
    def _nodes(self) -> Nodes:
        return cast("Nodes", self._storage)

    @property
    def _spaces(self) -> Spaces:
        return cast("Spaces", self._site.namespace)

    def get_home(self, _: Any, user: User) -> Any:
        return provider.GetHomeResponse(path=self._spaces.personal(user).path)

    def create_home(self, _: Any, user: User) -> Any:
        self._spaces.make_home(user)
        return provider.CreateHomeResponse()

    # Namespace

    def stat(self, request: Any, user: User) -> Any:
        place = self._seen(request, user)
        info = self._nodes.stat(place, user, request.arbitrary_metadata_keys)
        info.space.CopyFrom(self._told(self._spaces.space_of(place), user, opaque_id="{space}!{space}"))
        info.space.opaque.map["etag"].value = info.etag.encode()
        self._site.locks.show(place.key, info)
        self._name(info, request.ref)
        return provider.StatResponse(info=info)

    def list_container(self, request: Any, user: User) -> Any:
        self._seen(request, user)
        reply = super().list_container(request, user)
        for info in reply.infos:
            info.ClearField("space")
            self._name(info, request.ref)
        return reply

    def create_container(self, request: Any, user: User) -> Any:
        place = self._place(request, user)
        self._site.locks.check(place.key.rpartition("/")[0], "")
        return super().create_container(request, user)

    def touch_file(self, request: Any, user: User) -> Any:
        self._site.locks.check(self._place(request, user).key, "")
        return super().touch_file(request, user)

    def delete(self, request: Any, user: User) -> Any:
        self._admit(request, user)
        return super().delete(request, user)

    def move(self, request: Any, user: User) -> Any:
        """!! A folder into itself is lost, and there is no answer."""
        source, target = self._place(request, user, "source"), self._place(request, user, "destination")
        self._site.locks.check(source.key, request.lock_id)
        if target.below.startswith(f"{source.below}/") and source.local.is_dir():
            self._nodes.lose(source.key)
            self._site.faults.wait(FOREVER)
            raise Aborted("UNAVAILABLE", "the gateway stops")
        return super().move(request, user)

    def get_path(self, request: Any, user: User) -> Any:
        place = self._spaces.resolve(storage.Reference(resource_id=request.resource_id), user)
        return provider.GetPathResponse(path=self._spaces.inside(place))

    def get_quota(self, request: Any, user: User) -> Any:
        total, used = self._nodes.quota(self._place(request, user))
        left = _plain(remaining=str(_remaining(total, used)))
        return provider.GetQuotaResponse(total_bytes=total, used_bytes=used, opaque=left)

    def set_arbitrary_metadata(self, request: Any, user: User) -> Any:
        self._admit(request, user)
        return super().set_arbitrary_metadata(request, user)

    def unset_arbitrary_metadata(self, request: Any, user: User) -> Any:
        self._admit(request, user)
        return super().unset_arbitrary_metadata(request, user)

    def initiate_file_upload(self, request: Any, user: User) -> Any:
        try:
            return super().initiate_file_upload(request, user)
        except Hidden as hidden:
            raise Refused("PERMISSION_DENIED", "permission denied") from hidden

    # Locks

    def get_lock(self, request: Any, user: User) -> Any:
        return provider.GetLockResponse(lock=self._site.locks.get(self._lockable(request, user)))

    def set_lock(self, request: Any, user: User) -> Any:
        place = self._place(request, user)
        self._nodes.stat(place, user)
        self._site.locks.set(place.key, request.lock)
        return provider.SetLockResponse()

    def _lockable(self, request: Any, user: User) -> str:
        """!! SetLock takes paths, the others do not: by path what was locked cannot be unlocked."""
        place = self._place(request, user)
        if not request.ref.HasField("resource_id"):
            raise Refused("INTERNAL", "Decomposedfs: error resolving ref: resource_id must be set")
        self._nodes.stat(place, user)
        return place.key

    # Spaces

    def list_storage_spaces(self, request: Any, user: User) -> Any:
        """Those of the user that pass every filter."""
        told = [(space, self._told(space, user)) for space in self._spaces.of(user)]
        for wanted in request.filters:
            if wanted.type not in FILTERS:
                raise Refused("INVALID_ARGUMENT", f"unknown filter {Filter.Type.Name(wanted.type)}")
            told = [(space, message) for space, message in told if FILTERS[wanted.type](wanted, space, message)]
        return spaces.ListStorageSpacesResponse(storage_spaces=[message for _, message in told])

    def create_storage_space(self, request: Any, user: User) -> Any:
        if request.type != PROJECT:
            raise Refused("NOT_FOUND", "error: not found: no provider found for space")
        made = self._spaces.project(request.name, user, request.quota.quota_max_bytes)
        return spaces.CreateStorageSpaceResponse(storage_space=self._told(made, user))

    def _told(self, space: Space, user: User, opaque_id: str = "{storage}${space}!{space}") -> Any:
        root = self._spaces.place(space.key, user)
        info = self._nodes.stat(root, user, ["none"])
        info.ClearField("space")
        total, used = self._nodes.quota(root)
        numbers = {"used": used, "total": total, "remaining": _remaining(total, used)}
        message = storage.StorageSpace(
            root=info.id,
            name=space.name,
            space_type=space.kind,
            mtime=info.mtime,
            root_info=info,
            opaque=_plain(
                spaceAlias=f"{space.kind}/{user.username if space.kind != PROJECT else space.name}",
                path=space.path,
                etag=info.etag,
                **{f"quota.{name}": str(value) for name, value in numbers.items()},
            ),
        )
        message.id.opaque_id = opaque_id.format(storage=info.id.storage_id, space=space.id)
        message.owner.id.CopyFrom(user.user_id)
        if total:
            message.quota.quota_max_bytes, message.quota.quota_max_files = total, UNLIMITED
        return message

    # The bin

    def list_recycle(self, request: Any, user: User) -> Any:
        items = [
            storage.RecycleItem(
                type=storage.RESOURCE_TYPE_CONTAINER if found.local.is_dir() else storage.RESOURCE_TYPE_FILE,
                key=found.key,
                ref=storage.Reference(path=found.path),
                size=found.local.stat().st_size if found.local.is_dir() or request.key else 0,
                deletion_time=types.Timestamp(seconds=found.seconds),
            )
            for found in self._nodes.deleted(self._space(request, user), request.key)
        ]
        return provider.ListRecycleResponse(recycle_items=items)

    def list_recycle_stream(self, _: Any, __: User) -> Any:
        raise Aborted("UNKNOWN", "error: not supported: ListRecycleStream unimplemented")

    def restore_recycle_item(self, request: Any, user: User) -> Any:
        space = self._space(request, user)
        if not request.HasField("restore_ref"):
            raise Refused("INVALID_ARGUMENT", "error: bad request: missing reference")
        self._nodes.restore(space, request.key, self._place(request, user, "restore_ref"))
        return provider.RestoreRecycleItemResponse()

    def purge_recycle(self, request: Any, user: User) -> Any:
        self._nodes.purge(self._space(request, user), request.key)
        return provider.PurgeRecycleResponse()

    # Old versions

    def list_file_versions(self, request: Any, user: User) -> Any:
        versions = [
            storage.FileVersion(key=name, size=size, mtime=int(found.st_mtime), etag=f'"{found.st_mtime_ns:x}"')
            for name, found, size in self._nodes.versions(self._place(request, user))
        ]
        return provider.ListFileVersionsResponse(versions=versions)

    def restore_file_version(self, request: Any, user: User) -> Any:
        self._place(request, user)
        self._nodes.restore_version(request.key, user)
        return provider.RestoreFileVersionResponse()

    # What they share

    def _seen(self, request: Any, user: User) -> Place:
        """!! Stat and ListContainer take every reference into no space for something that is missing."""
        try:
            return self._place(request, user)
        except Refused as refused:
            if refused.code == "INVALID_ARGUMENT":
                raise Refused("NOT_FOUND", "gateway could not find space for ref=") from refused
            raise

    def _admit(self, request: Any, user: User) -> None:
        self._site.locks.check(self._place(request, user).key, request.lock_id)

    def _space(self, request: Any, user: User) -> Space:
        return self._spaces.space_of(self._place(request, user))

    def _leave_out_mount(self, reply: Any) -> None:
        """There is none in the names."""

    def _name(self, info: Any, reference: Any) -> None:
        """By the name alone, unless it was asked for by an id and an absolute path, or none."""
        if is_relative(reference) or not reference.HasField("resource_id"):
            info.path = info.path.rpartition("/")[2]


def _remaining(total: int, used: int) -> int:
    return max(total - used, 0) if total else UNLIMITED


def _plain(**values: str) -> Any:
    return types.Opaque(map={key: types.OpaqueEntry(decoder="plain", value=v.encode()) for key, v in values.items()})


def _method(module: Any, name: str, call: Callable[[SpaceService, Any, Any], Any]) -> Method:
    return Method(getattr(module, f"{name}Request"), getattr(module, f"{name}Response"), call)


SPACE_METHODS = {
    **{
        name: method._replace(call=getattr(SpaceService, method.call.__name__))
        for name, method in METHODS.items()
        if "AppPassword" not in name  # not served where we looked
    },
    "ListStorageSpaces": _method(spaces, "ListStorageSpaces", SpaceService.list_storage_spaces),
    "CreateStorageSpace": _method(spaces, "CreateStorageSpace", SpaceService.create_storage_space),
    "ListRecycle": _method(provider, "ListRecycle", SpaceService.list_recycle),
    "ListRecycleStream": _method(provider, "ListRecycleStream", SpaceService.list_recycle_stream),
    "RestoreRecycleItem": _method(provider, "RestoreRecycleItem", SpaceService.restore_recycle_item),
    "PurgeRecycle": _method(provider, "PurgeRecycle", SpaceService.purge_recycle),
    "ListFileVersions": _method(provider, "ListFileVersions", SpaceService.list_file_versions),
    "RestoreFileVersion": _method(provider, "RestoreFileVersion", SpaceService.restore_file_version),
}
