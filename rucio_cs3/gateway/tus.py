"""Resumable uploads: the core of tus 1.0.0 with termination, as far as Reva goes."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

from rucio_cs3.gateway.streams import Dropped
from rucio_cs3.gateway.tokens import TRANSFER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.gateway.exchange import Exchange
    from rucio_cs3.gateway.faults import Struck
    from rucio_cs3.gateway.uploads import Upload, Uploads

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination"
CONTENT_TYPE = "application/offset+octet-stream"


class Reply(NamedTuple):
    code: int
    headers: dict[str, str]


def serve(
    exchange: Exchange, uploads: Uploads, upload: Upload | None, struck: Struck, *, behind_gateway: bool
) -> Reply:
    """Nobody asks who calls: the address of an upload is a secret in itself."""
    method = exchange.command
    if method == "OPTIONS":
        return _reply(200, {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS})
    if method == "POST" and exchange.headers.get("Upload-Metadata"):  # creation is advertised, and it crashes
        raise Dropped(reset=False)
    if method not in ("HEAD", "PATCH", "DELETE"):
        return _reply(500 if method == "POST" else 501)
    if method != "HEAD" and exchange.headers.get("Tus-Resumable") != VERSION:
        return _reply(412)
    if not upload:
        return _reply(404)
    if method == "PATCH":
        return _patch(exchange, uploads, upload, struck, behind_gateway=behind_gateway)
    return _head(uploads, upload, behind_gateway=behind_gateway) if method == "HEAD" else _delete(uploads, upload)


def _delete(uploads: Uploads, upload: Upload) -> Reply:
    uploads.drop(upload)
    return _reply(204)


def _reply(code: int, headers: dict[str, str] | None = None) -> Reply:
    return Reply(code, {"Tus-Resumable": VERSION, **(headers or {})})


def _head(uploads: Uploads, upload: Upload, *, behind_gateway: bool) -> Reply:
    expires = {"Upload-Expires": formatdate(time.time() + TRANSFER_SECONDS, usegmt=True)} if behind_gateway else {}
    now = {"Upload-Offset": str(uploads.offset(upload)), "Upload-Length": str(upload.length)}
    return _reply(200, {"Cache-Control": "no-store", **now, **expires})


def _patch(exchange: Exchange, uploads: Uploads, upload: Upload, struck: Struck, *, behind_gateway: bool) -> Reply:
    if exchange.headers.get("Content-Type") != CONTENT_TYPE or not exchange.headers.get("Upload-Offset", "").isdigit():
        return _reply(400)
    offset = uploads.offset(upload)
    if int(exchange.headers["Upload-Offset"]) != offset:
        return _reply(409)
    if offset == upload.length:  # an empty file is complete before it begins, and never made
        return _reply(204, {"Upload-Offset": str(offset)})
    room = upload.length - offset
    if not behind_gateway and exchange.length is not None and exchange.length > room:
        return _reply(413)
    uploads.append(upload, _at_most(exchange.blocks(struck), room))
    offset = uploads.offset(upload)
    if offset == upload.length:
        uploads.finish(upload)
    return _reply(204, {"Upload-Offset": str(offset)})


def _at_most(blocks: Iterator[bytes], room: int) -> Iterator[bytes]:
    """The rest of an over-long body is taken, and dropped without a word."""
    for block in blocks:
        if room:
            yield block[:room]
        room -= min(room, len(block))
