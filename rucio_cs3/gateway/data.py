"""The HTTP side: the data server, and the data gateway in front of it where it is not exposed."""

from __future__ import annotations

import base64
import binascii
import json
import posixpath
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway import tus
from rucio_cs3.gateway.endpoints import DATA, DATA_GATEWAY
from rucio_cs3.gateway.exchange import Exchange
from rucio_cs3.gateway.faults import BadFault, Fault, Struck
from rucio_cs3.gateway.scopes import may_fetch
from rucio_cs3.gateway.status import Refused
from rucio_cs3.gateway.streams import BodyCut, Dropped

if TYPE_CHECKING:
    from rucio_cs3.gateway.login import Identity
    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.site import Site
    from rucio_cs3.gateway.users import User

FAULTS = "/.faults"
FORWARDED = {"HEAD", "GET", "PUT", "PATCH"}
HTTP_OF = {"NOT_FOUND": 404, "PERMISSION_DENIED": 403, "INSUFFICIENT_STORAGE": 507}
STRIKES = {"status": 0, "full": 507, "token_expired": 401, "no_permission": 404, "storage_down": 500}
UNIT = "bytes="


class Answered(Exception):
    """The request is done with: this is the answer."""

    def __init__(self, code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        super().__init__(code)
        self.code = code
        self.headers = headers
        self.body = body


class DataHandler(Exchange):
    """`site` and `offers_faults` are set on a subclass for each server."""

    site: Site
    offers_faults: bool

    def handle_one_request(self) -> None:
        """A connection that breaks is nobody's error: closed by the peer, by a fault, or because the gateway stops."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _serve(self) -> None:
        self.begin()
        try:
            self._route()
        except Answered as answered:
            self.answer(answered.code, answered.headers, answered.body)
        except Refused as refused:
            self.answer(HTTP_OF.get(refused.code, 500))
        except Dropped as dropped:
            self.drop(reset=dropped.reset)
        except BodyCut:
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_PATCH = do_POST = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - http.server's names

    def _route(self) -> None:
        path = urlsplit(self.path).path
        if path == FAULTS and self.offers_faults:
            self._serve_faults()
        elif self.site.behaviour.exposes_data_server and path.startswith(f"{DATA}/"):
            self._provide(path)
        elif not self.site.behaviour.exposes_data_server and posixpath.join(path, "").startswith(f"{DATA_GATEWAY}/"):
            self._forward(path)
        else:
            raise Answered(HTTPStatus.NOT_FOUND)

    def _forward(self, path: str) -> None:
        """The data gateway: a transfer token says what is meant."""
        if self.command not in FORWARDED:
            raise Answered(HTTPStatus.NOT_IMPLEMENTED)
        token = self.headers.get("X-Reva-Transfer") or posixpath.basename(path)
        target = self.site.tokens.transfer_target(token)
        if target is None:
            raise Answered(HTTPStatus.FORBIDDEN)
        self._provide(urlsplit(target).path)

    def _provide(self, path: str) -> None:
        """The data server: /data/<protocol>/<what>."""
        protocol, _, what = path[len(f"{DATA}/") :].partition("/")
        if protocol == "tus":
            self._tus(what)
            return
        user = self._caller()
        if self.command in ("GET", "HEAD") and protocol in ("simple", "spaces"):
            self._download(self._place(protocol, what, user), user)
        elif self.command == "PUT" and protocol == "simple":
            self._upload(unquote(what), user)
        else:
            raise Answered(HTTPStatus.NOT_IMPLEMENTED)

    def _caller(self) -> User:
        """Who calls, by any of the credentials that Reva's data server takes."""
        who = self.site.tokens.identity(self.headers.get("x-access-token", ""))
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if not who and value:
            who = self._by_authorization(kind.lower(), value.strip())
        if not who or not may_fetch(who.scopes):
            raise Answered(HTTPStatus.UNAUTHORIZED)
        return who.user

    def _by_authorization(self, kind: str, value: str) -> Identity | None:
        try:
            if kind == "basic":
                username, _, password = base64.b64decode(value, validate=True).decode().partition(":")
                return self.site.login.identity("basic", username, password)
            return self.site.tokens.identity(value) or self.site.login.identity("bearer", "", value)
        except (Refused, binascii.Error, UnicodeDecodeError):
            return None

    def _place(self, protocol: str, what: str, user: User) -> Place:
        if protocol == "simple":
            return self.site.namespace.place(posixpath.normpath("/" + unquote(what)), user)
        space, _, below = unquote(what).partition("/")
        storage_id, _, opaque_id = space.partition("!")
        where = storage.ResourceId(storage_id=storage_id, opaque_id=opaque_id)
        return self.site.namespace.resolve(storage.Reference(resource_id=where, path=f"./{below}"), user)

    def _strike(self, path: str) -> Struck:
        """Log the request, and let the faults act that come before it."""
        self.site.calls.add("http", self.command, path)
        struck = self.site.faults.take("http", self.command, path)
        stall = struck.get("stall")
        if stall and not stall.after:
            struck.faults.wait(stall.seconds)
        codes = [_http_code(fault) for fault in struck if fault.kind in STRIKES]
        if codes:
            for _ in self.blocks(struck):  # real ones take the whole body before they say no
                pass
            raise Answered(codes[0])
        return struck

    def _download(self, place: Place, user: User) -> None:
        struck = self._strike(self.site.namespace.path(place))
        self.site.in_place.refuse_broken(user)
        info = self.site.storage.stat(place, user)
        self._refuse_ranges(info.size)
        with self.site.storage.open(place) as file:
            self.send_file(file, info.size, {"Content-Type": info.mime_type or "application/octet-stream"}, struck)

    def _refuse_ranges(self, size: int) -> None:
        """Ranges are understood, and never served."""
        wanted = self.headers.get("Range", "")
        if not size or not wanted.startswith(UNIT) or "-" not in wanted:
            return
        headers = {"Accept-Ranges": "bytes"}
        try:
            starts = [_start(part.strip(), size) for part in wanted[len(UNIT) :].split(",") if part.strip()]
        except ValueError:
            headers = {}
        else:
            if all(start >= size for start in starts):
                headers = {"Content-Range": f"bytes */{size}"}
        raise Answered(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)

    def _upload(self, what: str, user: User) -> None:
        if self.site.behaviour.stages_uploads:
            code = self._staged(what)
        else:
            place = self.site.namespace.place(posixpath.normpath("/" + what), user)
            struck = self._strike(self.site.namespace.path(place))
            self._check_room()
            self.site.in_place.write(place, user, self.blocks(struck))
            code = self._done(struck)
        raise Answered(code)

    def _staged(self, upload_id: str) -> int:
        """Whatever arrives becomes the file: too much, too little, or what came before the connection broke."""
        uploads = self.site.uploads
        upload = uploads.find(upload_id)
        struck = self._strike(uploads.path(upload) if upload else "")
        if not upload:
            raise Refused("INTERNAL", "error retrieving upload")
        self._check_room()
        try:
            uploads.append(upload, self.blocks(struck))
        except BodyCut:
            if self.site.behaviour.keeps_killed_uploads:
                uploads.finish(upload)
            raise
        whole = uploads.finish(upload)
        self._done(struck)
        return HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT

    def _check_room(self) -> None:
        if not self.site.storage.has_room(self.length or 0):
            raise Refused("INSUFFICIENT_STORAGE", "insufficient storage")

    @staticmethod
    def _done(struck: Struck) -> int:
        """The answer after the deed, unless it is to be lost."""
        if struck.get("no_answer"):
            raise Dropped(reset=False)
        return HTTPStatus.OK

    def _tus(self, upload_id: str) -> None:
        uploads = self.site.uploads
        upload = uploads.find(upload_id)
        struck = self._strike(uploads.path(upload) if upload else "")
        reply = tus.serve(self, uploads, upload, struck, behind_gateway=not self.site.behaviour.exposes_data_server)
        self._done(struck)
        raise Answered(reply.code, reply.headers)

    def _serve_faults(self) -> None:
        """GET lists the faults, PUT sets them in place of those there were, DELETE clears them."""
        faults = self.site.faults
        if self.command == "PUT":
            body = b"".join(self.blocks(Struck(faults, [])))
            try:
                wanted: Any = json.loads(body)
                parsed = [Fault.parse(entry) for entry in wanted]
            except (BadFault, ValueError, TypeError) as error:
                raise Answered(HTTPStatus.BAD_REQUEST, body=f"{error}\n".encode()) from error
            faults.clear()
            faults.add(*parsed)
        elif self.command == "DELETE":
            faults.clear()
        body = json.dumps(faults.as_json()).encode()
        raise Answered(HTTPStatus.OK, {"Content-Type": "application/json"}, body)


def _http_code(fault: Fault) -> int:
    """What a fault answers; a CS3 code is put as Reva's data server would."""
    if fault.kind != "status":
        return STRIKES[fault.kind]
    return int(fault.status) if fault.status.isdigit() else HTTP_OF.get(fault.status, 500)


def _start(part: str, size: int) -> int:
    """Where a byte range begins. Raises ValueError for what is none."""
    first, _, last = part.partition("-")
    if not first:
        return size - min(int(last), size)
    if last and int(last) < int(first):
        raise ValueError(part)
    return int(first)
