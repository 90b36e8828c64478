"""The HTTP side: the data server, the data gateway in front of it where it is not exposed, and the way to WebDAV."""

from __future__ import annotations

import json
import posixpath
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3 import observe
from rucio_cs3.gateway import ranges, spacedav, tus, webdav
from rucio_cs3.gateway.callers import identify
from rucio_cs3.gateway.checks import NotFinished
from rucio_cs3.gateway.davrequest import content_headers, told_of
from rucio_cs3.gateway.endpoints import DATA, DATA_GATEWAY
from rucio_cs3.gateway.exchange import Answered, Exchange
from rucio_cs3.gateway.faults import BadFault, Fault, Struck
from rucio_cs3.gateway.status import Aborted, Refused
from rucio_cs3.gateway.streams import BodyCut, Dropped, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rucio_cs3.gateway.endpoints import Endpoints
    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.service import Service
    from rucio_cs3.gateway.site import Site
    from rucio_cs3.gateway.users import User

FAULTS = "/.faults"
FORWARDED = {"HEAD", "GET", "PUT", "PATCH"}
HTTP_OF = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "FAILED_PRECONDITION": 409,
    "LOCKED": 423,
    "UNIMPLEMENTED": 501,
    "INSUFFICIENT_STORAGE": 507,
}
STRIKES = {"status": 0, "full": 507, "token_expired": 401, "no_permission": 404, "storage_down": 500}


