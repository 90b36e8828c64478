"""The calls of the gateway API, each by itself; rpc.py is the way to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cs3.auth.applications.v1beta1 import applications_api_pb2 as applications
from cs3.gateway.v1beta1 import gateway_api_pb2 as gateway
from cs3.storage.provider.v1beta1 import provider_api_pb2 as provider
from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway.namespace import is_relative
from rucio_cs3.gateway.status import Aborted, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.gateway.endpoints import Endpoints
    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.site import Site
    from rucio_cs3.gateway.users import User

MAX_LENGTH = (1 << 63) - 1
LIST_BYTES = 10_240_000  # what Reva's gateway takes from its own storage providers in one message


def reference_of(request: Any, field: str = "ref") -> Any:
    """The reference in a request; None when it was left out, which is not the same as an empty one."""
    return getattr(request, field) if request.HasField(field) else None


class Service:
    """Each method answers its call, or raises Refused or Aborted; the status OK is added to what it returns."""

    def __init__(self, site: Site, endpoints: Endpoints) -> None:
        self._site = site
        self._endpoints = endpoints
        self._storage = site.storage

    # Login

    def authenticate(self, request: Any, _: User) -> Any:
        who = self._site.sign_in(request.type, request.client_id, request.client_secret)
        return gateway.AuthenticateResponse(token=self._site.tokens.mint(who), user=who.user.message())

    def who_am_i(self, request: Any, _: User) -> Any:
        user = self._site.tokens.user(request.token)
        if not user:
            raise Refused("UNAUTHENTICATED", "error dismantling token")
        return gateway.WhoAmIResponse(user=user.message())

    def get_home(self, _: Any, __: User) -> Any:
        return provider.GetHomeResponse(path=self._site.behaviour.mount)

    def create_home(self, _: Any, user: User) -> Any:
        if not self._site.behaviour.home_per_user:
            raise Refused("INTERNAL", "error creating home")
        self._site.namespace.make_home(user)
        return provider.CreateHomeResponse()

    # Application passwords

    def generate_app_password(self, request: Any, user: User) -> Any:
        made = self._site.app_passwords.generate(user.user_id, request)
        return applications.GenerateAppPasswordResponse(app_password=made)

    def list_app_passwords(self, _: Any, user: User) -> Any:
        return applications.ListAppPasswordsResponse(app_passwords=self._site.app_passwords.of(user.user_id))

    def invalidate_app_password(self, request: Any, user: User) -> Any:
        """By the hash that the list shows. The password itself is nothing that we know."""
        if not self._site.app_passwords.invalidate(user.user_id, request.password):
            raise Refused("INTERNAL", "error invalidating app password")
        return applications.InvalidateAppPasswordResponse()

    def get_app_password(self, request: Any, _: User) -> Any:
        found = self._site.app_passwords.find(request.user, request.password)
        if not found:
            raise Refused("INTERNAL", "error getting app password via username/password")
        return applications.GetAppPasswordResponse(app_password=found)

    # Namespace

    def stat(self, request: Any, user: User) -> Any:
        reference = reference_of(request)
        if self._site.namespace.is_above_mount(reference):
            folder = storage.RESOURCE_TYPE_CONTAINER
            return provider.StatResponse(info=storage.ResourceInfo(type=folder, path=reference.path))
        return provider.StatResponse(
            info=self._storage.stat(self._place(request, user), user, request.arbitrary_metadata_keys)
        )

    def list_container(self, request: Any, user: User) -> Any:
        reference = reference_of(request)
        if self._site.namespace.is_above_mount(reference):
            mount = storage.ResourceInfo(type=storage.RESOURCE_TYPE_CONTAINER, path=self._site.behaviour.mount)
            return provider.ListContainerResponse(infos=[mount])
        found = self._storage.list(self._place(request, user), user, request.arbitrary_metadata_keys)
        reply = provider.ListContainerResponse(infos=found)
        if is_relative(reference):
            self._leave_out_mount(reply)
        if reply.ByteSize() > LIST_BYTES:
            told = f"grpc: received message larger than max ({reply.ByteSize()} vs. {LIST_BYTES})"
            raise Aborted("RESOURCE_EXHAUSTED", told)
        return reply

    def list_container_stream(self, _: Any, __: User) -> Any:
        raise Aborted("UNKNOWN", "error: not supported: Unimplemented")

    def create_container(self, request: Any, user: User) -> Any:
        self._storage.make_folder(self._place(request, user))
        return provider.CreateContainerResponse()

    def touch_file(self, request: Any, user: User) -> Any:
        self._storage.touch(self._place(request, user))
        return provider.TouchFileResponse()

    def create_symlink(self, _: Any, __: User) -> Any:
        raise Refused("UNIMPLEMENTED", "CreateSymlink not implemented")

    def delete(self, request: Any, user: User) -> Any:
        if self._site.namespace.is_above_mount(reference_of(request)):
            raise Refused("INTERNAL", "error unwrapping path")
        self._storage.delete(self._place(request, user))
        return provider.DeleteResponse()

    def move(self, request: Any, user: User) -> Any:
        self._storage.move(self._place(request, user, "source"), self._place(request, user, "destination"))
        return provider.MoveResponse()

    def get_path(self, request: Any, user: User) -> Any:
        place = self._site.namespace.resolve(storage.Reference(resource_id=request.resource_id), user)
        return provider.GetPathResponse(path=self._site.namespace.path(place))

    def get_quota(self, request: Any, user: User) -> Any:
        total, used = self._storage.quota(self._place(request, user))
        return provider.GetQuotaResponse(total_bytes=total, used_bytes=used)

    def set_arbitrary_metadata(self, request: Any, user: User) -> Any:
        self._storage.set_metadata(self._place(request, user), request.arbitrary_metadata.metadata)
        return provider.SetArbitraryMetadataResponse()

    def unset_arbitrary_metadata(self, request: Any, user: User) -> Any:
        self._storage.unset_metadata(self._place(request, user), request.arbitrary_metadata_keys)
        return provider.UnsetArbitraryMetadataResponse()

    # Transfers

    def initiate_file_upload(self, request: Any, user: User) -> Any:
        announced = request.opaque.map["Upload-Length"].value or b"0"
        try:
            length = int(announced)
        except ValueError as error:
            raise Refused("INTERNAL", "error parsing upload length") from error
        if abs(length) > MAX_LENGTH:
            raise Refused("INTERNAL", "error parsing upload length")
        protocols = self._endpoints.for_upload(reference_of(request), user, request, length)
        return gateway.InitiateFileUploadResponse(protocols=protocols)

    def initiate_file_download(self, request: Any, user: User) -> Any:
        protocols = self._endpoints.for_download(reference_of(request), user)
        return gateway.InitiateFileDownloadResponse(protocols=protocols)

    # Locks

    def set_lock(self, request: Any, user: User) -> Any:
        self._site.locks.set(self._lockable(request, user), request.lock)
        return provider.SetLockResponse()

    def get_lock(self, request: Any, user: User) -> Any:
        place = self._place(request, user)
        self._refuse_without_locks()
        return provider.GetLockResponse(lock=self._site.locks.get(place.key))

    def refresh_lock(self, request: Any, user: User) -> Any:
        self._site.locks.refresh(self._lockable(request, user), request.lock, request.existing_lock_id)
        return provider.RefreshLockResponse()

    def unlock(self, request: Any, user: User) -> Any:
        self._site.locks.unlock(self._lockable(request, user), request.lock)
        return provider.UnlockResponse()

    # What they share

    def _place(self, request: Any, user: User, field: str = "ref") -> Place:
        return self._site.namespace.resolve(reference_of(request, field), user)

    def _lockable(self, request: Any, user: User) -> str:
        place = self._place(request, user)
        self._refuse_without_locks()
        if not place.local.is_file():
            raise Refused("INTERNAL", "error opening the file to lock")
        return place.key

    def _refuse_without_locks(self) -> None:
        if not self._site.behaviour.has_locks:
            raise Refused("INTERNAL", "error: locks are not supported")

    def _leave_out_mount(self, reply: Any) -> None:
        """Reva names entries from the mount on when it is asked by a relative reference."""
        mount = self._site.behaviour.mount.rstrip("/")
        for info in reply.infos:
            info.path = info.path[len(mount) :]


class Method(NamedTuple):
    request: Any
    reply: Any
    call: Callable[[Any, Any, Any], Any]


METHODS = {
    "Authenticate": Method(gateway.AuthenticateRequest, gateway.AuthenticateResponse, Service.authenticate),
    "WhoAmI": Method(gateway.WhoAmIRequest, gateway.WhoAmIResponse, Service.who_am_i),
    "GetQuota": Method(gateway.GetQuotaRequest, provider.GetQuotaResponse, Service.get_quota),
    "InitiateFileUpload": Method(
        provider.InitiateFileUploadRequest, gateway.InitiateFileUploadResponse, Service.initiate_file_upload
    ),
    "InitiateFileDownload": Method(
        provider.InitiateFileDownloadRequest, gateway.InitiateFileDownloadResponse, Service.initiate_file_download
    ),
    **{
        name: Method(getattr(applications, f"{name}Request"), getattr(applications, f"{name}Response"), call)
        for name, call in {
            "GenerateAppPassword": Service.generate_app_password,
            "ListAppPasswords": Service.list_app_passwords,
            "InvalidateAppPassword": Service.invalidate_app_password,
            "GetAppPassword": Service.get_app_password,
        }.items()
    },
    **{
        name: Method(getattr(provider, f"{name}Request"), getattr(provider, f"{name}Response"), call)
        for name, call in {
            "GetHome": Service.get_home,
            "CreateHome": Service.create_home,
            "Stat": Service.stat,
            "ListContainer": Service.list_container,
            "ListContainerStream": Service.list_container_stream,
            "CreateContainer": Service.create_container,
            "TouchFile": Service.touch_file,
            "CreateSymlink": Service.create_symlink,
            "Delete": Service.delete,
            "Move": Service.move,
            "GetPath": Service.get_path,
            "SetArbitraryMetadata": Service.set_arbitrary_metadata,
            "UnsetArbitraryMetadata": Service.unset_arbitrary_metadata,
            "SetLock": Service.set_lock,
            "GetLock": Service.get_lock,
            "RefreshLock": Service.refresh_lock,
            "Unlock": Service.unlock,
        }.items()
    },
}
