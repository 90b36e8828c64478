"""One copy of the mover's between two sites: of the embedded gateway's behaviours, and real daemons of both lines."""

from __future__ import annotations

import os
import threading

import pytest

from rucio_cs3 import deadline
from rucio_cs3.mover.copy import Copier
from rucio_cs3.mover.model import Compare, Failed, Place, Side, Wanted
from rucio_cs3.mover.sites import Sites
from tests.conformance.ends import adler, failing, pairs

MIB = 1 << 20
SMALL, LARGE = os.urandom(12_345), os.urandom(5 * MIB + 17)
KINDS = (
    ("reva-local", "opencloud"),
    ("opencloud", "reva-local"),
    ("reva-localhome", "reva-ceph"),
    ("reva-ceph", "opencloud-async"),
    ("reva-local", "reva-local"),
    ("opencloud", "opencloud"),
)


@pytest.fixture(params=pairs(KINDS))
def pair(request, fleet, far_fleet):
    near, far = request.param
    ends = fleet.get(near), far_fleet.get(far)
    yield ends
    for storage in ends:
        storage.recover()


@pytest.fixture
def sites(near, far):
    with Sites.of({side.name: side.table for side in (near, far)}) as sites:
        yield sites


@pytest.fixture
def copy(sites, near, far, quick):
    """Copies what is at the first URLs to a name at the far site."""
    copier = Copier(sites)

    def run(*sources, to="new/folder/f", progress=lambda _: None, **wanted):
        places = tuple(Place(source) for source in sources)
        return copier.copy(Wanted(places, Place(far.url(to)), **wanted), progress)

    return run


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_a_file_is_copied_and_verified(near, far, copy, content):
    told = []
    url = near.put("a file é#?%", content)
    done = copy(url, size=len(content), checksum=adler(content), progress=told.append)
    assert far.content("new/folder/f") == content
    assert (done.source, done.size, done.how) == (url, len(content), "streamed")
    assert done.checksums["adler32"] == adler(content)[8:]
    assert told == sorted(told)
    assert told[-1:] == ([len(content)] if content else [])
    assert far.names("new/folder") == ["f"]


def test_what_is_there_stays_unless_it_may_be_overwritten(near, far, copy):
    url = near.put("f", SMALL)
    far.put("f", b"old")
    failure = failing(copy, url, to="f")
    assert (failure.side, failure.again) == (Side.TARGET, False)
    assert "Destination file exists and overwrite is not enabled" in failure.reason
    assert failure.dst_file["file_size"] == 3
    if far.storage.has_checksums:
        assert (failure.dst_file["checksum_type"], failure.dst_file["checksum_value"]) == ("ADLER32", adler(b"old")[8:])
    assert far.content("f") == b"old"
    copy(url, to="f", overwrite=True)
    assert far.content("f") == SMALL
    assert far.names() == ["f"]


def test_what_is_there_is_told_as_rucio_compares_it(near, far, copy):
    url = near.put("f", SMALL)
    for there in (SMALL, SMALL[:-1] + b"?"):
        far.put("f", there, overwrite=True)
        failure = failing(copy, url, to="f", size=len(SMALL), checksum=adler(SMALL))
        told = {"file_size": len(SMALL), "checksum_type": "ADLER32", "checksum_value": adler(there)[8:]}
        assert failure.dst_file == told


def test_a_folder_is_not_replaced(near, far, copy):
    url = near.put("f", SMALL)
    far.wire.mkdir(far.path("d"))
    far.put("d/inside", b"kept")
    failure = failing(copy, url, to="d", overwrite=True)
    assert failure.side is Side.TARGET
    assert "[21] Is a directory" in failure.reason
    assert far.content("d/inside") == b"kept"


