from __future__ import annotations

import os
import socket
import time

import jwt
import pytest
from cs3.auth.provider.v1beta1 import resources_pb2 as auth_pb2

from rucio_cs3.gateway import Call, CannotServe, Gateway, User, namespace, silent_gateway
from tests.conformance.issuer import Issuer
from tests.conformance.wire import Wire, ref

DISCOVERY = "/.well-known/openid-configuration"
BROKEN_PAGES = [
    (DISCOVERY, None),
    (DISCOVERY, "<html>"),
    (DISCOVERY, ["nonsense"]),
    (DISCOVERY, {"issuer": "https://elsewhere.example.org", "jwks_uri": "https://elsewhere.example.org"}),
    ("/jwks", None),
    ("/jwks", {"keys": []}),
    ("/jwks", {"keys": [{"kty": "unheard-of"}]}),
    ("/jwks", ["nonsense"]),
]


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


def test_calls_are_logged_with_their_paths(gateway, wire):
    gateway.calls.clear()
    wire.put("/a b", b"content")
    wire.get(ref("./a b", of=wire.stat("/").id))
    assert list(gateway.calls) == [
        Call("grpc", "InitiateFileUpload", "/a b"),
        Call("http", "PUT", "/a b"),
        Call("grpc", "Stat", "/"),
        Call("grpc", "InitiateFileDownload", "/a b"),
        Call("http", "GET", "/a b"),
    ]
    assert len(gateway.calls) == 5
    gateway.calls.clear()
    assert list(gateway.calls) == []


def test_files_are_served_as_they_lie_there(serve, tmp_path):
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "d" / "f").write_bytes(b"was here before")
    _, wire = serve()
    assert wire.content("/d/f") == b"was here before"
    wire.put("/d/new", b"came by CS3")
    assert (tmp_path / "root" / "d" / "new").read_bytes() == b"came by CS3"


def test_homes_are_folders_named_after_their_users(serve, tmp_path):
    _, wire = serve("reva-localhome")
    wire.put("/home/f", b"content")
    assert (tmp_path / "root" / "einstein" / "f").read_bytes() == b"content"


# What it keeps for itself


def test_its_own_files_are_out_of_sight(gateway, wire):
    assert (gateway.root / namespace.STATE / "secret").stat().st_mode & 0o777 == 0o600
    assert wire.names("/") == []
    for path in (f"/{namespace.STATE}", f"/{namespace.STATE}/secret", f"/x/../{namespace.STATE}/secret"):
        for method in ("Stat", "ListContainer", "Delete", "TouchFile", "CreateContainer"):
            assert wire.code(method, ref=path) == "NOT_FOUND", (method, path)
    assert wire.code("Move", source=f"/{namespace.STATE}", destination="/mine") == "NOT_FOUND"
    assert wire.code("Move", source="/", destination=f"/{namespace.STATE}/x") == "NOT_FOUND"
    assert wire.code("InitiateFileDownload", ref=f"/{namespace.STATE}/secret") == "NOT_FOUND"
    root = wire.stat("/").id
    assert wire.get(ref(f"./{namespace.STATE}/secret", of=root)).status == 404


@pytest.mark.parametrize("target", ["..", "/etc", "/etc/passwd", f"{namespace.STATE}/secret"])
def test_links_do_not_lead_outside(gateway, wire, target):
    (gateway.root / "link").symlink_to(target)
    for path in ("/link", "/link/passwd", "/link/below/more"):
        for method in ("Stat", "ListContainer", "CreateContainer", "TouchFile", "Delete"):
            assert wire.code(method, ref=path) == "NOT_FOUND", (method, path)
    assert wire.get(ref("./link", of=wire.stat("/").id)).status == 404
    assert wire.names("/") == []
    wire.touch("/f")
    assert wire.code("Move", source="/f", destination="/link/f") == "NOT_FOUND"


def test_links_inside_are_followed(gateway, wire):
    wire.put("/f", b"content")
    (gateway.root / "link").symlink_to("f")
    (gateway.root / "broken").symlink_to("nowhere")
    assert wire.content("/link") == b"content"
    assert wire.names("/") == ["broken", "f", "link"]
    wire.ok("Delete", ref="/link")
    assert wire.content("/f") == b"content"


