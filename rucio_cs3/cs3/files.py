"""Files and folders: the namespace calls of a gateway."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from cs3.gateway.v1beta1 import gateway_api_pb2 as gateway
from cs3.storage.provider.v1beta1 import provider_api_pb2 as provider
from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3 import deadline, observe
from rucio_cs3.cs3 import wire
from rucio_cs3.cs3.swap import replace
from rucio_cs3.errors import (
    AlreadyExists,
    Cs3Error,
    InvalidRequest,
    IsDirectory,
    NotDirectory,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    Processing,
    ServerError,
)
from rucio_cs3.model import Quota, Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rucio_cs3.cs3.channel import Channel
    from rucio_cs3.model import Brief, Info, ResourceId, Target

T = TypeVar("T")
ROOT_STAYS = "refusing to delete what may be the root of a storage"  # the second line would lose the whole space
A_FILE = "a file stands where a folder is meant"
FIRST_LOOK, LATER_LOOKS = 0.1, 2.0  # seconds between looks at what is being processed: doubled up to the last


@dataclass(frozen=True)
class Endpoint:
    """Where the bytes go to or come from. The address can be a secret in itself: who knows it may use it."""

    protocol: str
    url: str = field(repr=False)
    token: str = field(repr=False)


class Files:
    """Every `target` is an absolute path, a resource id, an (id, path below it) pair, a Ref or an Info."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def stat(self, target: Target, *, metadata: Iterable[str] = ()) -> Info:
        """What is there, with at least the `metadata` that is named.

        Raises:
            NotFound: also, on some servers, when the token is bad or the storage is down: see rucio_cs3.root.
            NotDirectory: what should be a folder above it is a file. Other servers say NotFound to that.
        """
        ref = Ref.of(target)
        try:
            return self._stat(ref, metadata)
        except ServerError as error:
            self._refuse_below_a_file(ref.ancestors(), error)
            raise

    def _stat(self, ref: Ref, metadata: Iterable[str] = ()) -> Info:
        keys = [*metadata, "*"] if metadata else []  # without the star the second line leaves the checksums out
        request = provider.StatRequest(ref=wire.reference(ref), arbitrary_metadata_keys=keys)
        return wire.info(self._channel.call("Stat", request, path=str(ref)).info)

    def _refuse_below_a_file(self, places: Iterable[Ref], error: ServerError) -> None:
        """Below a file some servers only say that they failed, so we look what is above, the lowest first."""
        for place in places if error.status == "INTERNAL" else ():
            try:
                info = self._stat(place)
            except (NotFound, ServerError):  # it is below the file, too
                continue
            except Cs3Error:
                return
            if info.is_file:
                raise NotDirectory(A_FILE, path=str(place)) from error
            return

    def exists(self, target: Target) -> bool:
        """False for every NotFound, also one that hides a lost permission: rucio_cs3.root knows when to believe it."""
        try:
            self.stat(target)
        except NotFound:
            return False
        return True

    def list(self, target: Target, *, page_size: int = 1000) -> Iterator[Info]:
        """The entries of a folder, fetched as they are consumed."""
        for page in self.pages(target, page_size=page_size):
            yield from page

    def pages(self, target: Target, *, page_size: int = 1000) -> Iterator[Sequence[Info]]:
        """The entries of a folder in pages of `page_size`, whether or not the server pages its answers.

        Raises:
            ListingTooLarge: a server without pages cannot send more than its message limit.
        """
        return self._pages(Ref.of(target), wire.info, page_size)

    def briefs(self, target: Target, *, page_size: int = 1000) -> Iterator[Sequence[Brief]]:
        """The same, with little of what is known of each entry."""
        return self._pages(Ref.of(target), wire.brief, page_size)

    def _pages(self, ref: Ref, read: Callable[[Any], T], page_size: int) -> Iterator[Sequence[T]]:
        token = ""
        while True:
            request = provider.ListContainerRequest(ref=wire.reference(ref), page_size=page_size, page_token=token)
            reply = self._channel.call("ListContainer", request, path=str(ref))
            for start in range(0, len(reply.infos), page_size):
                yield [read(entry) for entry in reply.infos[start : start + page_size]]
            if not reply.next_page_token:
                return
            if reply.next_page_token == token:  # what is missing from a listing is taken for gone
                raise ServerError("the gateway sends the same page of the listing again", path=str(ref))
            token = reply.next_page_token

    def mkdir(self, target: Target, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Raises NotFound when the parent is missing, AlreadyExists, or NotDirectory when a file is in the way."""
        ref = Ref.of(target)
        try:
            self._create_container(ref)
        except AlreadyExists:
            if not exist_ok:
                raise
            if not self.stat(ref).is_directory:
                raise NotDirectory(A_FILE, path=str(ref)) from None
        except NotFound:
            if not parents or ref.is_root:
                raise
            self.mkdir(ref.parent, parents=True, exist_ok=True)
            self.mkdir(ref, exist_ok=exist_ok)

    def _create_container(self, ref: Ref) -> None:
        request = provider.CreateContainerRequest(ref=wire.reference(ref))
        try:
            self._channel.call("CreateContainer", request, path=str(ref))
        except PreconditionFailed as error:  # the second line's word for a missing parent
            raise NotFound("its parent folder does not exist", path=str(ref), status=error.status) from error
        except (PermissionDenied, InvalidRequest) as error:  # what nobody may make can be there, as the top of a space
            if self._is_folder(ref):
                raise AlreadyExists("it is there already", path=str(ref), status=error.status) from error
            raise
        except ServerError as error:
            self._refuse_below_a_file((ref, *ref.ancestors()), error)
            raise

    def _is_folder(self, ref: Ref) -> bool:
        """False also when nobody says so."""
        try:
            return self.stat(ref).is_directory
        except Cs3Error:
            return False

    def touch(self, target: Target) -> None:
        """Make an empty file. Raises AlreadyExists, except where the storage takes it as done."""
        ref = Ref.of(target)
        self._channel.call("TouchFile", provider.TouchFileRequest(ref=wire.reference(ref)), path=str(ref))

    def move(self, source: Target, destination: Target, *, overwrite: bool = False) -> None:
        """Rename. Servers differ: one line overwrites without a word, the other never does, so we look first.

        Raises:
            NotFound: the source is missing.
            AlreadyExists: the destination is there and `overwrite` is not given.
            IsDirectory: the destination is a folder.
            InvalidRequest: a folder into itself, which hangs some servers and loses the tree.
        """
        old, new = Ref.of(source), Ref.of(destination)
        self._refuse_into_itself(old, new)
        if self.may_write(new, overwrite=overwrite):
            replace(self, old, new, self.stat(old))
        else:
            self.rename(old, new)

    def _refuse_into_itself(self, old: Ref, new: Ref) -> None:
        """By the paths where both are from the same place, else by the ids of what is above."""
        if old.id == new.id:
            inside = old.is_root or new.path == old.path or new.path.startswith(old.path.rstrip("/") + "/")
        else:
            moved = self.stat(old)
            inside = moved.is_directory and self.lies_in(new, moved.id)
        if inside:
            raise InvalidRequest(f"cannot be moved to {new}, which is itself or below it", path=str(old))

    def lies_in(self, target: Target, folder: ResourceId) -> bool:
        """Whether it is, or would be, in that folder, or is it itself: by the ids of what is above."""
        return any(info.id == folder for info in self._above(Ref.of(target)))

    def _above(self, ref: Ref) -> Iterator[Info]:
        """What is there, if anything, and all that it is in, as far as the storage tells."""
        for place in (ref, *ref.ancestors()):
            try:
                info = self.stat(place)
            except NotFound:
                continue
            yield info
            while info.parent:
                info = self.stat(info.parent)
                yield info
            if info.id.is_space:
                return

    def rename(self, old: Ref, new: Ref, known: Info | None = None) -> None:
        """The bare call, for who knows that nothing is at `new`, or else what `old` is.

        A failure does not mean that nothing happened: reva's local drivers move the file, trip over its attributes,
        and answer INTERNAL. So we look.
        """
        request = provider.MoveRequest(source=wire.reference(old), destination=wire.reference(new))
        try:
            with observe.phase("move"):
                self._channel.call("Move", request, path=f"{old} -> {new}")
        except (NotFound, AlreadyExists):
            raise
        except Cs3Error:
            if self.exists(old):
                raise
            there = self._at_last(old, new)
            if known and (there.size, there.mtime, there.etag) != (known.size, known.mtime, known.etag):
                raise

    def _at_last(self, old: Ref, new: Ref) -> Info:
        try:
            return self.stat(new)
        except NotFound as error:
            raise NotFound("it is not there to be moved", path=str(old), status=error.status) from error

    def may_write(self, ref: Ref, *, overwrite: bool) -> bool:
        """False for a free name, True when a file stands there that may go.

        Raises:
            IsDirectory: a folder stands there, or what else is no file.
            AlreadyExists: a file does, and `overwrite` is not given.
        """
        try:
            there = self.stat(ref)
        except NotFound:
            return False
        if not there.is_file:
            raise IsDirectory(f"a {there.kind} stands where a file is meant", path=str(ref))
        if not overwrite:
            raise AlreadyExists(
                "it is there already",
                path=str(ref),
                hint="remove it first, or ask to overwrite (--overwrite, overwrite=True)",
            )
        return True

    def delete(self, target: Target, *, recursive: bool = False) -> None:
        """Delete a file, or with `recursive` a folder and all in it, but never the top of the tree or of a space.

        A folder has to be named by path, or by an id and a path: an id alone may be that of a root.

        Raises:
            IsDirectory: it is a folder, and `recursive` is not given.
        """
        ref = Ref.of(target)
        if ref.path == "/" or (ref.id is not None and ref.is_root and recursive):
            raise InvalidRequest(ROOT_STAYS, path=str(ref))
        info = self.stat(ref)
        if info.id.is_space:
            raise InvalidRequest(ROOT_STAYS, path=str(ref))
        if not (recursive or info.is_file):
            raise IsDirectory(f"it is a {info.kind}, not a file", path=str(ref))
        self._channel.call("Delete", provider.DeleteRequest(ref=wire.reference(ref)), path=str(ref))

    def discard(self, ref: Ref) -> None:
        """Delete what nobody wants as soon as the storage, which may have checks of its own to finish, lets it go."""
        pause = FIRST_LOOK
        while True:
            try:
                self.delete(ref)
            except Processing:
                deadline.sleep(pause)
                pause = min(2 * pause, LATER_LOOKS)
            else:
                return

    def set_xattrs(self, target: Target, values: Mapping[str, str]) -> None:
        """Attach key-value pairs. Some drivers key them by path: they outlive the file and stick to the next one."""
        ref = Ref.of(target)
        metadata = storage.ArbitraryMetadata(metadata=dict(values))
        request = provider.SetArbitraryMetadataRequest(ref=wire.reference(ref), arbitrary_metadata=metadata)
        self._channel.call("SetArbitraryMetadata", request, path=str(ref))

    def get_xattrs(self, target: Target, *keys: str) -> dict[str, str]:
        """All of them, or those named that are set."""
        found = self.stat(target, metadata=keys or ("*",)).metadata
        return {key: value for key, value in found.items() if not keys or key in keys}

    def unset_xattrs(self, target: Target, *keys: str) -> None:
        ref = Ref.of(target)
        request = provider.UnsetArbitraryMetadataRequest(ref=wire.reference(ref), arbitrary_metadata_keys=list(keys))
        self._channel.call("UnsetArbitraryMetadata", request, path=str(ref))

    def home(self) -> str:
        """The path of the user's own place."""
        return str(self._channel.call("GetHome", provider.GetHomeRequest()).path)

    def quota(self, target: Target) -> Quota:
        ref = Ref.of(target)
        reply = self._channel.call("GetQuota", gateway.GetQuotaRequest(ref=wire.reference(ref)), path=str(ref))
        return Quota(reply.total_bytes, reply.used_bytes)

    def initiate_upload(
        self,
        target: Target,
        size: int,
        *,
        opaque: Mapping[str, str] | None = None,
    ) -> Sequence[Endpoint]:
        """Open an upload session. The length is always sent: without it some servers commit an empty file at once."""
        ref = Ref.of(target)
        extra = wire.opaque({"Upload-Length": str(size), **(opaque or {})})
        request = provider.InitiateFileUploadRequest(ref=wire.reference(ref), opaque=extra)
        with observe.phase("initiate"):
            reply = self._channel.call("InitiateFileUpload", request, path=str(ref))
        return [Endpoint(p.protocol, p.upload_endpoint, p.token) for p in reply.protocols]

    def initiate_download(self, target: Target) -> Sequence[Endpoint]:
        """Where to read from. Servers answer for missing files and folders too."""
        ref = Ref.of(target)
        request = provider.InitiateFileDownloadRequest(ref=wire.reference(ref))
        with observe.phase("initiate"):
            reply = self._channel.call("InitiateFileDownload", request, path=str(ref))
        return [Endpoint(p.protocol, p.download_endpoint, p.token) for p in reply.protocols]
