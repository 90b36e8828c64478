from __future__ import annotations

import base64
import threading

import pytest
import urllib3

from tests.conformance.wire import answer_of

TUS = {"Tus_Resumable": "1.0.0"}
PATCH = {**TUS, "Content_Type": "application/offset+octet-stream"}


@pytest.fixture
def tus(storage, wire, folder):
    """Begins an upload of so many bytes to `f`."""
    if not storage.has_tus:
        pytest.skip("it offers simple uploads only")
    return lambda length: wire.uploads(f"{folder}/f", length)["tus"]


@pytest.fixture
def whole(storage):
    """Whether all of the protocol goes through the data gateway, if there is one, to a newer server."""
    return storage.facts.checks_uploads


def patch(wire, endpoint, data, offset=0, **headers):
    return wire.request("PATCH", endpoint, data, **{**PATCH, "Upload_Offset": str(offset), **headers})


def offset_of(wire, endpoint):
    return int(wire.request("HEAD", endpoint, **TUS).headers["Upload-Offset"])


def test_head(storage, wire, tus, whole):
    reply = wire.request("HEAD", tus(10), **TUS)
    assert reply.status == 200
    assert (reply.headers["Upload-Offset"], reply.headers["Upload-Length"]) == ("0", "10")
    assert reply.headers["Tus-Resumable"] == "1.0.0"
    assert ("Upload-Expires" in reply.headers) != (storage.data_exposed or whole)


def test_head_needs_no_version(wire, tus):
    assert wire.request("HEAD", tus(10)).status == 200


def test_in_two_pieces(wire, folder, tus, whole):
    endpoint = tus(10)
    reply = patch(wire, endpoint, b"hello")
    assert (reply.status, reply.headers["Upload-Offset"], reply.data) == (204, "5", b"")
    assert reply.headers.get("Upload-Expires", "").isdigit() == whole  # in seconds, and not an HTTP date
    assert offset_of(wire, endpoint) == 5
    assert not wire.exists(f"{folder}/f")
    assert patch(wire, endpoint, b"world", 5).status == 204
    assert wire.content(f"{folder}/f") == b"helloworld"


def test_an_answer(storage, wire, folder, tus):
    """It has the id that the file will have, and never an ETag."""
    if not storage.facts.checks_uploads:
        pytest.skip("its answers say nothing")
    endpoint = tus(4)
    ids = {patch(wire, endpoint, part, offset).headers["OC-FileId"] for part, offset in ((b"da", 0), (b"t", 2))}
    last = patch(wire, endpoint, b"a", 3)
    assert "ETag" not in last.headers
    info = wire.stat(f"{folder}/f")
    assert {*ids, last.headers["OC-FileId"]} == {f"{info.id.storage_id}${info.id.space_id}!{info.id.opaque_id}"}


def test_over_an_old_file(wire, folder, tus):
    wire.put(f"{folder}/f", b"old")
    endpoint = tus(4)
    patch(wire, endpoint, b"ne")
    assert wire.content(f"{folder}/f") == b"old"
    patch(wire, endpoint, b"w!", 2)
    assert wire.content(f"{folder}/f") == b"new!"


@pytest.mark.parametrize("method", ["HEAD", "PATCH"])
def test_a_finished_upload_is_gone(wire, tus, method):
    endpoint = tus(2)
    assert patch(wire, endpoint, b"ab").status == 204
    reply = patch(wire, endpoint, b"c", 2) if method == "PATCH" else wire.request("HEAD", endpoint, **TUS)
    assert reply.status == 404


@pytest.mark.parametrize("offset", [1, 5, 9])
def test_a_wrong_offset(wire, folder, tus, offset):
    endpoint = tus(10)
    assert patch(wire, endpoint, b"hello", offset).status == 409
    assert offset_of(wire, endpoint) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus_Resumable": None}, 412),
        ({"Tus_Resumable": "0.2.2"}, 412),
        ({"Content_Type": "text/plain"}, 400),
        ({"Upload_Offset": None}, 400),
        ({"Upload_Offset": "-1"}, 400),
        ({"Upload_Offset": "x"}, 400),
    ],
    ids=str,
)
def test_what_a_patch_must_say(wire, tus, headers, status):
    endpoint = tus(10)
    assert patch(wire, endpoint, b"hello", **headers).status == status
    assert offset_of(wire, endpoint) == 0


def test_a_body_that_is_too_long(storage, wire, folder, tus, whole):
    """!! Behind an older data gateway the rest is dropped without a word."""
    endpoint = tus(4)
    refused = storage.data_exposed or whole
    assert patch(wire, endpoint, b"too long").status == (413 if refused else 204)
    if refused:
        assert not wire.exists(f"{folder}/f")
        assert offset_of(wire, endpoint) == 0
    else:
        assert wire.content(f"{folder}/f") == b"too "


def test_a_body_in_chunks_that_is_too_long(storage, wire, folder, tus, whole):
    """!! As much as fits is a file, and yet it may be 413."""
    status = patch(wire, tus(4), iter([b"too", b" long"])).status
    assert status == (413 if whole else 204)
    assert wire.content(f"{folder}/f") == b"too "


def test_no_bytes(storage, wire, folder, tus):
    """!! 204, and nothing is there; or else the upload is over when it begins."""
    endpoint = tus(0)
    at_once = storage.facts.commits_empty_at_once
    assert patch(wire, endpoint, b"").status == (404 if at_once else 204)
    assert wire.exists(f"{folder}/f") == at_once


def test_a_patch_of_nothing(wire, folder, tus):
    endpoint = tus(4)
    assert patch(wire, endpoint, b"").status == 204
    assert offset_of(wire, endpoint) == 0
    assert not wire.exists(f"{folder}/f")


