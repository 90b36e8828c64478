"""The WebDAV door of the second line: what it does otherwise. What is marked !! loses data, or says what is not so.

It opens on the user's own space, and on each space by its id. Paths are those within the space.
"""

from __future__ import annotations

import io
import posixpath
import re
import uuid
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway import properties, webdav
from rucio_cs3.gateway.checks import NotFinished
from rucio_cs3.gateway.davrequest import content_headers, failed, told_of
from rucio_cs3.gateway.exchange import Answered
from rucio_cs3.gateway.namespace import STORAGE_ID
from rucio_cs3.gateway.properties import DAV, OC, is_folder
from rucio_cs3.gateway.spaceservice import SPACE_METHODS
from rucio_cs3.gateway.status import Refused
from rucio_cs3.gateway.uploads import CHUNK_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rucio_cs3.gateway.davrequest import Door
    from rucio_cs3.gateway.properties import Name
    from rucio_cs3.gateway.spaces import Space, Spaces
    from rucio_cs3.gateway.users import User

DOORS = re.compile(
    r"(?P<base>(?:/remote\.php)?/(?:webdav|dav/files(?:/(?P<user>[^/]+))?|dav/spaces/(?P<space>[^/]+)))(?P<below>/.*)?",
    re.DOTALL,
)
NAME_MAX = 255
TUS = {
    "Tus-Resumable": "1.0.0",
    "Tus-Extension": "creation,creation-with-upload,checksum,expiration",
}  # !! not all true
OWNER = re.compile(rb"<(?:\w+:)?owner>(.*?)</(?:\w+:)?owner>", re.DOTALL)
LOCKED = f"""{properties.XML}
<d:prop xmlns:d="DAV:" xmlns:oc="{OC}"><d:lockdiscovery><d:activelock><d:locktype><d:write/></d:locktype>\
<d:lockscope><d:exclusive/></d:lockscope><d:depth>infinity</d:depth><d:owner>{{owner}}</d:owner>\
<d:timeout>Infinite</d:timeout><d:locktoken><d:href>{{token}}</d:href></d:locktoken></d:activelock></d:lockdiscovery>\
</d:prop>"""
# Said of everything, in this order; what nobody has is told to be missing.
ALL = [
    *((OC, name) for name in ("id", "fileid", "spaceid", "file-parent", "name")),
    (DAV, "displayname"),
    (DAV, "getetag"),
    (OC, "permissions"),
    (DAV, "resourcetype"),
    (OC, "size"),
    *((DAV, name) for name in ("getcontentlength", "getcontenttype", "getlastmodified")),
    *((OC, name) for name in ("checksums", "tags", "favorite")),
]
MEDIA = [(OC, name) for name in ("audio", "location", "image", "photo")]


def find(raw_path: str) -> Door | None:
    return webdav.find(raw_path, DOORS)


