from __future__ import annotations

import base64
import threading

import pytest
import urllib3

TUS = {"Tus_Resumable": "1.0.0"}
PATCH = {**TUS, "Content_Type": "application/offset+octet-stream"}


@pytest.fixture
def tus(storage, wire, folder):
    """Begins an upload of so many bytes to `f`."""
    if not storage.has_tus:
        pytest.skip("it offers simple uploads only")
    return lambda length: wire.uploads(f"{folder}/f", length)["tus"]


def patch(wire, endpoint, data, offset=0, **headers):
    return wire.request("PATCH", endpoint, data, **{**PATCH, "Upload_Offset": str(offset), **headers})


def offset_of(wire, endpoint):
    return int(wire.request("HEAD", endpoint, **TUS).headers["Upload-Offset"])


def test_head(storage, wire, tus):
    reply = wire.request("HEAD", tus(10), **TUS)
    assert reply.status == 200
    assert (reply.headers["Upload-Offset"], reply.headers["Upload-Length"]) == ("0", "10")
    assert reply.headers["Tus-Resumable"] == "1.0.0"
    assert ("Upload-Expires" in reply.headers) != storage.data_exposed


def test_head_needs_no_version(wire, tus):
    assert wire.request("HEAD", tus(10)).status == 200


def test_in_two_pieces(wire, folder, tus):
    endpoint = tus(10)
    reply = patch(wire, endpoint, b"hello")
    assert (reply.status, reply.headers["Upload-Offset"], reply.data) == (204, "5", b"")
    assert offset_of(wire, endpoint) == 5
    assert not wire.exists(f"{folder}/f")
    assert patch(wire, endpoint, b"world", 5).status == 204
    assert wire.content(f"{folder}/f") == b"helloworld"


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


def test_a_body_that_is_too_long(storage, wire, folder, tus):
    """!! Behind the data gateway the rest is dropped without a word."""
    endpoint = tus(4)
    assert patch(wire, endpoint, b"too long").status == (413 if storage.data_exposed else 204)
    if not storage.data_exposed:
        assert wire.content(f"{folder}/f") == b"too "
    else:
        assert not wire.exists(f"{folder}/f")


def test_no_bytes_make_no_file(wire, folder, tus):
    """!! 204, and nothing is there."""
    assert patch(wire, tus(0), b"").status == 204
    assert not wire.exists(f"{folder}/f")


def test_a_killed_patch_keeps_what_came(wire, folder, tus):
    endpoint = tus(1_000_000)
    headers = {name.replace("_", "-"): value for name, value in PATCH.items()}
    wire.killed("PATCH", endpoint, 1_000_000, b"k" * 300_000, **headers, **{"Upload-Offset": "0"})
    for _ in range(200):
        offset = offset_of(wire, endpoint)
        if offset == 300_000:
            break
        threading.Event().wait(0.02)
    assert offset == 300_000
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


def test_a_missing_parent(wire, folder, storage, tus):
    endpoint = wire.uploads(f"{folder}/missing/f", 4)["tus"]
    assert patch(wire, endpoint, b"data").status == 500
    assert not wire.exists(f"{folder}/missing")


def test_onto_a_folder(wire, folder, tus):
    """!! As with a PUT: the tree is gone."""
    wire.mkdir(f"{folder}/d")
    wire.touch(f"{folder}/d/precious")
    assert patch(wire, wire.uploads(f"{folder}/d", 4)["tus"], b"file").status == 204
    assert wire.content(f"{folder}/d") == b"file"


def test_an_upload_that_was_given_up(storage, wire, tus):
    endpoint = tus(10)
    patch(wire, endpoint, b"hello")
    assert wire.request("DELETE", endpoint, **TUS).status == (204 if storage.data_exposed else 501)
    assert wire.request("HEAD", endpoint, **TUS).status == (404 if storage.data_exposed else 200)


def test_options(storage, wire, tus):
    reply = wire.request("OPTIONS", tus(10), **TUS)
    assert reply.status == (200 if storage.data_exposed else 501)
    if storage.data_exposed:
        assert reply.headers["Tus-Version"] == "1.0.0"
        assert set(reply.headers["Tus-Extension"].split(",")) == {"creation", "creation-with-upload", "termination"}


def test_creation_by_post(storage, wire, tus):
    """!! Advertised where the data server is exposed, and the connection just ends. Use InitiateFileUpload."""
    endpoint = tus(10)
    metadata = ",".join(
        f"{key} {base64.b64encode(value).decode()}" for key, value in [("filename", b"f"), ("dir", b"/")]
    )
    headers = {**TUS, "Upload_Length": "10", "Upload_Metadata": metadata}
    if not storage.data_exposed:
        assert wire.request("POST", endpoint, **headers).status == 501
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
