"""The WebDAV door of the second line, where it does otherwise than that of the first: test_wire_webdav.py.

What is marked with !! loses data, or says what is not so.
"""

from __future__ import annotations

import hashlib
import zlib
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest

from tests.conformance.dav import ASK, NEW, OC, OLD, D, patch
from tests.conformance.names import NAMES
from tests.conformance.wire import Endpoint

pytestmark = pytest.mark.usefixtures("second_line")
SHA1, MD5 = hashlib.sha1(NEW).hexdigest(), hashlib.md5(NEW).hexdigest()
ADLER32 = f"{zlib.adler32(NEW):08x}"
BAD_NAMES = {"back\\slash", "new\nline"}
MEDIA = {f"{OC}{name}" for name in ("audio", "image", "location", "photo")}
LOCK = (
    '<d:lockinfo xmlns:d="DAV:"><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype>'
    "<d:owner>me</d:owner></d:lockinfo>"
)


@pytest.fixture
def space(storage, wire):
    """What the user's own space is called: with its storage, and without."""
    root = wire.stat(storage.home).id
    return f"{root.storage_id}${root.space_id}", root.space_id


# Where it opens


@pytest.mark.parametrize("base", ["/dav/spaces/{}", "/remote.php/dav/spaces/{}"])
@pytest.mark.parametrize("spelt", ["{0}", "{1}", "{0}!{1}"])
def test_each_space_has_a_door(dav, space, base, spelt):
    url = dav.url("/f", base.format(spelt.format(*space)))
    assert dav.code("PUT", url=url, body=OLD) == 201
    assert dav.content("/f") == OLD
    [response] = ET.fromstring(dav("PROPFIND", url=url, Depth="0").data)
    assert unquote(response.find(f"{D}href").text) == unquote(urlsplit(url).path)


@pytest.mark.parametrize(
    "base", ["/dav/spaces", "/dav/spaces/nonsense", "/dav/spaces/{0}x", "/dav/spaces/other${1}", "/dav/files/somebody"]
)
def test_there_is_no_other_door(dav, space, base):
    dav.put("/f")
    assert dav.code("PROPFIND", url=dav.url("/f", base.format(*space)), Depth="0") == 404


def test_strangers_have_no_door_to_a_space(storage, dav, space):
    if not storage.other_user:
        pytest.skip("nobody else to try")
    dav.put("/f")
    other = storage.wire(*storage.other_user)
    url = dav.url("/f", f"/dav/spaces/{space[0]}")
    assert dav.code("GET", url=url, login=False, X_Access_Token=other.token) == 404


# PROPFIND


def test_a_file_and_a_folder(wire, folder, dav, space):
    dav.put("/f", NEW)
    [(_, there, missing)] = dav.find("/f")
    info = wire.stat(f"{folder}/f")
    assert there[f"{OC}id"] == f"{space[0]}!{info.id.opaque_id}"
    assert there[f"{OC}file-parent"] == f"{space[0]}!{info.parent_id.opaque_id}"
    assert (there[f"{OC}spaceid"], there[f"{OC}name"], there[f"{D}displayname"]) == (space[0], "f", "f")
    assert (there[f"{D}getetag"], there[f"{OC}permissions"]) == (info.etag, "RDNVWZP")
    assert f"{OC}size" not in there
    assert missing == MEDIA
    [(_, there, _)] = dav.find("")
    assert (there[f"{OC}size"], there[f"{OC}permissions"]) == (str(len(NEW)), "RDNVCKZP")
    assert f"{OC}checksums" not in there


@pytest.mark.parametrize("depth", ["0", "1"])
def test_the_top_of_a_users_door_tells_half_an_id(wire, storage, dav, space, depth):
    """Without the storage's, and in place of the name; what is below it, and the door of the space, tell the whole."""
    body = ASK.format("<d:prop><oc:id/><oc:spaceid/><oc:file-parent/><oc:name/></d:prop>")
    root = wire.stat(storage.home)
    own = root.id.space_id

    def told(url):
        reply = dav("PROPFIND", "", body, url=url, Depth=depth)
        top = ET.fromstring(reply.data).find(f"{D}response")
        return [top.find(f".//{OC}{name}").text for name in ("id", "spaceid", "file-parent", "name")]

    assert told(storage.dav) == [f"{own}!{own}", own, own, own]
    assert told(f"{dav.site}/dav/spaces/{space[0]}") == [f"{space[0]}!{own}", space[0], space[0], root.name]