def test_a_killed_patch_keeps_what_came(wire, folder, tus):
    endpoint = tus(1_000_000)
    headers = {name.replace("_", "-"): value for name, value in PATCH.items()}
    wire.killed("PATCH", endpoint, 1_000_000, b"k" * 300_000, **headers, **{"Upload-Offset": "0"})
    offset = 300_000
    for _ in range(200):  # while it writes what came, a real one may have no offset to tell
        if wire.request("HEAD", endpoint, **TUS).headers.get("Upload-Offset") == str(offset):
            break
        threading.Event().wait(0.02)
    assert offset_of(wire, endpoint) == offset
    assert not wire.exists(f"{folder}/f")
    assert patch(wire, endpoint, b"r" * 700_000, offset).status == 204
    assert wire.content(f"{folder}/f") == b"k" * 300_000 + b"r" * 700_000


@pytest.mark.parametrize("token", [None, "garbage"])
def test_nobody_asks_for_the_access_token(wire, folder, tus, token):
    """!! Who knows the upload's address, or has its transfer token, may write."""
    assert patch(wire, tus(4), b"data", X_Access_Token=token).status == 204
    assert wire.content(f"{folder}/f") == b"data"


def test_a_checksum_is_not_compared(wire, folder, tus):
    assert patch(wire, tus(4), b"data", Upload_Checksum="sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=").status == 204
    assert wire.content(f"{folder}/f") == b"data"


def test_a_missing_parent(wire, folder, storage, tus, whole):
    if whole:
        pytest.skip("it is missed when the upload is announced: test_wire_announced.py")
    endpoint = wire.uploads(f"{folder}/missing/f", 4)["tus"]
    assert patch(wire, endpoint, b"data").status == 500
    assert not wire.exists(f"{folder}/missing")


def test_onto_a_folder(wire, folder, tus, whole):
    """!! As with a PUT: the tree is gone."""
    if whole:
        pytest.skip("it is refused when the upload is announced: test_wire_announced.py")
    wire.mkdir(f"{folder}/d")
    wire.touch(f"{folder}/d/precious")
    assert patch(wire, wire.uploads(f"{folder}/d", 4)["tus"], b"file").status == 204
    assert wire.content(f"{folder}/d") == b"file"


def test_an_upload_that_was_given_up(storage, wire, folder, tus, whole):
    wire.put(f"{folder}/f", b"old")
    endpoint = tus(10)
    patch(wire, endpoint, b"hello")
    served = storage.data_exposed or whole
    assert wire.request("DELETE", endpoint, **TUS).status == (204 if served else 501)
    assert wire.request("HEAD", endpoint, **TUS).status == (404 if served else 200)
    assert wire.content(f"{folder}/f") == b"old"


def test_options(storage, wire, tus, whole):
    reply = wire.request("OPTIONS", tus(10), **TUS)
    served = storage.data_exposed or whole
    assert reply.status == (200 if served else 501)
    if served:
        assert reply.headers["Tus-Version"] == "1.0.0"
        more = {"concatenation", "creation-defer-length"} if whole else set()
        told = set(reply.headers["Tus-Extension"].split(","))
        assert told == {"creation", "creation-with-upload", "termination", *more}


def test_creation_by_post(storage, wire, tus, whole):
    """!! Advertised, and never done: the connection may just end. Use InitiateFileUpload."""
    endpoint = tus(10)
    metadata = ",".join(
        f"{key} {base64.b64encode(value).decode()}" for key, value in [("filename", b"f"), ("dir", b"/")]
    )
    headers = {**TUS, "Upload_Length": "10", "Upload_Metadata": metadata}
    if not storage.data_exposed:
        assert wire.request("POST", endpoint, **headers).status == (500 if whole else 501)
        return
    creation = endpoint.url.rpartition("/")[0]
    with pytest.raises(urllib3.exceptions.ProtocolError):
        wire.request("POST", endpoint, url=creation, **headers)
    assert wire.request("POST", endpoint, url=creation, **{**headers, "Upload_Metadata": None}).status == 500


def test_an_unknown_upload(storage, wire, tus):
    if not storage.data_exposed:
        pytest.skip("no upload can be named but by its token")
    endpoint = tus(10)
    unknown = endpoint.url[:-12] + "0" * 12
    assert wire.request("HEAD", endpoint, url=unknown, **TUS).status == 404


def test_the_two_protocols_share_one_upload(storage, wire, folder, tus):
    """!! Bytes that came by TUS stay when a PUT to the same upload follows."""
    found = wire.uploads(f"{folder}/f", 10)
    assert patch(wire, found["tus"], b"hello").status == 204
    assert wire.request("PUT", found["simple"], b"world").status == 200
    assert wire.content(f"{folder}/f") == b"helloworld"


def test_a_late_patch(storage, wire, folder, tus):
    """!! A request that was given up for dead writes on: on the first line into a file that has its name already."""
    endpoint = tus(1000)
    headers = {name.replace("_", "-"): value for name, value in PATCH.items()}
    late = wire.open_request("PATCH", endpoint, 700, **headers, **{"Upload-Offset": "0"})
    late.sendall(b"a" * 300)
    for _ in range(200):
        if offset_of(wire, endpoint) == 300:
            break
        threading.Event().wait(0.02)
    assert patch(wire, endpoint, b"a" * 700, 300).status == 204
    late.sendall(b"b" * 400)
    assert answer_of(late).status == 204
    late.close()
    if not storage.facts.asynchronous:
        grown = b"" if storage.facts.checks_uploads else b"b" * 400
        assert wire.content(f"{folder}/f") == b"a" * 1000 + grown