WRONG = {
    "missing": ({"name": "none"}, Side.SOURCE, "[2] No such file or directory"),
    "size": ({"size": 1}, Side.SOURCE, "Source and user-defined file size do not match (12345 != 1)"),
    "checksum": ({"checksum": "adler32:00000001"}, Side.SOURCE, "SOURCE CHECKSUM MISMATCH"),
    "checksum of the source": ({"checksum": "md5:" + "0" * 32, "compare": Compare.SOURCE}, Side.SOURCE, "MISMATCH"),
    "checksum of the target": ({"checksum": "md5:" + "0" * 32, "compare": Compare.TARGET}, Side.SOURCE, "MISMATCH"),
    "unknown checksum": ({"checksum": "crc99:0"}, Side.TRANSFER, "use one of: adler32"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_as_wanted_is_not_copied(near, far, copy, case):
    wanted, side, words = WRONG[case]
    near.put("f", SMALL)
    name = wanted.get("name", "f")
    failure = failing(copy, near.url(name), **{key: wanted[key] for key in wanted if key != "name"})
    assert (failure.side, failure.again) == (side, False) or "MISMATCH" in words
    assert words in failure.reason
    assert near.url(name) in failure.reason or side is Side.TRANSFER
    assert far.names() in ([], ["new"])
    assert far.names() == [] or far.names("new/folder") == []


def test_a_checksum_that_is_not_to_be_compared_is_not(near, far, copy):
    copy(near.put("f", SMALL), checksum="adler32:00000001", compare=Compare.NONE)
    assert far.content("new/folder/f") == SMALL


def test_the_next_source_is_taken_when_one_is_bad(near, far, copy):
    bad, good = near.put("bad", SMALL[::-1]), near.put("good", SMALL)
    done = copy(near.url("none"), bad, good, checksum=adler(SMALL), size=len(SMALL))
    assert done.source == good
    assert far.content("new/folder/f") == SMALL
    assert [(url, url in reason) for url, reason in done.tried.items()] == [(near.url("none"), True), (bad, True)]
    failure = failing(copy, near.url("none"), bad, to="other", checksum=adler(SMALL))
    assert failure.side is Side.SOURCE
    assert list(failure.tried) == [near.url("none"), bad]
    assert failure.reason == "; ".join(failure.tried.values())
    assert "other" not in far.names()


@pytest.mark.parametrize("place", ["davs://elsewhere.example.org/x", "root://host:1094//x", "nonsense", "davs:///x"])
def test_an_address_of_no_site_names_those_that_are(near, far, copy, place):
    failure = failing(copy, place)
    assert (failure.side, failure.again) == (Side.SOURCE, False)
    assert ("NEAR has" in failure.reason and "FAR has" in failure.reason) or "not of the form" in failure.reason
    near.put("f", SMALL)
    assert failing(copy, near.url("f"), to="../../../../../f").side is Side.TARGET


def test_gateways_are_addresses_too(near, far, sites):
    near.put("f", SMALL)
    there = Place(f"cs3://{far.storage.address}{far.path('g')}")
    Copier(sites).copy(Wanted((Place(f"cs3://{near.storage.address}{near.path('f')}"),), there), lambda _: None)
    assert far.content("g") == SMALL


def test_tokens_of_the_job_win_and_go_to_their_own_site(near, far, quick):
    if not (near.storage.issuer and far.storage.issuer):
        pytest.skip("no issuer of its tokens is known")
    near.put("f", SMALL)
    good, bad = (near.storage.issuer.token("einstein", **claims) for claims in ({}, {"exp": 1}))
    logins = {"username": "nobody", "password": "wrong"}
    with Sites.of({side.name: {**side.table, **logins} for side in (near, far)}) as sites:

        def copy(one, other):
            wanted = Wanted((Place(near.url("f"), one),), Place(far.url("f"), other), overwrite=True)
            return Copier(sites).copy(wanted, lambda _: None)

        assert copy(good, good).size == len(SMALL)
        for tokens, side in (((bad, good), Side.SOURCE), ((good, bad), Side.TARGET), ((good, None), Side.TARGET)):
            with pytest.raises(Failed) as caught:
                copy(*tokens)
            assert (caught.value.side, caught.value.again) == (side, False)
            assert "[13] Permission denied" in caught.value.reason
            assert bad not in caught.value.reason
    assert far.content("f") == SMALL


# What goes wrong, where, how often, and what comes of it: None for a copy that is right all the same.
FAULTS = [
    ("near", {"on": "http:GET", "kind": "cut", "after": MIB, "times": 1}, None, ""),
    ("near", {"on": "http:GET", "kind": "cut", "after": 0}, Side.SOURCE, "[70]"),
    ("near", {"on": "http:GET", "kind": "reset", "after": 0}, Side.SOURCE, "[70]"),
    ("near", {"on": "http:GET", "kind": "stall", "after": 0}, Side.SOURCE, "[110]"),
    ("near", {"on": "http:GET", "kind": "wrong_byte", "after": MIB}, Side.SOURCE, "SOURCE CHECKSUM MISMATCH"),
    ("near", {"on": "http:GET", "kind": "short", "after": MIB}, Side.SOURCE, ""),
    ("near", {"on": "http:GET", "kind": "status", "status": "500"}, Side.SOURCE, "[5]"),
    ("near", {"on": "http:GET", "kind": "token_expired", "times": 1}, None, ""),
    ("near", {"on": "grpc:Stat", "kind": "token_expired", "times": 1}, None, ""),
    ("near", {"on": "grpc:Stat", "kind": "storage_down"}, Side.SOURCE, ""),
    ("far", {"on": "http:*", "kind": "cut", "after": MIB, "times": 1}, None, ""),
    ("far", {"on": "http:*", "kind": "cut", "after": MIB}, Side.TARGET, "[70]"),
    ("far", {"on": "http:*", "kind": "reset", "after": 0}, Side.TARGET, "[70]"),
    ("far", {"on": "http:*", "kind": "stall", "after": MIB}, Side.TARGET, "[110]"),
    ("far", {"on": "http:PUT", "kind": "wrong_byte", "after": MIB, "times": 1}, None, ""),
    ("far", {"on": "http:PUT", "kind": "wrong_byte", "after": MIB}, Side.TARGET, "DESTINATION CHECKSUM MISMATCH"),
    ("far", {"on": "http:PUT", "kind": "full"}, Side.TARGET, "[28] No space left on device"),
    ("far", {"on": "http:PUT", "kind": "no_answer", "times": 1}, None, ""),
    ("far", {"on": "http:PUT", "kind": "token_expired", "times": 1}, None, ""),
    ("far", {"on": "grpc:InitiateFileUpload", "kind": "token_expired", "times": 1}, None, ""),
    ("far", {"on": "grpc:InitiateFileUpload", "kind": "full"}, Side.TARGET, "[28] No space left on device"),
    ("far", {"on": "grpc:Move", "kind": "status", "status": "INTERNAL"}, Side.TARGET, "[5]"),
]
EMBEDDED = [("reva-local", "opencloud"), ("opencloud", "reva-local"), ("reva-localhome", "reva-localhome")]
embedded = pytest.mark.parametrize("pair", EMBEDDED, indirect=True, ids=">".join)


@embedded
@pytest.mark.parametrize(("where", "fault", "side", "words"), FAULTS)
def test_a_fault_ends_in_the_right_file_or_in_nothing(near, far, quick, where, fault, side, words):
    url = near.put("f", LARGE)
    far.wire.mkdir(far.path("new"))
    impatient = {"stall_timeout": 2.0, "verify": "readback"}  # the first line computes no checksum
    with Sites.of({end.name: {**end.table, **impatient} for end in (near, far)}) as sites:
        wanted = Wanted((Place(url),), Place(far.url("new/f")), len(LARGE), adler(LARGE))
        {"near": near, "far": far}[where].fault(**fault)
        if side is None:
            Copier(sites).copy(wanted, lambda _: None)
            far.storage.gateway.faults.clear()
            assert far.content("new/f") == LARGE
        else:
            failure = failing(lambda: Copier(sites).copy(wanted, lambda _: None))
            assert (failure.side, failure.again) == (side, "[28]" not in words)
            assert words in failure.reason
        assert far.names("new") == (["f"] if side is None else [])


STALLS = [("near", "http:GET"), ("far", "http:PUT"), ("near", "grpc:Stat"), ("far", "grpc:InitiateFileUpload")]


@embedded
@pytest.mark.parametrize(("where", "on"), STALLS)
def test_a_stop_ends_what_waits_and_leaves_nothing(near, far, copy, where, on):
    url = near.put("f", LARGE)
    far.wire.mkdir(far.path("new"))
    side = {"near": near, "far": far}[where]
    side.storage.gateway.calls.clear()
    side.fault(on=on, kind="stall", after=MIB, seconds=3600, path=f"{side.folder}/*")
    stop, failures = deadline.Stop(), []

    def run():
        with stop.scope():
            failures.append(failing(copy, url, to="new/f"))

    thread = threading.Thread(target=run)
    thread.start()
    while not any((call.door, call.method) == tuple(on.split(":")) for call in side.storage.gateway.calls):
        assert thread.is_alive()
        threading.Event().wait(0.01)
    stop.now()
    thread.join(20)  # calls and connections wait for longer than that
    assert not thread.is_alive()
    assert "[125] Transfer canceled" in failures[0].reason
    assert far.names("new") == []
