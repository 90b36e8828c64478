from __future__ import annotations

import hashlib
from email.utils import formatdate

import pytest

from tests.conformance.sending import OLD
from tests.conformance.wire import answer_of


@pytest.fixture
def ranged(storage):
    if not storage.facts.serves_ranges:
        pytest.skip("it serves no ranges")


def test_get(storage, wire, old):
    reply = wire.get(old)
    assert (reply.status, reply.data, reply.headers["Content-Length"]) == (200, OLD, str(len(OLD)))
    assert ("ETag" in reply.headers) == storage.facts.serves_ranges


@pytest.mark.usefixtures("ranged")
def test_what_a_get_says(storage, wire, old):
    said, info = wire.get(old).headers, wire.stat(old)
    assert said["ETag"] == said["OC-ETag"] == info.etag
    assert said["OC-FileId"] == f"{info.id.storage_id}${info.id.space_id}!{info.id.opaque_id}"
    assert said["OC-Checksum"] == f"SHA1:{info.checksum.sum}" == f"SHA1:{hashlib.sha1(OLD).hexdigest()}"
    assert said["Last-Modified"] == formatdate(info.mtime.seconds, usegmt=True).replace("GMT", "+0000")
    assert said["Content-Disposition"] == "attachment; filename*=UTF-8''f; filename=\"f\""
    assert said["Content-Type"] == "application/octet-stream; charset=UTF-8"
    assert said["Accept-Ranges"] == "bytes"


def test_head(wire, old):
    reply = wire.request("HEAD", wire.download(old))
    assert (reply.status, reply.headers["Content-Length"], reply.data) == (200, str(len(OLD)), b"")


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ("bytes=0-", 416),
        ("bytes=2-4", 416),
        ("bytes=-3", 416),
        ("bytes=0-1,3-4", 416),
        ("bytes=100-", 416),
        ("bytes=4-2", 416),
        ("bytes=x-", 416),
        ("bytes=nonsense", 200),
        ("nonsense", 200),
    ],
)
def test_ranges_are_never_served(storage, wire, old, wanted, status):
    if storage.facts.serves_ranges:
        pytest.skip("it serves them")
    reply = wire.get(old, Range=wanted)
    assert (reply.status, reply.data) == (status, OLD if status == 200 else b"")
    understood = wanted in ("bytes=0-", "bytes=2-4", "bytes=-3", "bytes=0-1,3-4")
    assert reply.headers.get("Accept-Ranges") == ("bytes" if understood else None)
    assert reply.headers.get("Content-Range") == (f"bytes */{len(OLD)}" if wanted == "bytes=100-" else None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("wanted", "status", "told"),  # what Content-Range says
    [
        ("bytes=0-", 206, "bytes 0-10/11"),
        ("bytes=2-4", 206, "bytes 2-4/11"),
        ("bytes= 2-4", 206, "bytes 2-4/11"),
        ("bytes=2-4,", 206, "bytes 2-4/11"),
        ("bytes=4-400", 206, "bytes 4-10/11"),
        ("bytes=-3", 206, "bytes 8-10/11"),
        ("bytes=-300", 206, "bytes 0-10/11"),
        ("bytes=-0", 206, "bytes 11-10/11"),
        ("bytes=0-1,50-60", 206, "bytes 0-1/11"),
        ("bytes=11-", 416, "bytes */11"),
        ("bytes=50-60,70-", 416, "bytes */11"),
        ("bytes=4-2", 416, None),
        ("bytes=x-", 416, None),
        ("bytes=nonsense", 416, None),
        ("nonsense", 416, None),
        ("bytes=0-8,1-9", 200, None),  # more than the file has
    ],
)
@pytest.mark.usefixtures("ranged")
def test_ranges(wire, old, method, wanted, status, told):
    reply = wire.request(method, wire.download(old), Range=wanted)
    assert (reply.status, reply.headers.get("Content-Range")) == (status, told)
    body = b"" if status == 416 else OLD
    if status == 206:
        first, last = map(int, told[len("bytes ") :].partition("/")[0].split("-"))
        body = OLD[first : last + 1]
    assert reply.headers.get("Content-Length", "0") == str(len(body))  # in some answers to HEAD it is left out
    assert reply.data == (body if method == "GET" else b"")


