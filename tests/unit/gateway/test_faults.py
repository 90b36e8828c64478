from __future__ import annotations

import json
import threading
import time

import grpc
import pytest
import urllib3

from rucio_cs3.gateway import BadFault, Fault
from rucio_cs3.gateway.faults import KINDS
from tests.conformance.wire import ref

CONTENT = bytes(range(256)) * 1000
BROKEN = (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError)


@pytest.fixture
def stored(gateway, wire):
    wire.put("/f", CONTENT)
    gateway.calls.clear()
    return "/f"


# gRPC

ANSWERS = [
    (Fault("grpc:Stat", "status", status="UNAVAILABLE"), "Stat", "UNAVAILABLE"),
    (Fault("grpc:Stat", "exception", status="UNAVAILABLE"), "Stat", "grpc:UNAVAILABLE"),
    (Fault("grpc:*", "full"), "InitiateFileUpload", "INSUFFICIENT_STORAGE"),
    (Fault("grpc:*", "token_expired"), "Stat", "grpc:PERMISSION_DENIED"),
    (Fault("grpc:*", "no_permission"), "Stat", "NOT_FOUND"),
    (Fault("grpc:*", "no_permission"), "InitiateFileUpload", "PERMISSION_DENIED"),
    (Fault("grpc:*", "storage_down"), "Stat", "NOT_FOUND"),
    (Fault("grpc:Delete", "no_answer"), "Delete", "grpc:UNAVAILABLE"),
    (Fault("grpc:Stat", "stall", seconds=0.01), "Stat", "OK"),
    (Fault("*", "status", status="INTERNAL"), "Stat", "INTERNAL"),
    (Fault("grpc:Stat", "status", status="INTERNAL", path="/other*"), "Stat", "OK"),
    (Fault("grpc:Delete", "status", status="INTERNAL"), "Stat", "OK"),
    (Fault("http:*", "cut"), "Stat", "OK"),
]


@pytest.mark.parametrize(("fault", "method", "code"), ANSWERS, ids=str)
def test_how_a_struck_call_ends(gateway, wire, stored, fault, method, code):
    gateway.faults.add(fault)
    assert wire.code(method, ref=stored) == code
    gateway.faults.clear()
    assert wire.code("GetHome") == "OK"


def test_times(gateway, wire, stored):
    gateway.faults.add(Fault("grpc:Stat", "status", status="INTERNAL", times=2))
    assert [wire.code("Stat", ref=stored) for _ in range(3)] == ["INTERNAL", "INTERNAL", "OK"]
    assert list(gateway.faults) == []


def test_the_path_is_told_for_references_by_id_too(gateway, wire, stored):
    root = wire.stat("/").id
    gateway.faults.add(Fault("grpc:Stat", "status", status="INTERNAL", path="/f"))
    assert wire.code("Stat", ref=ref("./f", of=root)) == "INTERNAL"
    assert wire.code("Stat", ref=ref("./g", of=root)) == "NOT_FOUND"


def test_a_storage_that_is_down_says_more_by_id(gateway, wire, stored):
    by_id = ref("./f", of=wire.stat("/").id)
    gateway.faults.add(Fault("*", "storage_down"))
    assert wire.code("Stat", ref=by_id) == "grpc:UNAVAILABLE"
    assert wire.code("Delete", ref=by_id) == "INTERNAL"
    gateway.faults.clear()
    assert wire.exists(stored)


def test_no_answer_comes_after_the_deed(gateway, wire, stored):
    gateway.faults.add(Fault("grpc:Delete", "no_answer"))
    wire.code("Delete", ref=stored)
    assert not wire.exists(stored)


def test_bad_tokens_answered_by_not_found(serve):
    gateway, wire = serve()
    gateway.faults.add(Fault("grpc:*", "token_not_found"))
    assert wire.code("Stat", ref="/") == "OK"
    for wire.token in ("bad", None):
        assert wire.code("Stat", ref="/") == "NOT_FOUND"
        assert wire.code("Delete", ref="/f") == "PERMISSION_DENIED"


def test_an_expired_token_answered_by_not_found(gateway, wire, stored):
    gateway.faults.add(Fault("grpc:Stat", "token_expired", times=1), Fault("grpc:*", "token_not_found"))
    assert [wire.code("Stat", ref=stored) for _ in range(2)] == ["NOT_FOUND", "OK"]


def test_delete_of_the_root_destroys(gateway, wire, stored):
    gateway.faults.add(Fault("grpc:*", "destroys_root", path="/"))
    assert wire.code("Delete", ref="/") == "INTERNAL"
    assert wire.names("/") == []
    assert wire.put("/f", b"the gateway itself is well") == 200


