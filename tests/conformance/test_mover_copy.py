"""One copy of the mover's, between two sites: of the embedded gateway's behaviours, and of real daemons of both lines."""

from __future__ import annotations

import itertools
import os
import re
import threading
import uuid
import zlib
from urllib.parse import quote

import pytest

from rucio_cs3 import deadline
from rucio_cs3.gateway import Fault
from rucio_cs3.mover.copy import Copier
from rucio_cs3.mover.model import Compare, Failed, Place, Side, Wanted
from rucio_cs3.mover.sites import Sites
from tests.conformance import storages

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


def pairs():
    names = storages.names()
    both = [pair for prefix in ("", "real-") for pair in ([prefix + name for name in pair] for pair in KINDS)]
    return [pytest.param(pair, id=">".join(pair)) for pair in both if set(pair) <= set(names)]


@pytest.fixture(scope="module")
def far_fleet(issuer):
    """Storages that are others than those of the same name."""
    with storages.Fleet(issuer) as fleet:
        yield fleet


@pytest.fixture(params=pairs())
def pair(request, fleet, far_fleet):
    near, far = request.param
    ends = fleet.get(near), far_fleet.get(far)
    yield ends
    for storage in ends:
        if storage.gateway:
            storage.gateway.faults.clear()
        storage.close_wires()


class End:
    """One of the two sites, with a folder of its own, as the test looks at it."""

    def __init__(self, name, storage, **settings):
        self.name, self.storage = name, storage
        self.wire = storage.wire()
        self.folder = self.wire.mkdir(f"{storage.home.rstrip('/')}/test-{uuid.uuid4().hex[:12]}")
        self.table = {
            "gateway": storage.address,
            "tls": False,
            "username": storage.user,
            "password": storage.password,
            "doors": [storage.dav],
            "cs3_root": storage.home,
            "retries": 1,
            "processing_timeout": 30,
            **settings,
        }

    def path(self, name):
        return f"{self.folder}/{name}"

    def url(self, name):
        return f"{self.storage.dav}/{quote(os.path.relpath(self.folder, self.storage.home))}/{quote(name)}"

    def put(self, name, content):
        assert self.wire.put(self.path(name), content) == 200
        return self.url(name)

    def content(self, name):
        with self.storage.client() as client, client.open_read(self.path(name)) as file:
            return file.read()

    def names(self, below=""):
        with self.storage.client() as client:
            return sorted(entry.name for entry in client.files.list(self.path(below) if below else self.folder))

    def fault(self, **fault):
        if not self.storage.gateway:
            pytest.skip("a real storage does not break on request")
        self.storage.gateway.faults.add(Fault(**fault))


@pytest.fixture
def near(pair):
    side = End("NEAR", pair[0])
    yield side
    side.wire.call("Delete", ref=side.folder)


@pytest.fixture
def far(pair):
    side = End("FAR", pair[1])
    yield side
    side.wire.call("Delete", ref=side.folder)


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


def adler(content):
    return f"ADLER32:{zlib.adler32(content):08x}"


def failing(copy, *sources, **wanted):
    with pytest.raises(Failed) as caught:
        copy(*sources, **wanted)
    assert "\n" not in caught.value.reason
    assert re.match(rf"{caught.value.side.value} \[\d+\] ", caught.value.reason)
    return caught.value


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_a_file_is_copied_and_verified(near, far, copy, content):
    told = []
    url = near.put("a file é#?%", content) if content else touched(near, "a file é#?%")
    done = copy(url, size=len(content), checksum=adler(content), progress=told.append)
    assert far.content("new/folder/f") == content
    assert (done.source, done.size, done.how) == (url, len(content), "streamed")
    assert done.checksums["adler32"] == adler(content)[8:]
    assert told == sorted(told)
    assert told[-1:] == ([len(content)] if content else [])
    assert far.names("new/folder") == ["f"]


def touched(side, name):
    with side.storage.client() as client:
        client.files.touch(side.path(name))
    return side.url(name)
