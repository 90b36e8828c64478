"""Resumable uploads: the core of tus 1.0.0 with termination, as far as Reva goes."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

from rucio_cs3.gateway.checks import NotFinished
from rucio_cs3.gateway.streams import Dropped
from rucio_cs3.gateway.strictuploads import StrictUploads
from rucio_cs3.gateway.tokens import TRANSFER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.gateway.behaviours import Behaviour
    from rucio_cs3.gateway.exchange import Exchange
    from rucio_cs3.gateway.faults import Struck
    from rucio_cs3.gateway.uploads import Upload, Uploads

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination"
MORE_EXTENSIONS = f"{EXTENSIONS},concatenation,creation-defer-length"
CONTENT_TYPE = "application/offset+octet-stream"
UPLOAD_SECONDS = 86_400


class Reply(NamedTuple):
    code: int
    headers: dict[str, str]


def serve(exchange: Exchange, uploads: Uploads, upload: Upload | None, struck: Struck, behaviour: Behaviour) -> Reply:
    """Nobody asks who calls: the address of an upload is a secret in itself."""
    method, second = exchange.command, behaviour.checks_uploads
    if method == "OPTIONS":
        return _reply(200, {"Tus-Version": VERSION, "Tus-Extension": MORE_EXTENSIONS if second else EXTENSIONS})
    if method == "POST" and exchange.headers.get("Upload-Metadata") and not second:  # it is advertised, and it crashes
        raise Dropped(reset=False)
    if method not in ("HEAD", "PATCH", "DELETE"):
        return _reply(500 if method == "POST" else 501)
    if method != "HEAD" and exchange.headers.get("Tus-Resumable") != VERSION:
        return _reply(412)
    if not upload:
        return _reply(404)
    return _to_upload(exchange, uploads, upload, struck, hidden=not (behaviour.exposes_data_server or second))


def _to_upload(exchange: Exchange, uploads: Uploads, upload: Upload, struck: Struck, *, hidden: bool) -> Reply:
    """`hidden` is what is behind an older data gateway."""
    if exchange.command == "HEAD":
        return _head(uploads, upload, expires=hidden)
    if exchange.command == "DELETE":
        uploads.drop(upload)
        return _reply(204)
    reply = _patch(exchange, uploads, upload, struck, drops_rest=hidden)
    if isinstance(uploads, StrictUploads):
        reply.headers["Upload-Expires"] = str(int(time.time()) + UPLOAD_SECONDS)  # !! which is no date
        reply.headers["OC-FileId"] = uploads.file_id(upload)
    return reply


def _reply(code: int, headers: dict[str, str] | None = None) -> Reply:
    return Reply(code, {"Tus-Resumable": VERSION, **(headers or {})})


def _head(uploads: Uploads, upload: Upload, *, expires: bool) -> Reply:
    told = {"Upload-Expires": formatdate(time.time() + TRANSFER_SECONDS, usegmt=True)} if expires else {}
    now = {"Upload-Offset": str(uploads.offset(upload)), "Upload-Length": str(upload.length)}
    return _reply(200, {"Cache-Control": "no-store", **now, **told})


def _patch(exchange: Exchange, uploads: Uploads, upload: Upload, struck: Struck, *, drops_rest: bool) -> Reply:
    if exchange.headers.get("Content-Type") != CONTENT_TYPE or not exchange.headers.get("Upload-Offset", "").isdigit():
        return _reply(400)
    offset = uploads.offset(upload)
    if int(exchange.headers["Upload-Offset"]) != offset:
        return _reply(409)
    if offset >= upload.length:  # an empty file is complete before it begins, and never made
        return _reply(204, {"Upload-Offset": str(offset)})
    body = _AtMost(exchange.blocks(struck), upload.length - offset)
    if not drops_rest and exchange.length is not None and exchange.length > body.room:
        return _reply(413)
    uploads.append(upload, body)
    return _reply(_finished(uploads, upload, body), {"Upload-Offset": str(offset + body.taken)})


def _finished(uploads: Uploads, upload: Upload, body: _AtMost) -> int:
    """The status after all that came was kept."""
    if uploads.offset(upload) == upload.length:
        try:
            uploads.finish(upload)
        except NotFinished as refused:
            return refused.patch
    return 413 if body.was_longer and isinstance(uploads, StrictUploads) else 204  # !! and yet it is a file now


class _AtMost:
    """What there is room for: the rest of an over-long body is taken, and dropped without a word."""

    def __init__(self, blocks: Iterator[bytes], room: int) -> None:
        self._blocks = blocks
        self.room = room
        self.taken = 0
        self.was_longer = False

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            if self.room:
                yield block[: self.room]
            self.was_longer |= len(block) > self.room
            self.taken += min(self.room, len(block))
            self.room -= min(self.room, len(block))