def test_a_move_into_itself_hangs_and_loses_the_tree(gateway, wire):
    wire.mkdir("/d")
    wire.touch("/d/precious")
    gateway.faults.add(Fault("grpc:Move", "move_hangs", seconds=3600))
    wire.ok("Move", source="/d", destination="/e")
    ended = []
    moving = threading.Thread(target=lambda: ended.append(wire.code("Move", source="/e", destination="/e/below")))
    moving.start()
    while wire.exists("/e"):
        assert moving.is_alive()
    moving.join(0.2)
    assert moving.is_alive()
    while moving.is_alive():
        gateway.faults.release()
        moving.join(0.1)
    assert ended == ["grpc:UNAVAILABLE"]


def test_a_stalled_call_ends_with_the_clients_deadline(gateway, wire, stored):
    gateway.faults.add(Fault("grpc:Stat", "stall"))
    stub = wire.channel.unary_unary("/cs3.gateway.v1beta1.GatewayAPI/Stat")
    with pytest.raises(grpc.RpcError) as caught:
        stub(b"", metadata=(("x-access-token", wire.token),), timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_stopping_lets_go_of_who_stalls(serve):
    gateway, wire = serve()
    gateway.faults.add(Fault("*", "stall", path="/f", seconds=3600))
    wire.touch("/g")
    download = wire.download("/g")
    gateway.faults.add(Fault("http:GET", "stall", seconds=3600))
    gateway.calls.clear()
    ended = []

    def download_fails():
        with pytest.raises(urllib3.exceptions.HTTPError):
            wire.request("GET", download)
        ended.append("download")

    calls = [
        threading.Thread(target=lambda: ended.append(wire.code("Stat", ref="/f"))),
        threading.Thread(target=download_fails),
    ]
    for call in calls:
        call.start()
    while not {"Stat", "GET"} <= {call.method for call in gateway.calls}:
        assert not ended
    calls[0].join(0.2)
    assert calls[0].is_alive()
    gateway.stop()
    for call in calls:
        call.join(30)
    assert len(ended) == 2


# HTTP: what a download becomes

DOWNLOADS = [
    (Fault("http:GET", "status", status="503"), 503, b""),
    (Fault("*:GET", "status", status="INTERNAL"), 500, b""),
    (Fault("http:GET", "token_expired"), 401, b""),
    (Fault("http:GET", "no_permission"), 404, b""),
    (Fault("http:GET", "storage_down"), 500, b""),
    (Fault("http:GET", "slow", rate=10_000_000), 200, CONTENT),
    (Fault("http:GET", "wrong_byte", after=5), 200, CONTENT[:5] + b"\xfa" + CONTENT[6:]),
    (Fault("http:GET", "short", after=5), 200, CONTENT[:5]),
    (Fault("http:GET", "long", after=5), 200, CONTENT + bytes(5)),
    (Fault("http:GET", "stall", after=100, seconds=0.01), 200, CONTENT),
    (Fault("http:PUT", "cut"), 200, CONTENT),
]


@pytest.mark.parametrize(("fault", "status", "data"), DOWNLOADS, ids=str)
def test_what_a_struck_download_becomes(gateway, wire, stored, fault, status, data):
    gateway.faults.add(fault)
    reply = wire.get(stored)
    assert (reply.status, reply.data) == (status, data)


@pytest.mark.parametrize("kind", ["cut", "reset"])
@pytest.mark.parametrize("after", [0, 1, 100_000])
def test_a_download_that_breaks(gateway, wire, stored, kind, after):
    gateway.faults.add(Fault("http:GET", kind, after=after, times=1))
    reply = wire.http.request(
        "GET", wire.download(stored).url, headers=wire.headers(wire.download(stored)), preload_content=False
    )
    assert reply.headers["Content-Length"] == str(len(CONTENT))
    with pytest.raises(BROKEN):
        reply.read()
    assert wire.content(stored) == CONTENT


def test_a_slow_download_takes_its_time(gateway, wire, stored):
    gateway.faults.add(Fault("http:GET", "slow", rate=len(CONTENT) * 4))
    began = time.monotonic()
    wire.content(stored)
    assert time.monotonic() - began > 0.2


# HTTP: what an upload leaves

UPLOADS = [
    (Fault("http:PUT", "status", status="500"), 500, None),
    (Fault("http:PUT", "full"), 507, None),
    (Fault("http:PUT", "wrong_byte", after=3), 200, b"con\x8bent"),
    (Fault("http:PUT", "short", after=3), 200, b"con"),
    (Fault("http:PUT", "long", after=2), 200, b"content\0\0"),
    (Fault("http:PUT", "cut", after=3), None, b"con"),
    (Fault("http:PUT", "reset", after=3), None, b"con"),
    (Fault("http:PUT", "no_answer"), None, b"content"),
    (Fault("http:PUT", "slow", rate=70), 200, b"content"),
    (Fault("http:PUT", "stall", after=3, seconds=0.01), 200, b"content"),
]


@pytest.mark.parametrize(("fault", "status", "left"), UPLOADS, ids=str)
def test_what_a_struck_upload_leaves(gateway, wire, fault, status, left):
    gateway.faults.add(fault)
    if status is None:
        with pytest.raises(BROKEN):
            wire.put("/f", b"content")
    else:
        assert wire.put("/f", b"content") == status
    gateway.faults.clear()
    assert wire.exists("/f") == (left is not None)
    assert left is None or wire.content("/f") == left


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_cut_is_as_bad_as_a_killed_client_where_that_breaks_the_user(serve, kind):
    gateway, wire = serve("reva-ceph")
    gateway.faults.add(Fault("http:PUT", kind, after=3, times=1))
    with pytest.raises(BROKEN):
        wire.put("/f", b"content")
    assert wire.put("/g", b"content") == 500


@pytest.mark.parametrize("kind", ["cut", "reset", "no_answer"])
def test_a_struck_patch_keeps_what_came(gateway, wire, kind):
    endpoint = wire.uploads("/f", 10)["tus"]
    headers = {"Tus_Resumable": "1.0.0", "Upload_Offset": "0", "Content_Type": "application/offset+octet-stream"}
    gateway.faults.add(Fault("http:PATCH", kind, after=4))
    with pytest.raises(BROKEN):
        wire.request("PATCH", endpoint, b"content", **headers)
    gateway.faults.clear()
    offset = wire.request("HEAD", endpoint, Tus_Resumable="1.0.0").headers["Upload-Offset"]
    assert offset == ("7" if kind == "no_answer" else "4")


# What a fault can be


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"on": "grpc:Stat", "kind": "nonsense"}, "unknown kind"),
        ({"on": "Stat", "kind": "stall"}, "door:method"),
        ({"on": "grpc:Stat", "kind": "cut"}, "cut is for http"),
        ({"on": "http:GET", "kind": "exception", "status": "INTERNAL"}, "exception is for grpc"),
        ({"on": "grpc:Stat", "kind": "status"}, "needs a status"),
        ({"on": "grpc:Stat", "kind": "stall", "colour": "red"}, "colour"),
        ({"kind": "stall"}, "a fault has on"),
        ({"on": "grpc:Stat", "kind": "status", "status": "503"}, "needs a status"),
        ({"on": "grpc:Stat", "kind": "status", "status": "NONSENSE"}, "needs a status"),
        ({"on": "grpc:Stat", "kind": "exception", "status": "LOCKED"}, "needs a status"),
        ({"on": "http:GET", "kind": "cut", "after": "5"}, "after: '5'"),
    ],
)
def test_a_fault_that_makes_no_sense(fault, words):
    with pytest.raises(BadFault, match=words):
        Fault.parse(fault)