class SpaceDav(webdav.WebDav):
    _calls = SPACE_METHODS
    _copy_depths = ("infinity", "1", "0")  # of which the second is as the third

    def serve(self) -> None:
        if self._handler.command == "OPTIONS":
            self._handler.always |= TUS
        super().serve()

    @cached_property
    def _space(self) -> Space:
        """Raises Answered for a door that is not of the user."""
        spaces = cast("Spaces", self._site.namespace)
        if self._door.user not in ("", self._user.username):
            raise Answered(HTTPStatus.NOT_FOUND)
        wanted = self._door.space or f"{STORAGE_ID}${spaces.personal(self._user).id}"
        for space in spaces.of(self._user):
            if wanted.removeprefix(f"{STORAGE_ID}$") in (space.id, f"{space.id}!{space.id}"):
                return space
        raise Answered(HTTPStatus.NOT_FOUND)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._path = self._door.below.rstrip("/") or "/"

    def _cs3_path(self) -> str:
        return posixpath.join(self._space.path, self._path[1:]).rstrip("/")

    def _ref(self, path: str) -> Any:
        root = storage.ResourceId(storage_id=STORAGE_ID, space_id=self._space.id, opaque_id=self._space.id)
        return storage.Reference(resource_id=root, path=f".{path}")

    def _stat(self, path: str) -> Any:
        info = super()._stat(path)
        info.path = path
        return info

    def _children(self, path: str) -> list[Any]:
        found = super()._children(path)
        for info in found:
            info.path = posixpath.join(path, info.path)
        return found

    def _check_name(self, path: str) -> None:
        super()._check_name(path)
        if len(posixpath.basename(path).encode()) > NAME_MAX:
            raise failed(400, "name validation failed: must be shorter than 255")

    # Reading

    def _told_depth(self) -> str:
        return super()._told_depth().lower()

    def _described(self, info: Any, depth: str, names: list[Name] | None) -> Iterator[str]:
        def stated(one: Any) -> properties.Stated:
            return _stated(one, names, self._user)

        if self._path == "/" and not self._door.space:
            info.id.storage_id, info.name = "", self._space.id  # !! half an id, at the top of a user's door
        infos = [info, *self._below(info, depth)]
        return properties.described(infos, info, self._door.url_path, stated, b"%%%02x")

    def head(self) -> None:
        """Of the whole, whatever range is asked for."""
        info = self._stat(self._path)
        headers = {**content_headers(info), "Accept-Ranges": "bytes", "Content-Type": info.mime_type}
        del headers["Content-Disposition"]
        self._handler.send_file(io.BytesIO(), info.size, headers, self._struck)

    def get(self) -> None:
        """No condition is passed on, and of a folder there is nothing."""
        info = self._stat(self._path)
        if is_folder(info):
            raise Answered(HTTPStatus.OK)
        del self._headers["If-None-Match"]
        self._handler.send(self._site.namespace.resolve(self._ref(self._path), self._user), info, self._struck)

    # Writing

    def put(self) -> None:
        """If-None-Match is ignored; checksums are not."""
        self._check_name(self._path)
        length, before = self._to_put()
        told = self._told_of_content()
        what = self._announce(self._path, length, told, if_match=self._headers.get("If-Match", ""))
        self._take(what, length)
        part = CHUNK_NAME.fullmatch(self._path)
        headers = told_of(self._stat(part["name"] if part else self._path))
        if "X-OC-Mtime" in told:
            headers["X-OC-Mtime"] = "accepted"
        self._done(HTTPStatus.NO_CONTENT if before else HTTPStatus.CREATED, headers)

    def _take(self, what: str, length: int) -> None:
        """No bytes are there already, by their announcement."""
        blocks = self._handler.blocks(self._struck)
        try:
            if length and not self._handler.receive(what, self._user, blocks, length):
                raise Answered(HTTPStatus.PARTIAL_CONTENT)
        except NotFinished as refused:
            if refused.code != "INVALID_ARGUMENT":
                raise
            raise failed(400, "The computed checksum does not match the one received from the client.") from refused

    def _told_of_content(self) -> dict[str, str]:
        """What the headers say of it, as an announcement has it."""
        told = {}
        for header, between in (("Upload-Checksum", " "), ("OC-Checksum", ":")):
            value = self._headers.get(header)
            if value and between not in value:
                raise Answered(HTTPStatus.BAD_REQUEST)
            if value:
                kind, _, found = value.partition(between)
                told["Upload-Checksum"] = f"{kind.lower()} {found}"
        if self._headers.get("X-OC-Mtime"):
            told["X-OC-Mtime"] = self._headers["X-OC-Mtime"]
        return told

    def delete(self) -> None:
        """!! The root of one's own space can be deleted, by the doors that do not name the space."""
        if self._path == "/" and self._door.space:
            raise failed(405, "deleting spaces via dav is not allowed")
        super().delete()

    def proppatch(self) -> None:
        """!! Of what is not there it answers 200."""
        body = self._body()
        try:
            patches = properties.patches(body)
        except properties.BadBody as error:
            raise failed(400, f"Error reading proppatch: {error}") from error
        if not self._look(self._path):
            raise Answered(HTTPStatus.OK, {"Content-Type": "text/xml; charset=utf-8"}, b"error: not found")
        self._done(HTTPStatus.MULTI_STATUS, webdav.XML_TYPE, self._patch(patches))

    def _make_way(self, target: str, *, overwrite: bool) -> int:
        """!! A Move onto itself loses the file. A Copy writes over what is there."""
        there = self._look(target)
        keeps = there and not is_folder(there) and self._handler.command == "COPY" and overwrite
        return HTTPStatus.NO_CONTENT if keeps else super()._make_way(target, overwrite=overwrite)

    def _target(self, path: str) -> str:
        """Through the same door only."""
        below = path.removeprefix(self._door.base)
        if below == path:
            raise Answered(HTTPStatus.BAD_REQUEST)
        way = posixpath.normpath(below.lstrip("/"))
        if way.split("/")[0] == "..":
            raise Answered(HTTPStatus.NOT_FOUND)
        return f"/{way}"

    # Locks

    def lock(self) -> None:
        """For ever, and whoever comes next is kept out; there is no way in with its token."""
        owner = OWNER.search(self._body())
        if not owner:
            raise failed(400, "webdav: invalid If header")
        token = f"urn:uuid:{uuid.uuid4()}"
        try:
            self._ask("SetLock", ref=self._ref(self._path), lock=_lock(token))
        except Refused as refused:
            raise Refused(*LOCK_ERRORS.get(refused.code, (refused.code, refused.message))) from refused
        body = LOCKED.format(owner=owner[1].decode(errors="replace"), token=token)
        headers = {"Content-Type": "application/xml; charset=utf-8", "Lock-Token": f"<{token}>"}
        self._done(HTTPStatus.OK, headers, body.encode())

    def unlock(self) -> None:
        told = self._headers.get("Lock-Token", "").strip("<>")
        if not told:
            raise Refused("INTERNAL", "unlock: error: bad request: missing lockid")
        self._ask("Unlock", ref=self._ref(self._path), lock=_lock(told))
        self._done(HTTPStatus.NO_CONTENT)

    def post(self) -> None:
        raise Answered(HTTPStatus.PRECONDITION_FAILED)