def test_all_three_checksums_in_one(dav):
    dav.put("/f", NEW)
    reply = dav("PROPFIND", "/f", ASK.format("<d:prop><oc:checksums/></d:prop>"), Depth="0")
    found = ET.fromstring(reply.data).find(f".//{OC}checksums/{OC}checksum").text
    assert found == f"SHA1:{SHA1} MD5:{MD5} ADLER32:{ADLER32}"


def test_what_is_asked_for_by_name(dav):
    dav.put("/f")
    body = ASK.format("<d:prop><d:getetag/><oc:size/><d:displayname/><oc:foo/><x:own/></d:prop>")
    [(_, there, missing)] = dav.find("/f", body)
    assert set(there) == {f"{D}getetag", f"{OC}size"}
    assert missing == {f"{D}displayname", f"{OC}foo", "{urn:x}own"}


@pytest.mark.parametrize(("depth", "code"), [("0", 207), ("1", 207), ("infinity", 207), ("Infinity", 207), ("2", 400)])
def test_depths(dav, depth, code):
    assert dav.code("PROPFIND", Depth=depth) == code


def test_a_file_that_is_listed_comes_once(dav):
    assert dav.hrefs(dav.put("/f"), depth="1") == [dav.path("/f")]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_hard(wire, folder, dav, name):
    good = name not in BAD_NAMES
    assert dav.code("PUT", f"/{name}", OLD) == (201 if good else 400)
    assert wire.names(folder) == ([name] if good else [])
    if good:
        [_, (href, there, _)] = dav.find(depth="1")
        assert unquote(href) == dav.path(f"/{name}")
        assert there[f"{OC}name"] == name
        assert dav("GET", url=f"{dav.site}{href}").data == OLD


def test_properties_are_metadata(wire, folder, dav):
    dav.put("/f")
    own = '<x:own xmlns:x="urn:x">{}</x:own>'
    assert dav.code("PROPPATCH", "/f", patch("set", own.format("value"))) == 207
    assert wire.metadata(f"{folder}/f")["urn:x/own"] == "value"
    asked = ASK.format("<d:prop><x:own/></d:prop>")
    assert dav.find("/f", asked)[0][1]["{urn:x}own"] == "value"
    assert b"204 No Content" in dav("PROPPATCH", "/f", patch("remove", own.format(""))).data
    assert dav.find("/f", asked)[0][2] == {"{urn:x}own"}


@pytest.mark.parametrize(
    ("path", "body", "code"), [("/missing", None, 200), ("/f", "garbage", 400), ("/f", "<x/>", 400)]
)
def test_patches_that_fail(dav, path, body, code):
    """!! Where nothing is, the code is that of a success."""
    dav.put("/f")
    assert dav.code("PROPPATCH", path, body or patch("set", "<x>y</x>")) == code


# GET and HEAD


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_checksum_in_a_header(dav, method):
    told = dav(method, dav.put("/f", NEW)).headers
    assert told["OC-Checksum"] == f"SHA1:{SHA1}"
    assert "Digest" not in told


@pytest.mark.parametrize(
    ("wanted", "code", "content"),
    [("bytes=0-", 206, OLD), ("bytes=2-4", 206, OLD[2:5]), ("bytes=-3", 206, OLD[-3:]), ("bytes=100-", 416, b"")],
)
def test_ranges(dav, wanted, code, content):
    reply = dav("GET", dav.put("/f"), Range=wanted)
    assert (reply.status, reply.data) == (code, content)
    assert dav.code("HEAD", "/f", Range=wanted) == 200


def test_no_condition_is_looked_at(dav):
    etag = dav("HEAD", dav.put("/f")).headers["ETag"]
    assert dav.code("GET", "/f", If_None_Match=etag) == 200
    assert dav.code("GET", "/f", If_Match='"wrong"') == 200


