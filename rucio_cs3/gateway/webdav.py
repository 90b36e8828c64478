"""The WebDAV door, as Reva's own: a client of the CS3 calls, which adds checks of its own, and mistakes of its own.

It opens on the place where the storage is mounted. What is marked !! loses data, or says that it did what it did not.
"""

from __future__ import annotations

import contextlib
import io
import posixpath
import re
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from cs3.storage.provider.v1beta1 import resources_pb2 as storage
from cs3.types.v1beta1 import types_pb2 as types

from rucio_cs3.gateway import properties
from rucio_cs3.gateway.callers import identify
from rucio_cs3.gateway.exchange import BLOCK, Answered
from rucio_cs3.gateway.faults import Struck
from rucio_cs3.gateway.properties import is_folder
from rucio_cs3.gateway.service import METHODS as CALLS
from rucio_cs3.gateway.status import Refused
from rucio_cs3.gateway.uploads import CHUNK_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rucio_cs3.gateway.data import DataHandler

    Headers = dict[str, str]

DOORS = re.compile(r"(?P<base>(?:/remote\.php)?/(?:webdav|dav/files(?:/[^/]+)?))(?P<below>/.*)?", re.DOTALL)
MAX_BODY = 1 << 20  # of XML
FORBIDDEN_IN_NAMES = set("\f\r\n\\")
XML_TYPE = {"Content-Type": "application/xml; charset=utf-8", "DAV": "1, 3, extended-mkcol"}
ALLOWED = "OPTIONS, LOCK, GET, HEAD, POST, DELETE, PROPPATCH, COPY, MOVE, UNLOCK, PROPFIND, MKCOL, REPORT, SEARCH, PUT"
LOCK_TOKEN = "opaquelocktoken:00000000-0000-0000-0000-000000000000"  # noqa: S105 - everybody's
LOCKED = f"""{properties.XML}
<prop xmlns="DAV:"><lockdiscovery><activelock><allprop/><timeout>Second-604800</timeout><depth>Infinity</depth>\
<locktoken><href>{LOCK_TOKEN}</href></locktoken></activelock></lockdiscovery></prop>"""
EXCEPTIONS = {
    400: "BadRequest",
    403: "PermissionDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "NotFound",
    412: "PreconditionFailed",
}


class Door(NamedTuple):
    """`url_path` is what was asked for, `base` what of it names the door, `below` what comes after it."""

    url_path: str
    base: str
    below: str


def find(raw_path: str) -> Door | None:
    """The door that a URL's path leads through, after all `..` in it; None when it leads elsewhere."""
    try:
        url_path = unquote(raw_path, errors="strict")
    except UnicodeDecodeError:
        url_path = unquote(raw_path, errors="surrogateescape")
    found = DOORS.fullmatch(posixpath.normpath(url_path).replace("//", "/", 1))
    return Door(url_path, found["base"], found["below"] or "/") if found else None