LOCK_ERRORS = {"FAILED_PRECONDITION": ("LOCKED", "webdav: locked"), "NOT_FOUND": ("INTERNAL", "set lock: not found")}


def _lock(token: str) -> Any:
    return storage.Lock(lock_id=token, type=storage.LOCK_TYPE_EXCL)


# Properties


def _file_parent(info: Any) -> str:
    space = properties.space_id(info)
    return f"{space}!{info.parent_id.opaque_id}" if info.parent_id.opaque_id else space


def _checksums(info: Any) -> str | None:
    if not info.HasField("checksum"):
        return None
    told = {"SHA1": info.checksum.sum}
    told |= {
        kind.upper(): info.opaque.map[kind].value.decode() for kind in ("md5", "adler32") if kind in info.opaque.map
    }
    return f"<oc:checksum>{' '.join(f'{kind}:{found}' for kind, found in told.items())}</oc:checksum>"


OWN: dict[Name, Callable[[Any], str | None]] = {
    (OC, "spaceid"): properties.space_id,
    (OC, "file-parent"): _file_parent,
    (OC, "name"): lambda info: properties.text(info.name),
    (OC, "permissions"): lambda info: "RDNVCKZP" if is_folder(info) else "RDNVWZP",
    (OC, "checksums"): _checksums,
    (OC, "tags"): lambda _: "",
}


def _stated(info: Any, names: list[Name] | None, user: User) -> properties.Stated:
    """The name is said when all is asked for, or it alone; as `displayname` only with all."""
    there, missing = [], []
    for name in [*ALL, *MEDIA] if names is None else names:
        if names is None and name == (OC, "size") and not is_folder(info):
            continue
        value = OWN[name](info) if name in OWN else properties.value_of(name, info, user)
        if names is None and name == (DAV, "displayname"):
            value = properties.text(info.name)
        if value is not None:
            there.append(properties.element(name, value))
        elif names is not None or name in MEDIA:
            missing.append(properties.element(name, ""))
    return [("200 OK", there), ("404 Not Found", missing)]
