"""What a token may do: Reva's scopes, as far as application passwords come with them.

As Reva has them, not as one would wish. `user` and `machine` may do everything, whatever path and role they name.
`resourceinfo` is held to a path, but paths are compared as they are spelt: /d lets in /d2, and /d/../elsewhere too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cs3.auth.provider.v1beta1 import resources_pb2 as auth
from cs3.storage.provider.v1beta1 import resources_pb2 as storage
from cs3.types.v1beta1 import types_pb2 as types
from google.protobuf import json_format

from rucio_cs3.gateway.status import Aborted

if TYPE_CHECKING:
    from collections.abc import Mapping

    Scopes = Mapping[str, Any]

OWNER: Scopes = {
    "user": auth.Scope(resource=types.OpaqueEntry(decoder="json", value=b'{"path":"/"}'), role=auth.ROLE_OWNER)
}
BOUNDLESS = ("user", "machine")  # beginnings of names, as all of them
BOUND = "resourceinfo"
ENTRANCES = ("/data",)  # and what begins so, as the data gateway does
EDITORS = {auth.ROLE_OWNER, auth.ROLE_EDITOR, auth.ROLE_UPLOADER}
NIL = "runtime error: invalid memory address or nil pointer dereference"

# What a `resourceinfo` scope lets be called at all, and the references that it looks at.
READS = dict.fromkeys(("Stat", "ListContainer", "InitiateFileDownload"), ("ref",))
WRITES = {
    **dict.fromkeys(("CreateContainer", "TouchFile", "Delete", "InitiateFileUpload"), ("ref",)),
    **dict.fromkeys(("SetArbitraryMetadata", "UnsetArbitraryMetadata"), ("ref",)),
    "Move": ("source", "destination"),
}


def may_call(scopes: Scopes, method: str, request: Any) -> bool:
    """Raises Aborted where Reva stumbles over what a scope leaves out."""
    return any(
        name.startswith(BOUNDLESS) or (name.startswith(BOUND) and _covers(scope, method, request))
        for name, scope in scopes.items()
    )


def may_enter(scopes: Scopes, url_path: str) -> bool:
    """Over HTTP: a narrow scope opens the data server, where it is not asked for its path, and no other door."""
    return any(
        name.startswith(BOUNDLESS)
        or (name.startswith(BOUND) and url_path.startswith(ENTRANCES) and _resource(scope) is not None)
        for name, scope in scopes.items()
    )


def owns_home(scopes: Scopes) -> bool:
    """True for who gets a home at login."""
    return "user" in scopes and scopes["user"].role == auth.ROLE_OWNER


def to_claim(scopes: Scopes) -> dict[str, Any] | None:
    """As Reva writes them into its tokens."""
    return {
        name: json_format.MessageToDict(scope, use_integers_for_enums=True) for name, scope in scopes.items()
    } or None


def from_claim(claim: Mapping[str, Any] | None) -> Scopes:
    return {name: json_format.ParseDict(scope, auth.Scope()) for name, scope in (claim or {}).items()}


def _covers(scope: Any, method: str, request: Any) -> bool:
    if not scope.HasField("resource"):
        raise Aborted("INTERNAL", NIL)
    resource = _resource(scope)
    fields = WRITES.get(method, ()) if scope.role in EDITORS else ()
    fields = READS.get(method, fields)
    return resource is not None and bool(fields) and all(_reaches(resource, request, field) for field in fields)


def _resource(scope: Any) -> Any:
    """What the scope is about; None when that cannot be read."""
    try:
        return json_format.Parse(scope.resource.value, storage.ResourceInfo())
    except (json_format.ParseError, UnicodeDecodeError):
        return None


def _reaches(resource: Any, request: Any, field: str) -> bool:
    reference = getattr(request, field)
    by_id = reference.HasField("resource_id")
    if not request.HasField(field) or (by_id and not resource.HasField("id")):
        raise Aborted("INTERNAL", NIL)
    if by_id and _key(reference.resource_id) != _key(resource.id):
        return False
    return (by_id and not reference.path) or reference.path.startswith(resource.path)


def _key(resource_id: Any) -> tuple[str, str]:
    return resource_id.storage_id, resource_id.opaque_id
