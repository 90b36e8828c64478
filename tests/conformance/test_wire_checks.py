"""Uploads to a storage that checks them: the second line."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
import zlib
from email.utils import formatdate

import pytest
import urllib3
from cs3.storage.provider.v1beta1 import resources_pb2 as storage_pb2

from tests.conformance.wire import announcing, ref

OLD, NEW = b"old content", b"new"
PATCH = {"Tus_Resumable": "1.0.0", "Content_Type": "application/offset+octet-stream", "Upload_Offset": "0"}
MTIME = 1_600_000_000


@pytest.fixture(autouse=True)
def checking(storage):
    if not storage.facts.checks_uploads:
        pytest.skip("it takes whatever comes: test_wire_transfer.py")


@pytest.fixture
def old(wire, folder):
    """A good file that is there already."""
    assert wire.put(f"{folder}/f", OLD) == 200
    return f"{folder}/f"


def begin(wire, target, length=3, opaque=None, **conditions):
    """How an announcement ends."""
    return wire.code("InitiateFileUpload", ref=target, opaque=announcing(length, **(opaque or {})), **conditions)


def send(wire, endpoints, way, data=NEW):
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


def eventually(check):
    for _ in range(200):
        if check():
            return True
        threading.Event().wait(0.02)
    raise AssertionError("it never came true")


# What is announced


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (0, "OK"),
        (None, "OK"),
        ("+3", "OK"),
        ("007", "OK"),
        (-5, "INSUFFICIENT_STORAGE"),
        (100 << 40, "INSUFFICIENT_STORAGE"),
        (1 << 70, "INTERNAL"),
        ("abc", "INTERNAL"),
        ("1.5", "INTERNAL"),
    ],
)
def test_the_length_that_is_announced(wire, folder, length, code):
    """!! To announce no bytes, or not to say how many, is to upload an empty file."""
    assert begin(wire, f"{folder}/f", length) == code
    assert wire.exists(f"{folder}/f") == (not length)


@pytest.mark.parametrize("length", [0, None])
def test_nothing_is_announced_over_a_good_file(wire, old, length):
    """!! The content is gone, and a PUT that follows is an error."""
    endpoints = wire.uploads(old, length)
    assert wire.stat(old).size == 0
    assert sums_of(wire, old) == sums(b"")
    assert offset_of(wire, endpoints) is None
    assert wire.request("PUT", endpoints["simple"], b"").status == 400
    assert wire.request("PUT", endpoints["simple"], NEW).status == 500
    assert wire.content(old) == b""


@pytest.mark.parametrize(
    ("where", "some", "none"),
    [
        ("missing/f", "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
        ("missing/deep/f", "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
        (".", "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
        ("f/below", "OK", "INTERNAL"),
        ("n" * 256, "INTERNAL", "INTERNAL"),
    ],
    ids=lambda value: value[:20],
)
def test_where_no_file_can_be(wire, folder, old, where, some, none):
    place = f"{folder}/{where}" if where != "." else folder
    assert begin(wire, place) == some
    assert begin(wire, place, 0) == none
    assert wire.content(old) == OLD
    assert wire.names(folder) == ["f"]


def test_the_root_is_no_file(storage, wire):
    assert begin(wire, storage.home) == "INTERNAL"


CONDITIONS = {  # of a file that is there, with the answers for it, and for a missing one
    "if_not_exist": (lambda _: {"if_not_exist": True}, "ALREADY_EXISTS", "OK"),
    "if_match": (lambda info: {"if_match": info.etag}, "OK", "FAILED_PRECONDITION"),
    "if_match wrong": (lambda _: {"if_match": '"wrong"'}, "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
    "if_match bare": (lambda info: {"if_match": info.etag.strip('"')}, "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
    "if_match any": (lambda _: {"if_match": "*"}, "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
    "if_unmodified_since past": (
        lambda _: {"if_unmodified_since": {"seconds": MTIME}},
        "FAILED_PRECONDITION",
        "OK",
    ),
    "if_unmodified_since future": (
        lambda info: {"if_unmodified_since": {"seconds": info.mtime.seconds + 9}},
        "OK",
        "OK",
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions(wire, folder, old, name):
    make, there, missing = CONDITIONS[name]
    conditions = make(wire.stat(old))
    assert begin(wire, old, **conditions) == there
    assert begin(wire, f"{folder}/missing", **conditions) == missing


@pytest.mark.parametrize("told", ["ADLER32 0400019b", "crc32 00", "sha256 00", "adler32", "adler32:0400019b", ""])
def test_a_checksum_that_is_not_understood(wire, folder, told):
    assert begin(wire, f"{folder}/f", opaque={"Upload-Checksum": told}) == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("told", "code"), [("adler32 00000001", "OK"), ("adler32 00000002", "INVALID_ARGUMENT")])
def test_the_checksum_of_nothing(wire, folder, told, code):
    assert begin(wire, f"{folder}/f", 0, opaque={"Upload-Checksum": told}) == code
    assert wire.exists(f"{folder}/f") == (code == "OK")


# What has become of it meanwhile: each prepares a path, begins an upload to it, and spoils it.


def made_meanwhile(wire, place):
    endpoints = wire.uploads(place, len(NEW))
    wire.put(place, OLD)
    return endpoints


def made_meanwhile_and_not_wanted(wire, place):
    endpoints = wire.uploads(place, len(NEW), conditions={"if_not_exist": True})
    wire.put(place, OLD)
    return endpoints


def folder_made_meanwhile(wire, place):
    endpoints = wire.uploads(place, len(NEW))
    wire.mkdir(place)
    return endpoints


def changed_meanwhile(wire, place):
    wire.put(place, b"older")
    endpoints = wire.uploads(place, len(NEW), conditions={"if_match": wire.stat(place).etag})
    wire.put(place, OLD)
    return endpoints


def touched_meanwhile(wire, place):
    wire.put(place, OLD)
    now = wire.stat(place).mtime.seconds
    endpoints = wire.uploads(place, len(NEW), conditions={"if_unmodified_since": {"seconds": now + 5}})
    wire.set_metadata(place, mtime=str(now + 60))
    return endpoints


def locked_meanwhile(wire, place):
    wire.put(place, OLD)
    endpoints = wire.uploads(place, len(NEW))
    lock(wire, place)
    return endpoints


def unlocked_meanwhile(wire, place):
    wire.put(place, OLD)
    held = lock(wire, place)
    endpoints = wire.uploads(place, len(NEW), conditions={"lock_id": held.lock_id})
    unlock(wire, place, held)
    return endpoints


def deleted_meanwhile(wire, place):
    wire.put(place, OLD)
    endpoints = wire.uploads(place, len(NEW))
    wire.ok("Delete", ref=place)
    return endpoints


def replaced_meanwhile(wire, place):
    endpoints = deleted_meanwhile(wire, place)
    wire.put(place, OLD)
    return endpoints


def parent_deleted_meanwhile(wire, place):
    endpoints = wire.uploads(place, len(NEW))
    wire.ok("Delete", ref=place.rpartition("/")[0])
    return endpoints


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


MEANWHILE = {
    made_meanwhile: (412, 409),
    made_meanwhile_and_not_wanted: (412, 409),
    folder_made_meanwhile: (412, 409),
    changed_meanwhile: (412, 412),
    touched_meanwhile: (412, 412),
    locked_meanwhile: (500, 500),
    unlocked_meanwhile: (412, 412),
    deleted_meanwhile: (500, 500),
    replaced_meanwhile: (500, 500),
    parent_deleted_meanwhile: (500, 500),
}


def seen(wire, place):
    """What others see there."""
    code = wire.code("Stat", ref=place)
    return (wire.stat(place).type, wire.stat(place).size) if code == "OK" else code


@pytest.mark.parametrize("way", ["simple", "tus"])
@pytest.mark.parametrize("spoil", MEANWHILE, ids=lambda spoil: spoil.__name__)
def test_what_has_changed_meanwhile(wire, folder, spoil, way):
    """Nothing appears. !! But the bytes stay with the upload, and a PATCH of no more bytes is 204, for nothing."""
    place = f"{wire.mkdir(f'{folder}/d')}/f"
    endpoints = spoil(wire, place)
    before = seen(wire, place)
    assert send(wire, endpoints, way) == MEANWHILE[spoil][way == "tus"]
    assert seen(wire, place) == before
    assert offset_of(wire, endpoints) == len(NEW)
    assert wire.request("PATCH", endpoints["tus"], b"", **{**PATCH, "Upload_Offset": str(len(NEW))}).status == 204
    assert seen(wire, place) == before
    assert wire.request("PUT", endpoints["simple"], NEW).status in (412, 500)


def test_what_was_moved_meanwhile(wire, folder, old):
    """It is the file that counts, and not its name."""
    endpoints = wire.uploads(old, len(NEW))
    wire.ok("Move", source=old, destination=f"{folder}/g")
    assert send(wire, endpoints, "simple") == 200
    assert not wire.exists(old)
    assert wire.content(f"{folder}/g") == NEW


def test_a_parent_that_was_moved_meanwhile(wire, folder):
    endpoints = wire.uploads(f"{wire.mkdir(f'{folder}/d')}/f", len(NEW))
    wire.ok("Move", source=f"{folder}/d", destination=f"{folder}/e")
    assert send(wire, endpoints, "simple") == 200
    assert wire.content(f"{folder}/e/f") == NEW


def test_a_failed_upload_that_is_tried_again_appends(wire, old):
    """!! The lock is gone, and what was sent twice is there twice; as long as was announced, so nobody sees it."""
    endpoints = wire.uploads(old, len(NEW))
    held = lock(wire, old)
    assert send(wire, endpoints, "simple") == 500
    unlock(wire, old, held)
    assert send(wire, endpoints, "simple", b"NEW") == 200
    assert wire.content(old) == NEW
    assert sums_of(wire, old) == sums(b"newNEW")


def test_a_locked_file(wire, old):
    held = lock(wire, old)
    assert begin(wire, old) == "LOCKED"
    assert begin(wire, old, 0) == "LOCKED"
    assert begin(wire, old, lock_id="wrong") == "INTERNAL"
    assert wire.content(old) == OLD
    endpoints = wire.uploads(old, len(NEW), conditions={"lock_id": held.lock_id})
    assert send(wire, endpoints, "simple") == 200
    assert wire.content(old) == NEW
    unlock(wire, old, held)
    assert begin(wire, old, lock_id=held.lock_id) == "INTERNAL"


def test_two_uploads_to_an_old_file(wire, old):
    """The last wins."""
    first, second = wire.uploads(old, 3), wire.uploads(old, 4)
    assert send(wire, second, "simple", b"four") == 200
    assert send(wire, first, "simple", b"one") == 200
    assert wire.content(old) == b"one"


@pytest.mark.parametrize("there", [False, True])
def test_racing_puts(wire, folder, there):
    """One of them makes the file; on an old one, each has its turn. A real one may stumble at Initiate, too."""
    if there:
        wire.put(f"{folder}/f", OLD)
    begun = [wire.uploads(f"{folder}/f", 1000) for _ in range(8)]
    statuses = []
    writers = [
        threading.Thread(target=lambda n=n, to=to: statuses.append(send(wire, to, "simple", b"%d" % n * 1000)))
        for n, to in enumerate(begun)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(statuses) == ([200] * 8 if there else [200] + [412] * 7)
    content = wire.content(f"{folder}/f")
    assert (len(content), len(set(content))) == (1000, 1)
    assert sums_of(wire, f"{folder}/f") == sums(content)


# Room


@pytest.fixture
def small(wire):
    """A space with room for 1000 bytes, that goes away with the test."""
    owner = wire.ok("WhoAmI", token=wire.token).user
    name = f"small-{uuid.uuid4().hex[:8]}"
    space = wire.ok(
        "CreateStorageSpace", type="project", name=name, owner=owner, quota={"quota_max_bytes": 1000}
    ).storage_space
    yield f"/projects/{name}"
    for opaque in ({}, {"map": {"purge": {"decoder": "plain", "value": b"true"}}}):  # first it is disabled
        wire.code("DeleteStorageSpace", id=space.id, opaque=opaque)


def test_what_there_is_room_for(wire, small):
    assert begin(wire, f"{small}/f", 1001) == "INSUFFICIENT_STORAGE"
    assert begin(wire, f"{small}/f", 1000) == "OK"
    assert wire.put(f"{small}/f", b"f" * 600) == 200
    assert begin(wire, f"{small}/g", 401) == "INSUFFICIENT_STORAGE"
    assert begin(wire, f"{small}/g", 400) == "OK"
    assert begin(wire, f"{small}/f", 700) == "OK"  # in the place of the old one


@pytest.mark.parametrize(("way", "status"), [("simple", 507), ("tus", 500)])
def test_uploads_that_race_for_room(wire, small, way, status):
    first, second = wire.uploads(f"{small}/f", 600), wire.uploads(f"{small}/g", 600)
    assert send(wire, first, "simple", b"f" * 600) == 200
    assert send(wire, second, way, b"g" * 600) == status
    assert wire.names(small) == ["f"]
    assert offset_of(wire, second) == 600


def test_only_what_is_announced_needs_room(wire, small):
    """!! 900 times the quota, as long as it is announced as 10 bytes."""
    assert wire.put(f"{small}/f", b"f" * 900_000, length=10) == 200
    assert wire.ok("GetQuota", ref=small).used_bytes == 10


# PUT


def test_an_answer(wire, folder):
    reply = wire.request("PUT", wire.uploads(f"{folder}/f", len(NEW))["simple"], NEW)
    assert (reply.status, reply.data) == (200, b"")
    info = wire.stat(f"{folder}/f")
    assert reply.headers["ETag"] == reply.headers["OC-ETag"] == info.etag
    assert reply.headers["OC-FileId"] == f"{info.id.storage_id}${info.id.space_id}!{info.id.opaque_id}"
    assert reply.headers["Last-Modified"] == formatdate(info.mtime.seconds, usegmt=True).replace("GMT", "+0000")


@pytest.mark.parametrize("size", [1, 4096, 1 << 20])
def test_checksums(wire, folder, size):
    data = bytes(range(256)) * (size // 256 + 1)
    wire.put(f"{folder}/f", data[:size])
    assert sums_of(wire, f"{folder}/f") == sums(data[:size])


@pytest.mark.parametrize("told", [3, 300])
def test_nobody_compares_lengths(wire, folder, told):
    """!! It is 200, the size is what was announced, and the checksums are of what came."""
    assert wire.put(f"{folder}/f", b"content", length=told) == 200
    assert wire.stat(f"{folder}/f").size == told
    assert sums_of(wire, f"{folder}/f") == sums(b"content")
    if told == 3:
        assert wire.content(f"{folder}/f") == b"con"
    else:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            wire.get(f"{folder}/f")


def test_no_bytes_where_some_were_announced(wire, folder):
    endpoints = wire.uploads(f"{folder}/f", len(NEW))
    assert send(wire, endpoints, "simple", b"") == 400
    assert not wire.exists(f"{folder}/f")
    assert send(wire, endpoints, "simple") == 200


@pytest.mark.parametrize("told", [3, 6])
def test_chunked(wire, folder, told):
    """!! Nothing appears; what came stays with the upload, and comes before what is sent next."""
    endpoints = wire.uploads(f"{folder}/f", told)
    assert wire.request("PUT", endpoints["simple"], iter([b"o", b"ne"])).status == 206
    assert not wire.exists(f"{folder}/f")
    assert offset_of(wire, endpoints) == 3
    assert send(wire, endpoints, "simple", b"two") == 200
    assert wire.content(f"{folder}/f") == b"onetwo"[:told]
    assert sums_of(wire, f"{folder}/f") == sums(b"onetwo")


@pytest.mark.parametrize("sent", [300_000, 1_000_000])
def test_a_killed_put_is_no_upload(wire, old, sent):
    """!! But its bytes stay, and a second PUT to the same address appends: 200, the right size, and wrong content."""
    endpoints = wire.uploads(old, 1_000_000)
    wire.killed("PUT", endpoints["simple"], 1_500_000, b"k" * sent)
    assert eventually(lambda: offset_of(wire, endpoints) == sent)
    assert wire.content(old) == OLD
    assert send(wire, endpoints, "simple", b"n" * 1_000_000) == 200
    assert wire.stat(old).size == 1_000_000
    assert wire.content(old) == (b"k" * sent + b"n" * 1_000_000)[:1_000_000]
    assert sums_of(wire, old) == sums(b"k" * sent + b"n" * 1_000_000)


def test_a_killed_put_of_a_new_file(wire, folder):
    endpoints = wire.uploads(f"{folder}/f", 1_000_000)
    wire.killed("PUT", endpoints["simple"], 1_000_000, b"k" * 300_000)
    assert eventually(lambda: offset_of(wire, endpoints) == 300_000)
    assert wire.names(folder) == []


GOOD = dict(zip(("sha1", "md5", "adler32"), sums(NEW)))


@pytest.mark.parametrize("way", ["simple", "tus"])
@pytest.mark.parametrize("kind", GOOD)
def test_a_checksum_that_is_right(wire, folder, kind, way):
    endpoints = wire.uploads(f"{folder}/f", len(NEW), **{"Upload-Checksum": f"{kind} {GOOD[kind]}"})
    assert send(wire, endpoints, way) == (200 if way == "simple" else 204)
    assert wire.content(f"{folder}/f") == NEW


@pytest.mark.parametrize("way", ["simple", "tus"])
@pytest.mark.parametrize(
    "told",
    [
        *(f"{kind} {'0' * len(right)}" for kind, right in GOOD.items()),
        f"adler32 {GOOD['adler32'].upper()}",
        f"adler32 {GOOD['adler32'].lstrip('0')}",
        f"adler32  {GOOD['adler32']}",
        f"adler32 {GOOD['adler32']} 1",
    ],
)
def test_a_checksum_that_is_wrong(wire, old, told, way):
    """!! Upper case, or without leading zeros, is wrong too. Nothing appears, and the upload is gone."""
    assert GOOD["adler32"] == "028e014b"  # letters, and a leading zero
    endpoints = wire.uploads(old, len(NEW), **{"Upload-Checksum": told})
    assert send(wire, endpoints, way) == (419 if way == "simple" else 500)
    assert wire.content(old) == OLD
    assert offset_of(wire, endpoints) is None
    assert wire.request("PUT", endpoints["simple"], NEW).status == 500


@pytest.mark.parametrize(
    ("told", "seconds", "nanos"),
    [
        (str(MTIME), MTIME, 0),
        (f"{MTIME}.123456789", MTIME, 123_456_789),
        (f"{MTIME}.5", MTIME, 5),  # !! they are nanoseconds, not a fraction
        ("0", 0, 0),
        ("nonsense", 0, 0),
        ("", 0, 0),
    ],
)
def test_the_time_of_modification(wire, folder, told, seconds, nanos):
    endpoints = wire.uploads(f"{folder}/f", len(NEW), **{"X-OC-Mtime": told})
    assert send(wire, endpoints, "simple") == 200
    mtime = wire.stat(f"{folder}/f").mtime
    assert (mtime.seconds, mtime.nanos) == (seconds, nanos)


def test_the_header_for_the_time_of_modification_is_ignored(wire, folder):
    assert wire.put(f"{folder}/f", NEW, X_OC_Mtime=str(MTIME)) == 200
    assert wire.stat(f"{folder}/f").mtime.seconds > MTIME + 1


def test_an_etag_tells_the_time_and_not_the_content(wire, folder):
    """!! Other content with the same time of modification has the same ETag."""
    etags = set()
    for data in (b"one", b"other"):
        endpoints = wire.uploads(f"{folder}/f", len(data), **{"X-OC-Mtime": str(MTIME)})
        assert send(wire, endpoints, "simple", data) == 200
        etags.add(wire.stat(f"{folder}/f").etag)
    assert len(etags) == 1
    assert wire.content(f"{folder}/f") == b"other"
