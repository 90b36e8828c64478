"""What `rucio-cs3 rse add` finds out about a storage, by looking and by trying."""

from __future__ import annotations

import io

import pytest

from rucio_cs3.errors import ConfigError, NotFound
from rucio_cs3.model import Ref
from rucio_cs3.operate import discovery, place, probe
from rucio_cs3.operate.discovery import COPIES, DOOR, RANGES, SEEN, TUS, View
from rucio_cs3.operate.door import Door, opening
from rucio_cs3.root import Root


@pytest.fixture
def door(storage, client):
    if not storage.dav:
        pytest.skip("it has no WebDAV door that is known")
    with Door(storage.dav, client) as door:
        yield door


@pytest.fixture
def view(storage, client, folder, door):
    root = Ref(folder)
    return View(storage.client, client, Root(client, root), door, opening(door, client, root))


def by_name(findings):
    return {found.what: found for found in findings}


def test_looking_changes_nothing(view, client, folder):
    found = by_name(discovery.look(view))
    print(*found.values(), sep="\n")
    assert not [each for each in found.values() if each.works is False]
    assert (found[DOOR].works, found["root folder"].works) == (True, True)
    assert list(client.files.list(folder)) == []


def test_trying_tells_what_the_storage_does(storage, view, client, folder):
    found = by_name(probe.probe(view))
    print(*found.values(), sep="\n")
    seen = {what: each.works for what, each in found.items() if each.how == SEEN}
    assert seen[probe.WRITING]
    assert seen[DOOR]
    assert bool(seen[TUS]) == storage.has_tus
    assert bool(seen["checksums"]) == storage.has_checksums
    assert bool(seen[RANGES]) == storage.facts.serves_ranges
    assert list(client.files.list(folder)) == []