def test_another_users_home_is_out_of_reach(serve, tmp_path):
    _, wire = serve("reva-localhome")
    (tmp_path / "root" / "marie").mkdir()
    (tmp_path / "root" / "marie" / "diary").write_text("private")
    (tmp_path / "root" / "einstein" / "link").symlink_to("../marie")
    of = wire.stat("/home").id
    of.opaque_id = "fileid-marie%2Fdiary"
    for target in ("/home/../marie/diary", "/home/link/diary", ref(of=of), ref("./../marie/diary", of=of)):
        assert wire.code("Stat", ref=target) == "NOT_FOUND"


def test_names_that_are_no_text_are_left_out_of_lists(gateway, wire):
    os.close(os.open(os.path.join(os.fsencode(gateway.root), b"bad\xff"), os.O_CREAT))
    wire.touch("/good")
    assert wire.names("/") == ["good"]


# Restarts


def test_tokens_and_uploads_survive_a_restart(serve):
    gateway, wire = serve()
    endpoint = wire.uploads("/f", 7)["simple"]
    wire.touch("/g")
    wire.set_metadata("/g", key="value")
    gateway.stop()
    again, other = serve()
    other.token = wire.token
    assert other.metadata("/g") == {"key": "value"}
    url = endpoint.url.replace(gateway.data_url, again.data_url)
    assert other.request("PUT", endpoint, b"content", url=url).status == 200
    assert other.content("/f") == b"content"


def test_application_passwords_survive_a_restart(serve):
    gateway, wire = serve()
    user = auth_pb2.Scope(role=auth_pb2.ROLE_OWNER)
    made = wire.ok("GenerateAppPassword", label="mine", token_scope={"user": user}).app_password
    kept = gateway.root / namespace.STATE / "app-passwords.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert made.password not in kept.read_text()
    gateway.stop()
    _, wire = serve()
    login = {"type": "appauth", "client_id": "einstein", "client_secret": made.password}
    assert wire.code("Authenticate", **login) == "OK"
    [entry] = wire.ok("ListAppPasswords").app_passwords
    assert (entry.label, entry.token_scope["user"], entry.ctime) == ("mine", user, made.ctime)
    assert wire.code("InvalidateAppPassword", password=entry.password) == "OK"
    assert wire.code("Authenticate", **login) == "UNAUTHENTICATED"


def test_an_issuer_that_is_down_may_come_back(serve, issuer):
    _, wire = serve(oidc_issuer=issuer.url)
    login = {"type": "bearer", "client_secret": issuer.token("einstein")}
    for page, content in BROKEN_PAGES:
        issuer.broken = {page: content}
        assert wire.code("Authenticate", **login) == "UNAUTHENTICATED", content
    issuer.broken = {}
    assert wire.code("Authenticate", **login) == "OK"
    issuer.broken = {DISCOVERY: None, "/jwks": None}
    assert wire.code("Authenticate", **login) == "OK"


def test_an_issuer_that_announces_no_algorithm_is_taken_to_use_the_usual_one(serve, issuer):
    issuer.broken = {DISCOVERY: {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}}
    _, wire = serve(oidc_issuer=issuer.url)
    for algorithm, code in (("RS256", "OK"), ("RS512", "UNAUTHENTICATED")):
        token = issuer.token("einstein", algorithm=algorithm)
        assert wire.code("Authenticate", type="bearer", client_secret=token) == code


def test_tokens_of_another_root_are_foreign(serve, tmp_path):
    _, wire = serve()
    _, other = serve(root=tmp_path / "other")
    other.token = wire.token
    assert other.code("GetHome") == "grpc:PERMISSION_DENIED"