def test_a_folder_has_no_content(dav):
    reply = dav("GET", "")
    assert (reply.status, reply.data) == (200, b"")
    assert (dav.code("HEAD", ""), dav.code("GET", "/missing"), dav.code("HEAD", "/missing")) == (200, 404, 404)


# PUT

PUTS = {
    "another etag": ({"If_Match": '"wrong"'}, 409, OLD),
    "a range": ({"Content_Range": "bytes 0-4/1000"}, 501, OLD),
    "only where nothing is, and that is ignored": ({"If_None_Match": "*"}, 204, NEW),
    "a checksum": ({"OC_Checksum": f"ADLER32:{ADLER32}"}, 204, NEW),
    "a checksum in small letters": ({"OC_Checksum": f"sha1:{SHA1}"}, 204, NEW),
    "a checksum for tus": ({"Upload_Checksum": f"md5 {MD5}"}, 204, NEW),
    "a wrong checksum": ({"OC_Checksum": "ADLER32:00000001"}, 400, OLD),
    "a checksum in capital hex": ({"OC_Checksum": f"SHA1:{SHA1.upper()}"}, 400, OLD),
    "a wrong checksum for tus": ({"Upload_Checksum": "adler32 00000001"}, 400, OLD),
    "a wrong digest, and that is ignored": ({"Digest": "adler32=00000001"}, 204, NEW),
    "a checksum of no kind": ({"OC_Checksum": "00000001"}, 400, OLD),
    "a checksum of another kind": ({"OC_Checksum": "CRC:00000001"}, 400, OLD),
}


@pytest.mark.parametrize("case", PUTS)
def test_put_with(dav, case):
    headers, code, content = PUTS[case]
    dav.put("/f")
    assert dav.code("PUT", "/f", NEW, **headers) == code
    assert dav.content("/f") == content


def test_what_a_wrong_checksum_leaves_behind(wire, folder, dav):
    assert dav.code("PUT", "/f", NEW, OC_Checksum="ADLER32:00000001") == 400
    assert wire.names(folder) == []


def test_put_if_match(dav):
    etag = dav("HEAD", dav.put("/f")).headers["ETag"]
    assert dav.code("PUT", "/f", NEW, If_Match=etag) == 204
    assert dav.code("PUT", "/new", NEW, If_Match=etag) == 409


def test_put_where_it_does_not_go(dav):
    dav.put("/f")
    assert dav.code("MKCOL", "/d") == 201
    codes = {"/d": 409, "/f/below": 500, "/missing/f": 409, "/" + "n" * 256: 400}
    assert {path: dav.code("PUT", path, NEW) for path in codes} == codes
    assert dav.content("/f") == OLD


def test_mtime_is_kept(wire, folder, dav):
    assert dav("PUT", "/f", NEW, X_OC_Mtime="1000000000").headers["X-OC-Mtime"] == "accepted"
    assert wire.stat(f"{folder}/f").mtime.seconds == 1_000_000_000


def test_a_killed_put_changes_nothing(wire, folder, dav):
    dav.put("/f")
    wire.killed("PUT", Endpoint("", dav.url("/f"), ""), 1_000_000, NEW)
    dav.put("/g")  # by then it is over
    assert dav.content("/f") == OLD


# DELETE, MOVE and COPY


def test_the_root_of_a_space_is_not_deleted_by_its_door(dav, space):
    assert dav.code("DELETE", url=f"{dav.site}/dav/spaces/{space[0]}") == 405
    assert dav.code("PROPFIND", url=f"{dav.root}/", Depth="0") == 207


@pytest.mark.breaks_storage
def test_the_root_of_a_space_is_deleted_by_another(storage, wire, dav):
    """!! An error is told, and the space is gone with all that was in it."""
    wire.put(f"{storage.home}/f", OLD)
    assert dav.code("DELETE", url=f"{dav.root}/") == 500
    assert dav.code("PROPFIND", url=f"{dav.root}/", Depth="0") == 404


