"""The WebDAV door, as Reva's own: a client of the CS3 calls, which adds checks of its own, and mistakes of its own.

It opens on a CS3 path that the site sets. What is marked !! loses data, or says that it did what it did not.
"""

from __future__ import annotations

import io
import posixpath
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway import properties
from rucio_cs3.gateway.callers import identify
from rucio_cs3.gateway.davrequest import Door, disposition, failed, http_date, identity
from rucio_cs3.gateway.exchange import Answered
from rucio_cs3.gateway.properties import is_folder
from rucio_cs3.gateway.status import Refused
from rucio_cs3.gateway.thirdparty import ThirdParty
from rucio_cs3.gateway.uploads import CHUNK_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    Headers = dict[str, str]

DOORS = re.compile(r"(?P<base>(?:/remote\.php)?/(?:webdav|dav/files(?:/(?P<user>[^/]+))?))(?P<below>/.*)?", re.DOTALL)
XML_TYPE = {"Content-Type": "application/xml; charset=utf-8", "DAV": "1, 3, extended-mkcol"}
ALLOWED = "OPTIONS, LOCK, GET, HEAD, POST, DELETE, PROPPATCH, COPY, MOVE, UNLOCK, PROPFIND, MKCOL, REPORT, SEARCH, PUT"
LOCK_TOKEN = "opaquelocktoken:00000000-0000-0000-0000-000000000000"  # noqa: S105 - everybody's
LOCKED = f"""{properties.XML}
<prop xmlns="DAV:"><lockdiscovery><activelock><allprop/><timeout>Second-604800</timeout><depth>Infinity</depth>\
<locktoken><href>{LOCK_TOKEN}</href></locktoken></activelock></lockdiscovery></prop>"""


def find(raw_path: str, doors: re.Pattern[str] = DOORS) -> Door | None:
    """The door that a URL's path leads through, after all `..` in it; None when it leads elsewhere."""
    try:
        url_path = unquote(raw_path, errors="strict")
    except UnicodeDecodeError:
        url_path = unquote(raw_path, errors="surrogateescape")
    found = doors.fullmatch(posixpath.normpath(url_path).replace("//", "/", 1))
    if not found:
        return None
    named = {name: value for name, value in found.groupdict().items() if value}
    return Door(**{"url_path": url_path, "below": "/", **named})