def test_every_kind_is_made_by_something():
    from rucio_cs3.gateway import data, lies, streams  # noqa: PLC0415

    elsewhere = {"no_answer", "token_not_found", "turned_down", "never_processed"}
    assert set(KINDS) == {*lies.STRIKES, *data.STRIKES, *streams.FILTERS, *elsewhere}


# Over HTTP


def test_faults_over_http(serve):
    gateway, wire = serve(offer_faults=True)
    url = f"{gateway.data_url}/.faults"
    fault = {"on": "grpc:Stat", "kind": "status", "status": "INTERNAL"}
    assert wire.http.request("PUT", url, body=json.dumps([fault])).status == 200
    assert wire.code("Stat", ref="/") == "INTERNAL"
    assert json.loads(wire.http.request("GET", url).data)[0]["status"] == "INTERNAL"
    assert wire.http.request("PUT", url, body=json.dumps([{**fault, "kind": "nonsense"}])).status == 400
    assert wire.http.request("PUT", url, body=b"{").status == 400
    assert json.loads(wire.http.request("DELETE", url).data) == []
    assert wire.code("Stat", ref="/") == "OK"


def test_faults_are_not_offered_unasked(gateway, wire):
    assert wire.http.request("GET", f"{gateway.data_url}/.faults").status == 404
