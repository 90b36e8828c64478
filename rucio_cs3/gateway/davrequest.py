"""What the methods of WebDAV have in common: the CS3 calls behind them, and how they end."""

from __future__ import annotations

import posixpath
import re
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import quote

from cs3.storage.provider.v1beta1 import resources_pb2 as storage
from cs3.types.v1beta1 import types_pb2 as types

from rucio_cs3.gateway import properties
from rucio_cs3.gateway.exchange import Answered
from rucio_cs3.gateway.faults import Struck
from rucio_cs3.gateway.service import METHODS as CALLS
from rucio_cs3.gateway.status import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rucio_cs3.gateway.data import DataHandler
    from rucio_cs3.gateway.service import Method
    from rucio_cs3.gateway.users import User

    Headers = dict[str, str]

MAX_BODY = 1 << 20  # of XML
FORBIDDEN_IN_NAMES = set("\f\r\n\\")
EXCEPTIONS = {
    400: "BadRequest",
    403: "PermissionDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "NotFound",
    412: "PreconditionFailed",
}


class Door(NamedTuple):
    """`url_path` is what was asked for, `base` what of it names the door, `below` what comes after it.

    Some doors are of a `user`, or of a `space`.
    """

    url_path: str
    base: str
    below: str
    user: str = ""
    space: str = ""


class DavRequest:
    """One request through the door, from the user `_user` and with the faults `_struck`, on the CS3 path `_path`."""

    _calls: Mapping[str, Method] = CALLS
    _user: User
    _struck: Struck

    def __init__(self, handler: DataHandler, door: Door) -> None:
        self._handler = handler
        self._site = handler.site
        self._door = door
        self._headers = handler.headers
        self._path = posixpath.join(self._site.webdav_namespace, door.below[1:])

    def _done(self, code: int, headers: Headers | None = None, body: bytes = b"") -> None:
        self._handler.done(self._struck)
        raise Answered(code, headers, body)

    def _ask(self, name: str, **fields: Any) -> Any:
        """A CS3 call in the caller's name. Whoever came in may do everything, so nothing is asked of scopes here."""
        call = self._calls[name]
        return call.call(self._handler.service, call.request(**fields), self._user)

    def _ref(self, path: str) -> Any:
        return storage.Reference(path=path)

    def _stat(self, path: str) -> Any:
        return self._ask("Stat", ref=self._ref(path)).info

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

    def _children(self, path: str) -> list[Any]:
        return list(self._ask("ListContainer", ref=self._ref(path)).infos)

    def _opened(self, path: str) -> BinaryIO:
        """For reading; that it has gone since it was looked at is an error of the server."""
        try:
            return self._site.storage.open(self._site.namespace.resolve(self._ref(path), self._user))
        except Refused as refused:
            raise Refused("INTERNAL", refused.message) from refused

    def _announce(self, path: str, length: int, told: Mapping[str, str] | None = None, **conditions: Any) -> str:
        """What `receive` knows the upload by; `told` goes with it."""
        entries = {"Upload-Length": str(length), **(told or {})}
        plain = {key: types.OpaqueEntry(decoder="plain", value=value.encode()) for key, value in entries.items()}
        opaque = types.Opaque(map=plain)
        reply = self._ask("InitiateFileUpload", ref=self._ref(path), opaque=opaque, **conditions)
        return self._handler.endpoints.upload_target(list(reply.protocols))

    def _store(self, path: str, blocks: Iterator[bytes], length: int) -> bool:
        """False when it is no file yet."""
        return bool(self._handler.receive(self._announce(path, length), self._user, blocks, length))

    def _check_name(self, path: str) -> None:
        if not path.strip() or FORBIDDEN_IN_NAMES & set(path):
            raise Answered(HTTPStatus.BAD_REQUEST)

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


def failed(code: int, message: str) -> Answered:
    """An error with a body, as clients of ownCloud know it."""
    kind = f"Sabre\\DAV\\Exception\\{EXCEPTIONS[code]}"
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<d:error xmlns:d="DAV" xmlns:s="http://sabredav.org/ns">'
        f"<s:exception>{kind}</s:exception><s:message>{properties.text(message)}</s:message></d:error>"
    )
    return Answered(code, {"Content-Type": "text/xml; charset=utf-8"}, body.encode())


def identity(info: Any) -> Headers:
    return {"ETag": info.etag, "OC-ETag": info.etag, "OC-FileId": properties.file_id(info)}


def told_of(info: Any) -> Headers:
    """What the answer to an upload, or to a download, says of a file."""
    return {**identity(info), "Last-Modified": http_date(info)}


def content_headers(info: Any) -> Headers:
    checksum = properties.checksum(info)
    return {
        **told_of(info),
        "Content-Disposition": disposition(posixpath.basename(info.path)),
        **({"OC-Checksum": ":".join(checksum)} if checksum else {}),
    }


def disposition(name: str) -> str:
    plain = re.sub("[\r\n]", " ", name).encode().decode("latin-1")
    return f"attachment; filename*=UTF-8''{quote(name)}; filename=\"{plain}\""


def http_date(info: Any) -> str:
    return formatdate(info.mtime.seconds, usegmt=True).replace("GMT", "+0000")
