"""Copies of the mover's that the sites' doors make between them, where they do: what they say of it is not believed."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import threading

import pytest

from rucio_cs3 import deadline
from rucio_cs3.gateway import Gateway
from rucio_cs3.mover.copy import Copier
from rucio_cs3.mover.model import Place, Side, Wanted
from rucio_cs3.mover.sites import Sites
from tests.conformance import storages
from tests.conformance.ends import End, adler, failing, pairs
from tests.conformance.storages import home_of

CONTENT = os.urandom((3 << 20) + 17)
# The second line's door writes empty files when it pulls, and cannot push.
HOW = {
    ("reva-local", "reva-localhome"): "pull",
    ("opencloud", "reva-local"): "pull",
    ("reva-localhome", "opencloud"): "push",
    ("opencloud", "opencloud"): "streamed",
}


@pytest.fixture
def copies():
    """Whether the doors make third-party copies."""
    return True


@pytest.fixture(params=pairs(HOW))
def pair(request, fleet, far_fleet, copies):
    ends = [one.get(name, copies=copies) for one, name in zip((fleet, far_fleet), request.param)]
    yield ends
    for storage in ends:
        storage.recover()


@pytest.fixture
def copy(near, far, quick, issuer):
    """Copies what is at a URL of the near site to the far one, with tokens of the job unless told otherwise."""
    opened = []
    of_job = issuer.token("einstein")

    def run(source, to="new/f", token=of_job, progress=lambda _: None, again=False, **settings):
        if not (again and opened):
            sites = Sites.of({end.name: {**end.table, **settings} for end in (near, far)})
            opened.append((sites, Copier(sites)))
        target = Place(far.url(to), token)
        checked = {"size": len(CONTENT), "checksum": adler(CONTENT), "overwrite": True}
        return opened[-1][1].copy(Wanted((Place(source, token),), target, **checked), progress)

    yield run
    for sites, _ in opened:
        sites.close()


def expected_how(near, far):
    return HOW[near.storage.behaviour, far.storage.behaviour]


def copies_asked(*ends):
    return sum(call.method == "COPY" for end in ends for call in end.storage.gateway.calls)


def test_what_the_doors_really_can_is_left_to_them(near, far, copy):
    url = near.put("a file é", CONTENT)
    told = []
    done = copy(url, "new/a file é#?%", progress=told.append)
    assert done.how == expected_how(near, far)
    assert (done.size, done.checksums["adler32"]) == (len(CONTENT), adler(CONTENT)[8:])
    assert far.content("new/a file é#?%") == CONTENT
    assert far.names("new") == ["a file é#?%"]
    assert near.names() == ["a file é"]
    again = copy(url, "new/again", again=True)
    assert again.how == done.how
    assert far.content("new/again") == CONTENT


def test_over_what_is_there(near, far, copy):
    far.put("f", b"old")
    copy(near.put("f", CONTENT), "f")
    assert far.content("f") == CONTENT
    assert far.names() == ["f"]


ALIKE = [("reva-localhome", "reva-localhome"), ("opencloud", "opencloud")]


@pytest.mark.parametrize("pair", pairs(ALIKE), indirect=True)
@pytest.mark.parametrize("copies", [False])
def test_a_door_that_copies_within_its_own_site_leaves_nothing_there(near, far, copy):
    """It is told to push, and looks at the path of where to, and not at the host."""
    twin = f"{near.storage.home.rstrip('/')}/{far.below}/new"
    with near.storage.client() as client:
        client.files.mkdir(twin, parents=True)
        try:
            assert copy(near.put("f", CONTENT)).how == "streamed"
            assert list(client.files.list(twin)) == []
        finally:
            client.files.delete(os.path.dirname(twin), recursive=True)
    assert far.content("new/f") == CONTENT


EMBEDDED = [("reva-local", "reva-localhome"), ("opencloud", "opencloud")]
embedded = pytest.mark.parametrize("pair", EMBEDDED, indirect=True, ids=">".join)


@embedded
def test_doors_that_failed_are_not_asked_for_a_while(near, far, copy):
    url = near.put("f", CONTENT)
    how = copy(url).how
    asked = copies_asked(near, far)
    assert copy(url, again=True).how == how
    assert copies_asked(near, far) == asked + (how != "streamed")


@embedded
@pytest.mark.parametrize(
    ("settings", "token", "asked"),
    [({}, None, False), ({"tpc": "lend"}, None, True), ({"tpc": "off"}, "of the job", False)],
)
def test_our_own_tokens_are_shown_to_no_other_site_unless_we_are_told_to(near, far, copy, settings, token, asked):
    url = near.put("f", CONTENT)
    before = copies_asked(near, far)
    copy(url, **settings) if token else copy(url, token=None, **settings)
    assert (copies_asked(near, far) > before) == asked
    assert far.content("new/f") == CONTENT


def test_nothing_small_is_left_to_them(near, far, quick):
    with Sites.of({end.name: {**end.table, "tpc": "lend"} for end in (near, far)}) as sites:
        wanted = Wanted((Place(near.put("f", b"small")),), Place(far.url("f")), checksum=adler(b"small"))
        assert Copier(sites).copy(wanted, lambda _: None).how == "streamed"


FAULTS = [
    ("near", {"on": "http:GET", "kind": "cut", "after": 1 << 20, "times": 1}),
    ("near", {"on": "http:GET", "kind": "wrong_byte", "after": 1 << 20, "times": 1}),
    ("near", {"on": "http:GET", "kind": "status", "status": "503", "times": 1}),
    ("near", {"on": "http:GET", "kind": "stall", "after": 1 << 20, "times": 1}),
    ("far", {"on": "http:COPY", "kind": "stall", "after": 0, "times": 1}),
    ("far", {"on": "http:COPY", "kind": "reset", "after": 1 << 20, "times": 1}),
    ("far", {"on": "http:COPY", "kind": "status", "status": "401", "times": 1}),
    ("far", {"on": "http:COPY", "kind": "no_answer", "times": 1}),
]


@pytest.mark.parametrize("pair", EMBEDDED[:1], indirect=True, ids=">".join)
@pytest.mark.parametrize(("where", "fault"), FAULTS)
def test_what_they_do_wrong_is_found_out_and_made_good(near, far, copy, where, fault):
    url = near.put("f", CONTENT)
    {"near": near, "far": far}[where].fault(**fault)
    assert copy(url, stall_timeout=2.0).how in {"push", "streamed"}
    assert far.content("new/f") == CONTENT
    assert far.names("new") == ["f"]


@pytest.mark.parametrize("pair", EMBEDDED[:1], indirect=True, ids=">".join)
def test_a_stop_ends_them(near, far, copy):
    url = near.put("f", CONTENT)
    far.wire.mkdir(far.path("new"))
    near.storage.gateway.calls.clear()
    near.fault(on="http:GET", kind="stall", after=1 << 20, seconds=3600)
    stop, failures = deadline.Stop(), []

    def run():
        with stop.scope():
            failures.append(failing(copy, url))

    thread = threading.Thread(target=run)
    thread.start()
    while not any(call.method == "GET" for call in near.storage.gateway.calls):
        assert thread.is_alive()
        threading.Event().wait(0.01)
    stop.now()
    thread.join(20)
    assert not thread.is_alive()
    assert failures[0].side is Side.TRANSFER
    assert "[125] Transfer canceled" in failures[0].reason


@pytest.mark.parametrize("behaviours", [("opencloud", "opencloud"), ("reva-local", "opencloud")], ids=">".join)
def test_a_good_door_is_used(fleet, issuer, behaviours, quick):
    """As it has been seen on no storage yet."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        ends = []
        for folder, behaviour in zip((one, other), behaviours):
            gateway = Gateway(folder, behaviour, oidc_issuer=issuer.url, tpc="honest")
            like = fleet.get(behaviour)
            home = home_of(gateway.behaviour, storages.DEMO_USERS[0])
            storage = dataclasses.replace(
                like, address=gateway.address, dav=gateway.webdav_url, gateway=gateway, home=home, _wires=[]
            )
            ends.append(End(f"SITE{len(ends)}", storage))
        try:
            with Sites.of({end.name: end.table for end in ends}) as sites:
                places = [Place(end.url("f"), issuer.token("einstein")) for end in ends]
                ends[0].put("f", CONTENT)
                wanted = Wanted((places[0],), places[1], checksum=adler(CONTENT))
                assert Copier(sites).copy(wanted, lambda _: None).how == "pull"
            assert ends[1].content("f") == CONTENT
        finally:
            for end in ends:
                end.storage.close_wires()
                end.storage.gateway.stop()
