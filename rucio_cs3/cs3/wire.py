"""Between our nouns and protobuf's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cs3.storage.provider.v1beta1 import resources_pb2 as storage
from cs3.types.v1beta1 import types_pb2 as types

from rucio_cs3.checksums import ALGORITHMS, normalise
from rucio_cs3.model import Brief, Info, ResourceId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.model import Ref

_KINDS = {
    storage.RESOURCE_TYPE_FILE: "file",
    storage.RESOURCE_TYPE_CONTAINER: "directory",
    storage.RESOURCE_TYPE_REFERENCE: "reference",
    storage.RESOURCE_TYPE_SYMLINK: "symlink",
}
OTHER = "other"
_CHECKSUM_TYPES = {
    storage.RESOURCE_CHECKSUM_TYPE_ADLER32: "adler32",
    storage.RESOURCE_CHECKSUM_TYPE_MD5: "md5",
    storage.RESOURCE_CHECKSUM_TYPE_SHA1: "sha1",
}


def reference(ref: Ref) -> storage.Reference:
    """Below an id a path begins with a dot. To an id without any path, downloads answer with the storage's root."""
    if ref.id is None:
        return storage.Reference(path=ref.path)
    return storage.Reference(resource_id=resource_id(ref.id), path=f"./{ref.path}" if ref.path else ".")


def resource_id(rid: ResourceId) -> storage.ResourceId:
    return storage.ResourceId(storage_id=rid.storage_id, opaque_id=rid.opaque_id, space_id=rid.space_id)


def opaque(values: Mapping[str, str]) -> types.Opaque:
    return types.Opaque(map={key: types.OpaqueEntry(decoder="plain", value=v.encode()) for key, v in values.items()})


def brief(message: Any) -> Brief:
    time = message.mtime
    return Brief(_name(message), _KINDS.get(message.type, OTHER), message.size, time.seconds + time.nanos / 1e9)


def info(message: Any) -> Info:
    """Read a ResourceInfo."""
    extra = {key: entry.value.decode("utf-8", "replace") for key, entry in message.opaque.map.items()}
    return Info(
        name=_name(message),
        path=message.path,
        id=_id(message.id),
        kind=_KINDS.get(message.type, OTHER),
        size=message.size,
        mtime=message.mtime.seconds + message.mtime.nanos / 1e9,
        etag=message.etag,
        mime_type=message.mime_type,
        owner=message.owner.opaque_id,
        checksums=_checksums(message.checksum, extra),
        metadata=dict(message.arbitrary_metadata.metadata),
        parent=_id(message.parent_id) if message.parent_id.opaque_id else None,
        processing=extra.get("status") == "processing",
    )


def _name(message: Any) -> str:
    """Servers say it in `name`, in `path`, or in both."""
    return message.name or message.path.rpartition("/")[2]  # type: ignore[no-any-return]


def _id(message: Any) -> ResourceId:
    return ResourceId(message.storage_id, message.opaque_id, message.space_id)


def _checksums(checksum: Any, extra: Mapping[str, str]) -> dict[str, str]:
    """The one in the message, and those the second line puts beside it."""
    found = {name: extra[name] for name in ALGORITHMS if extra.get(name)}
    if checksum.sum and checksum.type in _CHECKSUM_TYPES:
        found[_CHECKSUM_TYPES[checksum.type]] = checksum.sum
    return {name: normalise(name, value) for name, value in found.items()}
