"""What is checked of the bytes of an upload, on the second line, and what is not."""

from __future__ import annotations

from email.utils import formatdate

import pytest
import urllib3

from tests.conformance.sending import OLD, eventually, offset_of, send, sums, sums_of

NEW = b"new"
MTIME = 1_600_000_000

pytestmark = pytest.mark.usefixtures("checking")


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
    assert send(wire, endpoints, "simple", NEW) == 200


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
    assert send(wire, endpoints, way, NEW) == (200 if way == "simple" else 204)
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
    assert send(wire, endpoints, way, NEW) == (419 if way == "simple" else 500)
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
    assert send(wire, endpoints, "simple", NEW) == 200
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