class WebDav:
    """One request through the door. It ends by raising Answered or Refused, or with a body that was sent."""

    def __init__(self, handler: DataHandler, door: Door) -> None:
        self._handler = handler
        self._site = handler.site
        self._door = door
        self._headers = handler.headers
        self._path = posixpath.join(self._site.behaviour.mount, door.below[1:])

    def serve(self) -> None:
        if self._handler.command == "OPTIONS":  # before anybody asks who it is
            raise Answered(HTTPStatus.NO_CONTENT, {"Allow": ALLOWED, "DAV": "1, 2", "MS-Author-Via": "DAV"})
        self._user = identify(self._handler, self._site).user
        if any("\ud800" <= letter <= "\udfff" for letter in self._door.url_path):
            raise Refused("INTERNAL", "no text")
        self._struck = self._handler.strike(self._path.rstrip("/") or "/")
        method = METHODS.get(self._handler.command)
        if not method:
            raise Answered(HTTPStatus.NOT_FOUND)
        method(self)

    # Reading

    def propfind(self) -> None:
        try:
            names = properties.wanted(self._body())
        except properties.BadBody as error:
            raise Answered(HTTPStatus.BAD_REQUEST) from error
        depth = self._headers.get("Depth", "1")
        if depth not in ("0", "1", "infinity"):
            raise failed(400, f"Invalid Depth header value: {depth}")
        info = self._found(self._path)
        folder, url_path, infos = info, self._door.url_path, [info]
        if is_folder(info):
            infos += {"0": self._nothing, "1": self._children, "infinity": self._tree}[depth](info.path)
        elif depth != "0":  # the file comes twice
            folder, url_path = self._found(posixpath.dirname(info.path)), posixpath.dirname(url_path)
            infos = [info, info]
        pieces = properties.described(infos, folder, url_path, names, self._user)
        body = "".join(pieces).encode()
        self._handler.send_file(io.BytesIO(body), len(body), XML_TYPE, self._struck, code=HTTPStatus.MULTI_STATUS)

    def _nothing(self, _: str) -> list[Any]:
        return []

    def _children(self, path: str) -> list[Any]:
        return list(self._ask("ListContainer", ref=_ref(path)).infos)

    def _tree(self, path: str) -> list[Any]:
        found, folders = [], [path]
        while folders:
            children = self._children(folders.pop())
            found += children
            folders += [child.path for child in reversed(children) if is_folder(child)]
        return found

    def head(self) -> None:
        info = self._stat(self._path)
        headers = {**_identity(info), "Content-Type": info.mime_type, "Last-Modified": _http_date(info)}
        checksum = properties.checksum(info)
        if checksum:
            headers |= {"OC-Checksum": ":".join(checksum), "Digest": f"{checksum[0].lower()}={checksum[1]}"}
        if not is_folder(info):
            headers["Accept-Ranges"] = "bytes"  # although they are never served
        self._handler.send_file(io.BytesIO(), info.size, headers, self._struck)

    def get(self) -> None:
        info = self._stat(self._path)
        if is_folder(info):
            raise Answered(HTTPStatus.NOT_IMPLEMENTED)
        self._site.in_place.refuse_broken(self._user)
        if self._handler.refuses_range(info.size) is not None:
            raise Answered(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        name = posixpath.basename(self._path)
        plain = re.sub("[\r\n]", " ", name).encode().decode("latin-1")
        headers = {
            **_identity(info),
            "Content-Type": info.mime_type,
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}; filename=\"{plain}\"",
            "Last-Modified": _http_date(info),
        }
        with self._opened(self._path) as file:
            self._handler.send_file(file, info.size, headers, self._struck)

    # Writing

    def put(self) -> None:
        """!! Neither lengths nor checksums nor If-None-Match are looked at."""
        if self._headers.get("Content-Range"):
            raise Answered(HTTPStatus.NOT_IMPLEMENTED)
        length = self._told_length()
        before = self._look(self._path)
        if before and is_folder(before):
            raise Answered(HTTPStatus.CONFLICT)
        if before and self._headers.get("If-Match", before.etag) != before.etag:
            raise Answered(HTTPStatus.PRECONDITION_FAILED)
        for header, between in (("Upload-Checksum", " "), ("OC-Checksum", ":")):
            if self._headers.get(header) and between not in self._headers[header]:
                raise Answered(HTTPStatus.BAD_REQUEST)
        code = self._store(self._path, self._handler.blocks(self._struck), length)
        if code != HTTPStatus.OK:
            raise Answered(code)
        part = CHUNK_NAME.fullmatch(self._path)
        after = self._stat(part["name"] if part else self._path)
        headers = {**_identity(after), "Content-Type": after.mime_type, "Last-Modified": _http_date(after)}
        if self._headers.get("X-OC-Mtime"):
            headers["X-OC-Mtime"] = "accepted"  # !! and forgotten
        self._done(HTTPStatus.NO_CONTENT if before else HTTPStatus.CREATED, headers)

    def mkcol(self) -> None:
        _check_name(self._path)
        if self._body():
            raise Answered(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if not self._look(posixpath.dirname(self._path)):
            raise failed(409, "Parent node does not exist")
        if self._look(self._path):
            raise failed(405, "The resource you tried to create already exists")
        self._ask("CreateContainer", ref=_ref(self._path))
        self._done(HTTPStatus.CREATED)

    def delete(self) -> None:
        try:
            self._ask("Delete", ref=_ref(self._path))
        except Refused as refused:
            if refused.code == "NOT_FOUND":
                raise failed(404, f"Resource {self._path} not found") from refused
            if refused.message == "can't delete mount path":
                raise failed(403, refused.message) from refused
            raise
        self._done(HTTPStatus.NO_CONTENT)

    def move(self) -> None:
        """!! What is there is deleted first, so a Move that fails has lost it; onto itself, that is the file."""
        target = self._destination()
        overwrite = self._overwrite()
        self._found(self._path)
        code = self._make_way(target, overwrite=overwrite)
        self._ask("Move", source=_ref(self._path), destination=_ref(target))
        info = self._stat(target)
        old_id = f"{info.id.storage_id}!{info.id.opaque_id}"
        self._done(code, {**_identity(info), "Content-Type": info.mime_type, "OC-FileId": old_id})

    def copy(self) -> None:
        """Within the site. A copy from or to another one would come with other headers, or with a site's address."""
        target = self._destination()
        overwrite = self._overwrite()
        depth = self._headers.get("Depth", "infinity")
        if depth not in ("infinity", "0"):
            raise failed(400, f"Depth header is set to incorrect value {depth}")
        source = self._found(self._path)
        code = self._make_way(target, overwrite=overwrite)
        self._copy_to(source, target, deep=depth == "infinity")
        self._done(code)

    def _copy_to(self, source: Any, target: str, *, deep: bool) -> None:
        if is_folder(source):
            try:
                self._ask("CreateContainer", ref=_ref(target))
            except Refused:
                return  # !! and nobody is told
            for child in self._children(source.path) if deep else ():
                self._copy_to(child, posixpath.join(target, posixpath.basename(child.path)), deep=deep)
            return
        what = self._announce(target, source.size)
        with self._opened(source.path) as file, contextlib.suppress(Refused):  # !! as above
            self._handler.receive(what, self._user, iter(lambda: file.read(BLOCK), b""), source.size)

    def _make_way(self, target: str, *, overwrite: bool) -> int:
        """Delete what is at the target; the code of a success. A new target needs a folder to be in."""
        try:
            there = self._look(target)
        except Refused as refused:  # !! nothing is done, and the answer is that of the source, which was found
            raise Answered(HTTPStatus.OK) from refused
        if there and not overwrite:
            raise failed(412, f"Could not overwrite Resource {target}")
        if there:
            self._ask("Delete", ref=_ref(target))
            return HTTPStatus.NO_CONTENT
        if not self._look(posixpath.dirname(target)):
            raise Answered(HTTPStatus.CONFLICT)
        return HTTPStatus.CREATED

    def proppatch(self) -> None:
        try:
            patches = properties.patches(self._body())
        except properties.BadBody as error:
            raise failed(400, f"Error reading proppatch: {error}") from error
        info = self._found(self._path)
        for patch in patches:
            if patch.value is None:
                self._ask("UnsetArbitraryMetadata", ref=_ref(self._path), arbitrary_metadata_keys=[patch.key])
            else:
                kept = storage.ArbitraryMetadata(metadata={patch.key: patch.value})
                self._ask("SetArbitraryMetadata", ref=_ref(self._path), arbitrary_metadata=kept)
        body = properties.patched(properties.href_of(info, info, self._door.url_path), patches)
        self._done(HTTPStatus.OK, XML_TYPE, body.encode())

    def lock(self) -> None:
        """Granted to everybody, and kept nowhere."""
        headers = {"Content-Type": 'text/xml; charset="utf-8"', "Lock-Token": LOCK_TOKEN}
        self._done(HTTPStatus.OK, headers, LOCKED.encode())

    def not_implemented(self) -> None:
        raise Answered(HTTPStatus.NOT_IMPLEMENTED)

    # What they share

    def _done(self, code: int, headers: Headers | None = None, body: bytes = b"") -> None:
        self._handler.done(self._struck)
        raise Answered(code, headers, body)

    def _ask(self, name: str, **fields: Any) -> Any:
        """A CS3 call in the caller's name. Whoever came in may do everything, so nothing is asked of scopes here."""
        call = CALLS[name]
        return call.call(self._handler.service, call.request(**fields), self._user)

    def _stat(self, path: str) -> Any:
        return self._ask("Stat", ref=_ref(path)).info

    def _look(self, path: str) -> Any:
        """What is there, or None."""
        try:
            return self._stat(path)
        except Refused as refused:
            if refused.code == "NOT_FOUND":
                return None
            raise

    def _found(self, path: str) -> Any:
        info = self._look(path)
        if info is None:
            raise failed(404, f"Resource {path} not found")
        return info

    def _opened(self, path: str) -> BinaryIO:
        """For reading; that it has gone since it was looked at is an error of the server."""
        try:
            return self._site.storage.open(self._site.namespace.resolve(_ref(path), self._user))
        except Refused as refused:
            raise Refused("INTERNAL", refused.message) from refused

    def _announce(self, path: str, length: int) -> str:
        opaque = types.Opaque(map={"Upload-Length": types.OpaqueEntry(decoder="plain", value=b"%d" % length)})
        reply = self._ask("InitiateFileUpload", ref=_ref(path), opaque=opaque)
        return self._handler.endpoints.upload_target(list(reply.protocols))

    def _store(self, path: str, blocks: Iterator[bytes], length: int) -> int:
        return self._handler.receive(self._announce(path, length), self._user, blocks, length)

    def _told_length(self) -> int:
        told = self._headers.get("Content-Length") or self._headers.get("Upload-Length") or ""
        if not re.fullmatch(r"[+-]?\d+", told):
            raise Answered(HTTPStatus.BAD_REQUEST)
        return int(told)

    def _body(self) -> bytes:
        """What XML there is. A stall or a cut strikes what is answered, or an upload, and not this."""
        body = b""
        for block in self._handler.blocks(Struck(self._site.faults, [])):
            body += block
            if len(body) > MAX_BODY:
                raise Answered(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return body

    def _overwrite(self) -> bool:
        told = self._headers.get("Overwrite", "T").upper() or "T"
        if told not in ("T", "F"):
            raise failed(400, f"Overwrite header is set to incorrect value {told}")
        return bool(told == "T")

    def _destination(self) -> str:
        """!! The path of the URL counts, and neither its host, nor whether it leads through the same door."""
        told = self._headers.get("Destination", "")
        try:
            url = urlsplit(told)
            path = unquote(url.path, errors="strict")
        except (ValueError, UnicodeDecodeError) as error:
            raise Answered(HTTPStatus.BAD_REQUEST) from error
        if not (url.scheme or path.startswith("/")):
            raise Answered(HTTPStatus.BAD_REQUEST)
        below = path.removeprefix(self._door.base)
        target = posixpath.normpath(posixpath.join(self._site.behaviour.mount, below.lstrip("/")))
        _check_name(target)
        return target


def failed(code: int, message: str) -> Answered:
    """An error with a body, as clients of ownCloud know it."""
    kind = f"Sabre\\DAV\\Exception\\{EXCEPTIONS[code]}"
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<d:error xmlns:d="DAV" xmlns:s="http://sabredav.org/ns">'
        f"<s:exception>{kind}</s:exception><s:message>{properties.text(message)}</s:message></d:error>"
    )
    return Answered(code, {"Content-Type": "text/xml; charset=utf-8"}, body.encode())


def _ref(path: str) -> Any:
    return storage.Reference(path=path)


def _check_name(path: str) -> None:
    if not path.strip() or FORBIDDEN_IN_NAMES & set(path):
        raise Answered(HTTPStatus.BAD_REQUEST)


def _identity(info: Any) -> Headers:
    return {"ETag": info.etag, "OC-ETag": info.etag, "OC-FileId": properties.file_id(info)}


def _http_date(info: Any) -> str:
    return formatdate(info.mtime.seconds, usegmt=True).replace("GMT", "+0000")


METHODS: dict[str, Callable[[WebDav], None]] = {
    "PROPFIND": WebDav.propfind,
    "PROPPATCH": WebDav.proppatch,
    "HEAD": WebDav.head,
    "GET": WebDav.get,
    "PUT": WebDav.put,
    "MKCOL": WebDav.mkcol,
    "DELETE": WebDav.delete,
    "MOVE": WebDav.move,
    "COPY": WebDav.copy,
    "LOCK": WebDav.lock,
    "UNLOCK": WebDav.not_implemented,
    "REPORT": WebDav.not_implemented,
    "POST": WebDav.not_implemented,
}