# How it ends, and what there is then at the source, and at the target.
TARGETS = {
    ("MOVE", "/f/below"): (500, NEW, None),
    ("MOVE", "/missing/g"): (409, NEW, None),
    ("MOVE", "/../../../../../missing/g"): (404, NEW, None),
    ("MOVE", "/" + "n" * 256): (400, NEW, None),
    ("MOVE", "/g"): (404, None, None),  # !! the file is gone
    ("COPY", "/f/below"): (201, NEW, None),  # !! and nothing was done
    ("COPY", "/missing/g"): (409, NEW, None),
    ("COPY", "/../../../../../missing/g"): (404, NEW, None),
    ("COPY", "/" + "n" * 256): (400, NEW, None),
    ("COPY", "/g"): (204, NEW, NEW),
}


@pytest.mark.parametrize("case", TARGETS, ids=lambda case: "-".join(case)[:20])
def test_targets(dav, case):
    method, target = case
    dav.put("/f")
    dav.put("/g", NEW)
    code = dav.code(method, "/g", Destination=dav.url(target))
    there = dav.content(target) if ".." not in target and len(target) < 255 else None
    assert (code, dav.content("/g"), there) == TARGETS[case]
    assert dav.content("/f") == OLD


def test_a_copy_of_some_depth_is_one_of_the_folder_alone(dav):
    dav.code("MKCOL", "/d")
    dav.put("/d/f")
    assert dav.code("COPY", "/d", Destination=dav.url("/e"), Depth="1") == 201
    assert dav.hrefs("/e") == [dav.path("/e/")]


@pytest.mark.parametrize("method", ["MOVE", "COPY"])
def test_from_door_to_door_nothing_goes(dav, space, method):
    dav.put("/f")
    one, other = (dav.url("/g", base) for base in (None, f"/dav/spaces/{space[0]}"))
    assert dav.code(method, "/f", Destination=other) == 400
    assert dav.code(method, url=dav.url("/f", f"/dav/spaces/{space[0]}"), Destination=one) == 400
    assert dav.code(method, url=dav.url("/f", f"/dav/spaces/{space[0]}"), Destination=other) == 201
    assert dav.content("/g") == OLD


# Locks


def test_a_lock_keeps_everybody_out(dav):
    """Even who brings its token."""
    reply = dav("LOCK", dav.put("/f"), LOCK)
    token = reply.headers["Lock-Token"]
    assert reply.status == 200
    assert f"<{ET.fromstring(reply.data).find(f'.//{D}locktoken/{D}href').text}>" == token
    assert dav.code("LOCK", "/f", LOCK) == 423
    for method, told in {
        "PUT": {"body": NEW},
        "DELETE": {},
        "MOVE": {"Destination": dav.url("/g")},
        "PROPPATCH": {"body": patch("set", "<x>y</x>")},
    }.items():
        assert dav.code(method, "/f", **told) == 423, method
        assert dav.code(method, "/f", **told, If=f"({token})") == 423, method
    assert dav.content("/f") == OLD
    assert dav.code("UNLOCK", "/f", Lock_Token="<urn:uuid:other>") == 423
    assert dav.code("UNLOCK", "/f") == 500
    assert dav.code("UNLOCK", "/f", Lock_Token=token) == 204
    assert dav.code("PUT", "/f", NEW) == 204


def test_locks_that_are_not_granted(wire, folder, dav):
    assert dav.code("LOCK", dav.put("/f"), "") == 400
    assert dav.code("LOCK", "/missing", LOCK) == 500
    assert wire.names(folder) == ["f"]


def test_locks_are_those_of_cs3(wire, folder, dav):
    token = dav("LOCK", dav.put("/f"), LOCK).headers["Lock-Token"]
    assert f"<{wire.stat(f'{folder}/f').lock.lock_id}>" == token


# The rest


@pytest.mark.parametrize(("method", "code"), [("POST", 412), ("REPORT", 501), ("SEARCH", 404), ("PATCH", 404)])
def test_other_methods(dav, method, code):
    assert dav.code(method, dav.put("/f")) == code


def test_options_promise_tus(dav):
    """!! With checksums and an expiry, which there are not."""
    told = dav("OPTIONS", login=False).headers
    assert (told["Tus-Resumable"], "checksum" in told["Tus-Extension"]) == ("1.0.0", True)
