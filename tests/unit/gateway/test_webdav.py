from __future__ import annotations

import http.client
import re
import threading
from urllib.parse import urlsplit

import pytest
import urllib3

from rucio_cs3.gateway import Call, Fault, namespace
from tests.conformance.wire import Endpoint

CONTENT = bytes(range(256)) * 1000
BROKEN = (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError)
BOMB = (
    "<!DOCTYPE x ["
    '<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {name} "{f"&{below};" * 100}">' for below, name in zip("abcde", "bcdef"))
    + ']><d:propfind xmlns:d="DAV:"><d:prop>&f;</d:prop></d:propfind>'
)
DOCTYPES = {
    "a bomb": BOMB,
    "a harmless one": '<!DOCTYPE x><d:propfind xmlns:d="DAV:"><d:allprop/></d:propfind>',
    "a file of ours": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "a file of theirs": '<!DOCTYPE x SYSTEM "http://example.org/x.dtd"><x/>',
}


@pytest.fixture
def ask(gateway, wire):
    def ask(method, path="/f", body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {"X-Access-Token": wire.token, "Depth": "1", **named}
        if method == "COPY":
            headers["Depth"] = "infinity"
        return wire.http.request(method, f"{gateway.webdav_url}{path}", body=body, headers=headers)

    return ask


@pytest.fixture
def stored(gateway, wire):
    wire.put("/f", CONTENT)
    gateway.calls.clear()


REQUESTS = {
    "PROPFIND": {},
    "PROPPATCH": {
        "body": '<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><x>y</x></d:prop></d:set></d:propertyupdate>'
    },
    "GET": {},
    "HEAD": {},
    "PUT": {"body": CONTENT},
    "COPY": {"Destination": "/remote.php/webdav/g"},
    "MOVE": {"Destination": "/remote.php/webdav/h"},
    "LOCK": {},
    "UNLOCK": {},
    "MKCOL": {"path": "/d"},
    "DELETE": {"path": "/h"},
}


def test_calls_are_logged_with_their_paths(gateway, ask, stored):
    for method, request in REQUESTS.items():
        ask(method, **request)
    paths = {"MKCOL": "/d", "DELETE": "/h"}
    assert list(gateway.calls) == [Call("http", method, paths.get(method, "/f")) for method in REQUESTS]


def test_what_does_not_come_in_is_not_logged(gateway, wire, stored):
    assert wire.http.request("GET", f"{gateway.webdav_url}/f").status == 401
    assert list(gateway.calls) == []


# Faults


@pytest.mark.parametrize("method", REQUESTS)
@pytest.mark.parametrize(
    ("kind", "code"), [("status", 503), ("full", 507), ("token_expired", 401), ("storage_down", 500)]
)
def test_faults_answer_for_every_method(gateway, wire, ask, stored, method, kind, code):
    gateway.faults.add(Fault(f"http:{method}", kind, status="503" if kind == "status" else "", path="/*"))
    assert ask(method, **REQUESTS[method]).status == code
    gateway.faults.clear()
    assert wire.names("/") == ["f"]
    assert wire.content("/f") == CONTENT


@pytest.mark.parametrize("method", ["MKCOL", "MOVE", "COPY", "PUT", "PROPPATCH"])
def test_no_answer_comes_after_the_deed(gateway, wire, ask, stored, method):
    gateway.faults.add(Fault(f"http:{method}", "no_answer"))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask(method, **REQUESTS[method])
    done = {
        "MKCOL": wire.exists("/d"),
        "MOVE": wire.exists("/h"),
        "COPY": wire.exists("/g"),
        "PUT": wire.stat("/f").size == len(CONTENT) if wire.exists("/f") else False,
        "PROPPATCH": wire.exists("/f") and wire.metadata("/f") == {"/x": "y"},
    }
    assert done[method]


@pytest.mark.parametrize("method", ["GET", "PROPFIND"])
def test_answers_are_cut_and_reset(gateway, ask, stored, method):
    for kind in ("cut", "reset"):
        gateway.faults.clear()
        gateway.faults.add(Fault(f"http:{method}", kind, after=100))
        with pytest.raises(BROKEN):
            ask(method)


@pytest.mark.parametrize("method", ["GET", "PROPFIND"])
def test_answers_are_falsified(gateway, ask, stored, method):
    good = ask(method).data
    for kind, told in (("short", good[:50]), ("long", good + bytes(50))):
        gateway.faults.clear()
        gateway.faults.add(Fault(f"http:{method}", kind, after=50))
        assert ask(method).data == told
    gateway.faults.clear()
    gateway.faults.add(Fault(f"http:{method}", "wrong_byte", after=50))
    bad = ask(method).data
    assert [index for index, pair in enumerate(zip(good, bad)) if pair[0] != pair[1]] == [50]


def test_an_upload_is_cut(gateway, wire, ask, stored):
    """!! And what had arrived is the file, as on the data server."""
    gateway.faults.add(Fault("http:PUT", "cut", after=1000))
    with pytest.raises(BROKEN):
        ask("PUT", body=CONTENT)
    assert wire.content("/f") == CONTENT[:1000]


def test_a_stall_is_let_go(gateway, ask, stored):
    gateway.faults.add(Fault("http:PROPFIND", "stall", times=1, seconds=3600))
    ended = []
    asking = threading.Thread(target=lambda: ended.append(ask("PROPFIND").status))
    asking.start()
    while not any(call.method == "PROPFIND" for call in gateway.calls):
        assert asking.is_alive()
    asking.join(0.2)
    assert asking.is_alive()
    while asking.is_alive():
        gateway.faults.release()
        asking.join(0.1)
    assert ended == [207]


def test_a_stall_of_another_path_is_nothing(gateway, ask, stored):
    gateway.faults.add(Fault("http:PROPFIND", "stall", path="/other"))
    assert ask("PROPFIND").status == 207


# XML


@pytest.mark.parametrize("case", DOCTYPES)
def test_a_doctype_is_refused_before_it_is_read(ask, stored, case):
    for method in ("PROPFIND", "PROPPATCH"):
        assert ask(method, body=DOCTYPES[case].encode()).status == 400


def test_a_body_that_is_too_large(ask, stored):
    assert ask("PROPFIND", body=b" " * (2 << 20)).status == 413


def test_values_that_are_no_xml(wire, ask, stored):
    wire.set_metadata("/f", **{"urn:x/own": "\x00\ud7ff<&]]>\x1b"})
    asked = '<d:propfind xmlns:d="DAV:"><d:prop><own xmlns="urn:x"/></d:prop></d:propfind>'
    assert "\ufffd\ud7ff&lt;&amp;]]&gt;\ufffd" in ask("PROPFIND", body=asked.encode(), Depth="0").data.decode()


# What is nobody's business


@pytest.mark.parametrize("path", ["/{}/secret", "/x/../{}/secret", "/%2e/{}/", "/{}"])
def test_its_own_files_are_out_of_reach(ask, path):
    wanted = {"GET": 404, "HEAD": 404, "PROPFIND": 404, "DELETE": 404, "COPY": 404, "MOVE": 404}
    path = path.format(namespace.STATE)
    assert {method: ask(method, path, Destination="/remote.php/webdav/mine").status for method in wanted} == wanted


def test_nor_are_they_written(gateway, wire, ask, stored):
    target = f"/remote.php/webdav/{namespace.STATE}/secret"
    before = (gateway.root / namespace.STATE / "secret").read_bytes()
    for method in ("MOVE", "COPY"):
        assert ask(method, Destination=target).status in (404, 409)
    assert ask("PUT", f"/{namespace.STATE}/secret", CONTENT).status in (404, 409, 500)
    assert (gateway.root / namespace.STATE / "secret").read_bytes() == before
    assert wire.content("/f") == CONTENT


def test_links_do_not_lead_outside(gateway, ask):
    (gateway.root / "link").symlink_to("/etc")
    for path in ("/link", "/link/passwd"):
        assert ask("GET", path).status == 404
    assert b"link" not in ask("PROPFIND", "/").data
    assert b"passwd" not in ask("PROPFIND", "/", Depth="infinity").data


def test_another_users_home(serve, tmp_path):
    gateway, wire = serve("reva-localhome")
    (tmp_path / "root" / "marie").mkdir()
    (tmp_path / "root" / "marie" / "diary").write_text("private")
    for path in ("/remote.php/webdav/../marie/diary", "/webdav/..%2fmarie%2fdiary", "/dav/files/marie/diary"):
        connection = wire.open_request("GET", Endpoint("", f"{gateway.data_url}{path}", ""), 0, Connection="close")
        assert b" 404 " in connection.makefile("rb").readline()
        connection.close()
    told = {"X-Access-Token": wire.token, "Destination": "/remote.php/webdav/../marie/new"}
    wire.put("/home/f", b"content")
    assert wire.http.request("MOVE", f"{gateway.webdav_url}/f", headers=told).status in (404, 409)


def test_a_name_cannot_add_headers(wire, ask):
    wire.put("/a\r\nX-Evil: 1", b"content")
    reply = ask("GET", "/a%0D%0AX-Evil:%201")
    assert (reply.status, reply.data) == (200, b"content")
    assert "X-Evil" not in reply.headers


# Settings


def test_the_first_login_makes_a_home(serve, tmp_path):
    gateway, wire = serve("reva-localhome")
    login = urllib3.make_headers(basic_auth="marie:radioactivity")
    assert wire.http.request("PROPFIND", gateway.webdav_url, headers=login).status == 207
    assert (tmp_path / "root" / "marie").is_dir()


@pytest.mark.parametrize("told", ["/d/e", "/d/e/", "d/e"])
def test_the_door_opens_where_the_site_says(serve, told):
    gateway, wire = serve(webdav_namespace=told)
    for path in ("/d", "/d/e"):
        wire.mkdir(path)
    token = {"X-Access-Token": wire.token}
    assert wire.http.request("PUT", f"{gateway.webdav_url}/f", body=b"x", headers=token).status == 201
    told = {**token, "Destination": f"{gateway.webdav_url}/g"}
    assert wire.http.request("MOVE", f"{gateway.webdav_url}/f", headers=told).status == 201
    assert wire.names("/d/e") == ["g"]
    listed = wire.http.request("PROPFIND", f"{gateway.webdav_url}/", headers=token).data
    assert b"<d:href>/remote.php/webdav/g</d:href>" in listed


def test_above_the_storage_there_is_a_way_to_it(serve):
    gateway, wire = serve("reva-localhome", webdav_namespace="/")
    wire.put("/home/f", b"content")
    token = {"X-Access-Token": wire.token}
    listed = wire.http.request("PROPFIND", f"{gateway.webdav_url}/", headers=token).data.decode()
    assert re.findall("<d:href>(.*?)</d:href>", listed) == ["/remote.php/webdav/", "/remote.php/webdav/home/"]
    assert "$!" not in listed
    assert wire.http.request("GET", f"{gateway.webdav_url}/home/f", headers=token).data == b"content"
    assert wire.http.request("GET", f"{gateway.webdav_url}/f", headers=token).status == 404


def test_there_is_no_room(serve):
    gateway, wire = serve(quota=10)
    token = {"X-Access-Token": wire.token}
    assert wire.http.request("PUT", f"{gateway.webdav_url}/f", body=b"x" * 11, headers=token).status == 507
    assert wire.http.request("PUT", f"{gateway.webdav_url}/f", body=b"x" * 6, headers=token).status == 201
    to_g = {**token, "Destination": f"{gateway.webdav_url}/g"}
    assert wire.http.request("COPY", f"{gateway.webdav_url}/f", headers=to_g).status == 507
    assert wire.names("/") == ["f"]


def test_who_is_not_let_in_sends_no_body(gateway):
    address = urlsplit(gateway.webdav_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    connection.putrequest("PUT", f"{address.path}/f")
    for name, value in {"Content-Length": "1000000", "Expect": "100-continue"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()