class WebDav(ThirdParty):
    """One request through the door. It ends by raising Answered or Refused, or with a body that was sent."""

    def serve(self) -> None:
        if self._handler.command == "OPTIONS":  # before anybody asks who it is
            raise Answered(HTTPStatus.NO_CONTENT, {"Allow": ALLOWED, "DAV": "1, 2", "MS-Author-Via": "DAV"})
        self._user = identify(self._handler, self._site).user
        if any("\ud800" <= letter <= "\udfff" for letter in self._door.url_path):
            raise Refused("INTERNAL", "no text")
        self._struck = self._handler.strike(self._cs3_path())
        method = METHODS.get(self._handler.command)
        if not method:
            raise Answered(HTTPStatus.NOT_FOUND)
        getattr(self, method)()

    def _cs3_path(self) -> str:
        return self._path.rstrip("/") or "/"

    # Reading

    def propfind(self) -> None:
        try:
            names = properties.wanted(self._body())
        except properties.BadBody as error:
            raise Answered(HTTPStatus.BAD_REQUEST) from error
        info = self._found(self._path)
        body = "".join(self._described(info, self._depth(), names)).encode()
        self._handler.send_file(io.BytesIO(body), len(body), XML_TYPE, self._struck, code=HTTPStatus.MULTI_STATUS)

    def _told_depth(self) -> str:
        return str(self._headers.get("Depth", "1"))

    def _depth(self) -> str:
        depth = self._told_depth()
        if depth not in ("0", "1", "infinity"):
            raise failed(400, f"Invalid Depth header value: {depth}")
        return depth

    def _described(self, info: Any, depth: str, names: list[properties.Name] | None) -> Iterator[str]:
        def stated(one: Any) -> properties.Stated:
            return properties.stated(one, names, self._user)

        if is_folder(info) or depth == "0":
            return properties.described([info, *self._below(info, depth)], info, self._door.url_path, stated)
        folder = self._found(posixpath.dirname(info.path))  # a file comes twice
        return properties.described([info, info], folder, posixpath.dirname(self._door.url_path), stated)

    def _below(self, info: Any, depth: str) -> list[Any]:
        ways = {"0": self._nothing, "1": self._children, "infinity": self._tree}
        return ways[depth](info.path) if is_folder(info) else []

    def _nothing(self, _: str) -> list[Any]:
        return []

    def _tree(self, path: str) -> list[Any]:
        found, folders = [], [path]
        while folders:
            children = self._children(folders.pop())
            found += children
            folders += [child.path for child in reversed(children) if is_folder(child)]
        return found

    def head(self) -> None:
        info = self._stat(self._path)
        headers = {**identity(info), "Content-Type": info.mime_type, "Last-Modified": http_date(info)}
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
        headers = {
            **identity(info),
            "Content-Type": info.mime_type,
            "Content-Disposition": disposition(posixpath.basename(self._path)),
            "Last-Modified": http_date(info),
        }
        with self._opened(self._path) as file:
            self._handler.send_file(file, info.size, headers, self._struck)

    # Writing

    def _to_put(self) -> tuple[int, Any]:
        """The length that is told, and what stands under the name: a file, or nothing."""
        if self._headers.get("Content-Range"):
            raise Answered(HTTPStatus.NOT_IMPLEMENTED)
        length = self._told_length()
        before = self._look(self._path)
        if before and is_folder(before):
            raise Answered(HTTPStatus.CONFLICT)
        return length, before

    def put(self) -> None:
        """!! Neither lengths nor checksums nor If-None-Match are looked at."""
        length, before = self._to_put()
        if before and self._headers.get("If-Match", before.etag) != before.etag:
            raise Answered(HTTPStatus.PRECONDITION_FAILED)
        for header, between in (("Upload-Checksum", " "), ("OC-Checksum", ":")):
            if self._headers.get(header) and between not in self._headers[header]:
                raise Answered(HTTPStatus.BAD_REQUEST)
        if not self._store(self._path, self._handler.blocks(self._struck), length):
            raise Answered(HTTPStatus.PARTIAL_CONTENT)
        part = CHUNK_NAME.fullmatch(self._path)
        after = self._stat(part["name"] if part else self._path)
        headers = {**identity(after), "Content-Type": after.mime_type, "Last-Modified": http_date(after)}
        if self._headers.get("X-OC-Mtime"):
            headers["X-OC-Mtime"] = "accepted"  # !! and forgotten
        self._done(HTTPStatus.NO_CONTENT if before else HTTPStatus.CREATED, headers)

    def mkcol(self) -> None:
        self._check_name(self._path)
        if self._body():
            raise Answered(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if not self._look(posixpath.dirname(self._path)):
            raise failed(409, "Parent node does not exist")
        if self._look(self._path):
            raise failed(405, "The resource you tried to create already exists")
        self._ask("CreateContainer", ref=self._ref(self._path))
        self._done(HTTPStatus.CREATED)

    def delete(self) -> None:
        try:
            self._ask("Delete", ref=self._ref(self._path))
        except Refused as refused:
            if refused.code == "NOT_FOUND":
                raise failed(404, f"Resource {self._path} not found") from refused
            if refused.message == "can't delete mount path":
                raise failed(403, refused.message) from refused
            raise
        self._done(HTTPStatus.NO_CONTENT)

    def proppatch(self) -> None:
        try:
            patches = properties.patches(self._body())
        except properties.BadBody as error:
            raise failed(400, f"Error reading proppatch: {error}") from error
        self._found(self._path)
        self._done(HTTPStatus.OK, XML_TYPE, self._patch(patches))

    def _patch(self, patches: list[properties.Patch]) -> bytes:
        info = self._stat(self._path)
        for patch in patches:
            if patch.value is None:
                self._ask("UnsetArbitraryMetadata", ref=self._ref(self._path), arbitrary_metadata_keys=[patch.key])
            else:
                kept = storage.ArbitraryMetadata(metadata={patch.key: patch.value})
                self._ask("SetArbitraryMetadata", ref=self._ref(self._path), arbitrary_metadata=kept)
        return properties.patched(properties.href_of(info, info, self._door.url_path), patches).encode()

    def lock(self) -> None:
        """Granted to everybody, and kept nowhere."""
        headers = {"Content-Type": 'text/xml; charset="utf-8"', "Lock-Token": LOCK_TOKEN}
        self._done(HTTPStatus.OK, headers, LOCKED.encode())

    def unlock(self) -> None:
        raise Answered(HTTPStatus.NOT_IMPLEMENTED)

    report = post = unlock


METHODS = {
    "PROPFIND": "propfind",
    "PROPPATCH": "proppatch",
    "HEAD": "head",
    "GET": "get",
    "PUT": "put",
    "MKCOL": "mkcol",
    "DELETE": "delete",
    "MOVE": "move",
    "COPY": "copy",
    "LOCK": "lock",
    "UNLOCK": "unlock",
    "REPORT": "report",
    "POST": "post",
}