class DataHandler(Exchange):
    """What is declared here is set on a subclass for each server."""

    site: Site
    service: Service
    endpoints: Endpoints
    offers_faults: bool

    def handle_one_request(self) -> None:
        """A connection that breaks is nobody's error: closed by the peer, by a fault, or because the gateway stops."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _serve(self) -> None:
        self.begin()
        with observe.serving("gateway", self.command, self.headers.items) as step:
            self._answered(step)

    def _answered(self, step: observe.Step) -> None:
        try:
            self._route()
        except Answered as answered:
            step.told(f"HTTP {int(answered.code)}")
            self.answer(answered.code, answered.headers, answered.body)
        except NotFinished as refused:
            step.told(f"HTTP {int(refused.put)}")
            self.answer(refused.put)
        except Refused as refused:
            step.told(refused.code)
            self.answer(HTTP_OF.get(refused.code, 500))
        except Aborted as aborted:
            step.told(aborted.code)
            self.answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        except Dropped as dropped:
            step.told("dropped")
            self.drop(reset=dropped.reset)
        except BodyCut:
            step.told("cut")
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_PATCH = do_POST = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - http.server's names
    do_PROPFIND = do_PROPPATCH = do_MKCOL = do_COPY = do_MOVE = _serve  # noqa: N815
    do_LOCK = do_UNLOCK = do_REPORT = do_SEARCH = _serve  # noqa: N815

    def _route(self) -> None:
        self.site.settle()
        path = urlsplit(self.path).path
        dav, kind = (spacedav, spacedav.SpaceDav) if self.site.behaviour.has_spaces else (webdav, webdav.WebDav)
        door = dav.find(path)
        if door:
            kind(self, door).serve()
        elif path == FAULTS and self.offers_faults:
            self._serve_faults()
        elif self.site.behaviour.exposes_data_server and path.startswith(f"{DATA}/"):
            self._provide(path)
        elif not self.site.behaviour.exposes_data_server and posixpath.join(path, "").startswith(f"{DATA_GATEWAY}/"):
            self._forward(path)
        else:
            raise Answered(HTTPStatus.NOT_FOUND)

    def _forward(self, path: str) -> None:
        """The data gateway: a transfer token says what is meant."""
        if self.command not in FORWARDED and not self.site.behaviour.checks_uploads:
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
        user = identify(self, self.site).user
        if self.command in ("GET", "HEAD") and protocol in ("simple", "spaces"):
            self._download(self._place(protocol, what, user), user)
        elif self.command == "PUT" and protocol == "simple":
            self._upload(unquote(what), user)
        else:
            raise Answered(HTTPStatus.NOT_IMPLEMENTED)

    def _place(self, protocol: str, what: str, user: User) -> Place:
        if protocol == "simple":
            return self.site.namespace.place(posixpath.normpath("/" + unquote(what)), user)
        space, _, below = unquote(what).partition("/")
        space, _, opaque_id = space.partition("!")
        storage_id, _, space_id = space.partition("$")
        where = storage.ResourceId(storage_id=storage_id, space_id=space_id, opaque_id=opaque_id)
        return self.site.namespace.resolve(storage.Reference(resource_id=where, path=f"./{below}"), user)

    def strike(self, path: str) -> Struck:
        """Log the request, and let the faults act that come before it."""
        self.site.calls.add("http", self.command, path)
        struck = self.site.faults.take("http", self.command, path)
        stall = struck.get("stall")
        if stall and not stall.after:
            struck.faults.wait(stall.seconds)
        refusal = struck.get(*STRIKES)
        if refusal:
            body = self.blocks(struck)  # real ones take the whole body before they say no
            for _ in until(body, refusal.after) if refusal.after else body:
                pass
            raise Answered(_http_code(refusal))
        return struck

    def _download(self, place: Place, user: User) -> None:
        struck = self.strike(self.site.namespace.path(place))
        self.site.in_place.refuse_broken(user)
        info = self.site.storage.stat(place, user)
        if self.site.behaviour.serves_ranges:
            self.send(place, info, struck)
            return
        refused = self.refuses_range(info.size)
        if refused is not None:
            raise Answered(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, refused)
        with self.site.storage.open(place) as file:
            self.send_file(file, info.size, {"Content-Type": info.mime_type or "application/octet-stream"}, struck)

    def refuses_range(self, size: int) -> dict[str, str] | None:
        """The headers of a refusal, as ranges are understood and never served; None for what is no range."""
        wanted = self.headers.get("Range", "")
        if not size or not wanted.startswith(ranges.UNIT) or "-" not in wanted:
            return None
        try:
            ranges.parse(wanted, size)
        except ranges.BadRange:
            return {}
        except ranges.BeyondEnd:
            return {"Content-Range": f"bytes */{size}"}
        return {"Accept-Ranges": "bytes"}

    def send(self, place: Place, info: Any, struck: Struck) -> None:
        """All that was asked for. !! Conditions are ignored, but for If-None-Match of the whole."""
        if "status" in info.opaque.map:
            raise Answered(HTTPStatus.TOO_EARLY)
        wanted = self.headers.get("Range", "")
        if self.headers.get("If-None-Match") == info.etag and not wanted:
            raise Answered(HTTPStatus.NOT_MODIFIED, {"ETag": info.etag})
        try:
            parts = ranges.parse(wanted, info.size)
        except ranges.BadRange as error:
            raise Answered(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE) from error
        except ranges.BeyondEnd as error:
            refused = {"Content-Range": f"bytes */{info.size}"}
            raise Answered(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, refused) from error
        reply = ranges.Reply(parts, info.size, info.mime_type)
        headers = {**content_headers(info), **reply.headers}
        if self.command == "GET":
            headers["Accept-Ranges"] = "bytes"
        with self.site.storage.open(place) as file:
            self.send_file(file, reply.length, headers, struck, code=reply.code, parts=reply.parts)

    def _upload(self, what: str, user: User) -> None:
        struck = self.strike(self._path_of(what, user))
        place = self.receive(what, user, self.blocks(struck), self.length)
        self.done(struck)
        if not place:
            raise Answered(HTTPStatus.PARTIAL_CONTENT)
        told = self.site.behaviour.checks_uploads
        raise Answered(HTTPStatus.OK, told_of(self.site.storage.stat(place, user)) if told else None)

    def receive(self, what: str, user: User, blocks: Iterable[bytes], length: int | None) -> Place | None:
        """Take the content of an upload that was announced. Returns where it is, or None if it is no file yet."""
        uploads = self.site.uploads
        if self.site.behaviour.stages_uploads:
            if length == 0 and self.site.behaviour.commits_empty_at_once:
                raise Answered(HTTPStatus.BAD_REQUEST)
            upload = uploads.find(what)
            if not upload:
                raise Refused("INTERNAL", "error retrieving upload")
            return uploads.receive(upload, blocks, length)
        place = self._in_place(what, user)
        uploads.check_room(place, length or 0)
        self.site.in_place.write(place, user, blocks)
        return place

    def _path_of(self, what: str, user: User) -> str:
        if not self.site.behaviour.stages_uploads:
            return self.site.namespace.path(self._in_place(what, user))
        upload = self.site.uploads.find(what)
        return self.site.uploads.path(upload) if upload else ""

    def _in_place(self, what: str, user: User) -> Place:
        return self.site.namespace.place(posixpath.normpath("/" + what), user)

    @staticmethod
    def done(struck: Struck) -> None:
        """Go on to the answer after the deed, unless it is to be lost."""
        if struck.get("no_answer"):
            raise Dropped(reset=False)

    def _tus(self, upload_id: str) -> None:
        uploads = self.site.uploads
        upload = uploads.find(upload_id)
        struck = self.strike(uploads.path(upload) if upload else "")
        reply = tus.serve(self, uploads, upload, struck, self.site.behaviour)
        self.done(struck)
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