@pytest.mark.parametrize("count", [2, 7])
@pytest.mark.usefixtures("ranged")
def test_several_ranges(wire, folder, count):
    """!! The end is cut off, 15 bytes for each part: what `; charset=UTF-8` takes."""
    data = bytes(range(65, 91)) * 4
    wire.put(f"{folder}/g", data)
    reply = wire.get(f"{folder}/g", Range="bytes=" + ",".join(f"{n * 10}-{n * 10 + 3}" for n in range(count)))
    assert reply.status == 206
    kind, _, boundary = reply.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    whole = ""
    for start in range(0, count * 10, 10):
        whole += f"--{boundary}\r\nContent-Range: bytes {start}-{start + 3}/{len(data)}\r\n"
        whole += f"Content-Type: application/octet-stream; charset=UTF-8\r\n\r\n{data[start : start + 4].decode()}\r\n"
    whole += f"--{boundary}--\r\n"
    assert reply.data.decode() == whole[: -15 * count]
    assert reply.headers["Content-Length"] == str(len(reply.data))


def test_a_range_of_an_empty_file(storage, wire, folder):
    """All of it, or nothing where ranges are served."""
    wire.uploads(f"{folder}/f", 0) if storage.facts.commits_empty_at_once else wire.touch(f"{folder}/f")
    reply = wire.get(f"{folder}/f", Range="bytes=0-")
    assert (reply.status, reply.data) == (416 if storage.facts.serves_ranges else 200, b"")
    assert reply.headers.get("Content-Range") == ("bytes */0" if storage.facts.serves_ranges else None)


@pytest.mark.parametrize(
    "headers",
    [
        {"If_None_Match": "*"},
        {"If_Match": '"wrong"'},
        {"If_Modified_Since": "Fri, 01 Jan 2038 00:00:00 GMT"},
        {"If_Unmodified_Since": "Mon, 01 Jan 2007 00:00:00 GMT"},
        {"Want_Digest": "adler32"},
    ],
    ids=str,
)
def test_conditions_are_ignored(wire, old, headers):
    reply = wire.get(old, **headers)
    assert (reply.status, reply.data) == (200, OLD)
    assert "Digest" not in reply.headers


@pytest.mark.usefixtures("ranged")
def test_a_range_of_a_file_that_has_changed(wire, old):
    """!! Bytes of the new one: who resumes has to compare the ETag that comes with them."""
    before = wire.get(old).headers["ETag"]
    assert wire.put(old, b"new content") == 200
    for condition in ({"If_Range": before}, {"If_Match": before}):
        reply = wire.get(old, Range="bytes=0-2", **condition)
        assert (reply.status, reply.data) == (206, b"new")
        assert reply.headers["ETag"] != before


@pytest.mark.usefixtures("ranged")
def test_a_file_that_has_not_changed(wire, old):
    reply = wire.get(old, If_None_Match=wire.stat(old).etag)
    assert (reply.status, reply.data) == (304, b"")
    reply = wire.get(old, If_None_Match=wire.stat(old).etag, Range="bytes=0-1")
    assert (reply.status, reply.data) == (206, b"ol")


def test_a_missing_file(wire, folder):
    assert wire.get(f"{folder}/missing").status == 404


def test_a_folder_breaks_the_connection(storage, wire, folder):
    inner = wire.mkdir(f"{folder}/d")
    if storage.facts.has_spaces:  # the size of a folder is that of what is in it
        wire.put(f"{inner}/f", OLD)
    connection = wire.open_request("GET", wire.download(inner), 0, Connection="close")
    reply = answer_of(connection)
    assert reply.status == 200
    sizes = {"reva-ceph": 0, "reva-local": 4096, "reva-localhome": 4096}
    assert int(reply.headers["Content-Length"]) == sizes.get(storage.behaviour, len(OLD))
    assert len(reply.fp.read()) == 0
    connection.close()


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_other_methods(wire, old, method):
    assert wire.request(method, wire.download(old)).status == 501


def test_many_small_files_over_one_connection(wire, folder):
    for number in range(20):
        assert wire.put(f"{folder}/{number}", b"%d" % number) == 200
    assert wire.http.connection_from_url(wire.download(f"{folder}/1").url).num_connections == 1
