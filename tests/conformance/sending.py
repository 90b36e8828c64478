"""Uploads on the bare wire, step by step, and what becomes of them."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
import zlib

from cs3.storage.provider.v1beta1 import resources_pb2 as storage_pb2

from tests.conformance.wire import announcing, ref

OLD = b"old content"  # of the file that the fixture `old` makes
PATCH = {"Tus_Resumable": "1.0.0", "Content_Type": "application/offset+octet-stream", "Upload_Offset": "0"}


def begin(wire, target, length=3, opaque=None, **conditions):
    """How an announcement ends."""
    return wire.code("InitiateFileUpload", ref=target, opaque=announcing(length, **(opaque or {})), **conditions)


def send(wire, endpoints, way, data):
    """The status of an upload, by `simple` or `tus`."""
    method, headers = ("PUT", {}) if way == "simple" else ("PATCH", PATCH)
    return wire.request(method, endpoints[way], data, **headers).status


def offset_of(wire, endpoints):
    """How many bytes an upload has; None when there is no such upload any more."""
    reply = wire.request("HEAD", endpoints["tus"], Tus_Resumable="1.0.0")
    return int(reply.headers["Upload-Offset"]) if reply.status == 200 else None


def sums(data):
    """As Stat tells them."""
    return (
        hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        hashlib.md5(data, usedforsecurity=False).hexdigest(),
        f"{zlib.adler32(data):08x}",
    )


def sums_of(wire, target):
    info = wire.stat(target)
    assert info.checksum.type == storage_pb2.RESOURCE_CHECKSUM_TYPE_SHA1
    return (info.checksum.sum, *(info.opaque.map[kind].value.decode() for kind in ("md5", "adler32")))


def lock(wire, place):
    held = storage_pb2.Lock(
        lock_id=uuid.uuid4().hex,
        type=storage_pb2.LOCK_TYPE_EXCL,
        user=wire.ok("WhoAmI", token=wire.token).user.id,
        expiration={"seconds": int(time.time()) + 600},
    )
    wire.ok("SetLock", ref=ref(".", of=wire.stat(place).id), lock=held)
    return held


def unlock(wire, place, held):
    wire.ok("Unlock", ref=ref(".", of=wire.stat(place).id), lock=held)


def eventually(check):
    """The answer of `check` when it becomes true, asked while the server notices what has happened."""
    for _ in range(200):
        answer = check()
        if answer:
            return answer
        threading.Event().wait(0.02)
    raise AssertionError("it never came true")