def test_a_token_of_four_seconds(serve):
    _, wire = serve(token_ttl=4)  # of less it could be over at once: Reva, too, counts whole seconds
    claims = jwt.decode(wire.token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 4
    assert wire.code("GetHome") == "OK"
    while wire.code("GetHome") == "OK":
        assert time.time() < claims["exp"] + 60
    assert wire.code("GetHome") == "grpc:PERMISSION_DENIED"


def test_a_broken_writer_writes_again_after_a_restart(serve):
    gateway, wire = serve("reva-ceph")
    wire.killed("PUT", wire.uploads("/f", 1000)["simple"], 1000, b"part")
    deadline = time.monotonic() + 60
    while wire.put("/g", b"content") != 500:
        assert time.monotonic() < deadline
    gateway.stop()
    _, wire = serve("reva-ceph")
    assert wire.put("/g", b"content") == 200


# Limits


def test_a_folder_that_is_too_large_for_one_message(gateway, wire):
    folder = gateway.root / "large"
    folder.mkdir()
    for number in range(13_500):
        os.close(os.open(folder / f"{number:0255}", os.O_CREAT))
    assert wire.code("ListContainer", ref="/large") == "grpc:RESOURCE_EXHAUSTED"
    for number in range(1000):
        os.unlink(folder / f"{number:0255}")
    assert len(wire.ok("ListContainer", ref="/large").infos) == 12_500


def test_quota(serve):
    gateway, wire = serve(quota=1000)
    wire.put("/f", bytes(600))
    quota = wire.ok("GetQuota", ref="/")
    assert (quota.total_bytes, quota.used_bytes) == (1000, 600)
    opaque = {"map": {"Upload-Length": {"decoder": "plain", "value": b"401"}}}
    assert wire.code("InitiateFileUpload", ref="/g", opaque=opaque) == "INSUFFICIENT_STORAGE"
    endpoint = wire.uploads("/g", 400)["simple"]
    assert wire.request("PUT", endpoint, bytes(401)).status == 507
    assert wire.request("PUT", endpoint, bytes(400)).status == 200
    assert gateway.root.stat()


def test_quota_in_place(serve):
    _, wire = serve("reva-ceph", quota=10)
    endpoint = wire.uploads("/g", 1)["simple"]
    assert wire.request("PUT", endpoint, bytes(11)).status == 507


# What cannot be served


def test_a_missing_root(tmp_path):
    with pytest.raises(CannotServe, match="missing: no such folder"):
        Gateway(tmp_path / "missing")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_root_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CannotServe, match="Permission denied"):
        Gateway(tmp_path)


@pytest.mark.parametrize("text", ["", "{}}", "[1]", '[{"password": []}]', '{"a": 1}'])
def test_application_passwords_that_cannot_be_read(tmp_path, text):
    with Gateway(tmp_path) as gateway:
        kept = gateway.root / namespace.STATE / "app-passwords.json"
    kept.write_text(text)
    with pytest.raises(CannotServe, match="not a list of application passwords"):
        Gateway(tmp_path)


def test_a_root_that_is_in_our_way(tmp_path):
    (tmp_path / namespace.STATE).write_text("a file where our folder should be")
    with pytest.raises(CannotServe, match=r"Not a directory|File exists"):
        Gateway(tmp_path)


@pytest.mark.parametrize("port", ["grpc_port", "http_port"])
def test_a_port_that_is_taken(tmp_path, port):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(CannotServe, match=f"127.0.0.1:{number}: .*in use"):
            Gateway(tmp_path, **{port: number})


def test_after_stop_the_ports_are_free(tmp_path):
    with Gateway(tmp_path) as gateway:
        ports = [int(address.rpartition(":")[2]) for address in (gateway.address, gateway.data_url)]
    with Gateway(tmp_path, grpc_port=ports[0], http_port=ports[1]) as again:
        assert again.address == gateway.address


def test_users_of_our_own(serve):
    gateway, wire = serve(users=[*[User("einstein", "relativity", "1")], User("rucio", "secret", "42", mail="r@x.org")])
    reply = wire.ok("Authenticate", type="basic", client_id="rucio", client_secret="secret")
    assert (reply.user.id.opaque_id, reply.user.mail) == ("42", "r@x.org")
    assert wire.code("Authenticate", type="basic", client_id="marie", client_secret="radioactivity") != "OK"
    assert wire.code("Authenticate", type="machine", client_id="rucio", client_secret="") == "INTERNAL"
    assert "secret" not in repr(User("rucio", "secret", "42"))
    assert gateway.behaviour.name == "reva-local"


def test_unknown_addresses(gateway, wire):
    for path in ("/", "/data/simple/f", "/nowhere", "/datagatewayx"):
        assert wire.http.request("GET", f"{gateway.data_url}{path}").status == 404


def test_a_request_that_is_none(gateway):
    host, _, port = gateway.data_url.partition("//")[2].partition(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert b"400" in connection.recv(4096)


def test_a_gateway_that_says_nothing():
    with silent_gateway() as address:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), 0.2) as connection:
            connection.sendall(b"anybody there?")
            with pytest.raises(socket.timeout):
                connection.recv(1)


def test_an_unknown_service(gateway):
    wire = Wire(gateway.address)
    stub = wire.channel.unary_unary("/cs3.other.v1.OtherAPI/Stat")
    with pytest.raises(Exception, match="UNIMPLEMENTED"):
        stub(b"", timeout=60)
    wire.close()


def test_an_issuer_that_is_down_lets_nobody_in(serve):
    _, wire = serve(oidc_issuer="http://127.0.0.1:1")
    assert wire.code("Authenticate", type="bearer", client_secret="a.b.c") == "UNAUTHENTICATED"
