"""What `rucio-cs3 rse add` finds out about a storage, by looking and by trying."""

from __future__ import annotations

import contextlib
import io
from urllib.parse import urlsplit

import pytest

from rucio_cs3.errors import ConfigError, NotDirectory, NotFound
from rucio_cs3.gateway import Fault
from rucio_cs3.model import Ref
from rucio_cs3.operate import discovery, opening, place, probe, sample
from rucio_cs3.operate.discovery import ANNOUNCED, COPIES, DOOR, RANGES, SEEN, TUS, UNKNOWN, View
from rucio_cs3.operate.door import Door
from rucio_cs3.root import Root
from tests.conformance.conftest import fresh_folder


@contextlib.contextmanager
def viewed(storage, folder, door=None):
    """A folder as the RSE that it would be."""
    if not storage.dav:
        pytest.skip("it has no WebDAV door that is known")
    root = Ref(folder)
    with storage.client() as client, Door(door or storage.dav, client) as at_door:
        yield View(client, Root(client, root), at_door, opening.find(at_door, client, root))


@pytest.fixture
def view(storage, folder):
    with viewed(storage, folder) as view:
        yield view


def by_name(findings):
    return {found.what: found for found in findings}


def test_looking_changes_nothing_and_promises_nothing(view, client, folder):
    found = by_name(discovery.look(view))
    assert not [each for each in found.values() if each.works is False]
    assert found[DOOR].works
    assert found[COPIES].how == ANNOUNCED  # which every door does, and this one makes none
    assert found["checksums"].how == found[RANGES].how == UNKNOWN
    assert list(client.files.list(folder)) == []


def test_a_file_that_is_there_tells_more(storage, view, client, folder):
    client.upload(io.BytesIO(b"content"), f"{folder}/a/b/f")
    found = by_name(discovery.look(view))
    assert (bool(found["checksums"].works), found["checksums"].how) == (storage.has_checksums, SEEN)
    assert (bool(found[RANGES].works), found[RANGES].how) == (storage.facts.serves_ranges, SEEN)


def test_what_is_empty_is_passed_over_in_search_of_a_file(client, folder):
    for number in range(4):
        client.files.mkdir(f"{folder}/full-of-empty-ones/{number}", parents=True)
    client.upload(io.BytesIO(), f"{folder}/empty")
    assert sample.find(client, Ref(folder)) is None
    for number in range(4):
        client.files.mkdir(f"{folder}/{number}")
    client.upload(io.BytesIO(b"content"), f"{folder}/3/a/f")
    assert sample.find(client, Ref(folder), largest=6) is None
    path, info = sample.find(client, Ref(folder), largest=7)
    assert (path, info.size) == ("3/a/f", 7)


def test_locks_spaces_and_quota_are_those_of_the_storage(storage, view):
    found = by_name(discovery.look(view))
    assert bool(found["locks"].works) == storage.facts.has_locks
    assert bool(found["spaces"].works) == storage.facts.has_spaces
    assert bool(found["free space"].works) == storage.has_quota
    assert found["root folder"].facts["addressed_by"] == ("id" if storage.finds_ids else "path")


def test_trying_tells_what_the_storage_does_and_leaves_nothing(storage, view, client, folder):
    found = by_name(probe.probe(view))
    assert {each.how for each in found.values()} == {SEEN}
    assert found[probe.WRITING].works
    assert found[DOOR].works
    assert bool(found[TUS].works) == storage.has_tus
    assert bool(found["checksums"].works) == storage.has_checksums
    assert bool(found[RANGES].works) == storage.facts.serves_ranges
    assert found[COPIES].works is None, "this door makes none"
    assert list(client.files.list(folder)) == []


def test_what_a_door_says_of_its_copies_is_not_believed(copier):
    """That of the second line answers `success` and leaves an empty file."""
    with fresh_folder(copier) as folder, viewed(copier, folder) as view:
        found = by_name(probe.probe(view))[COPIES]
        assert found.works is not copier.facts.has_spaces
        assert ("!!" in found.said) is copier.facts.has_spaces
        assert list(view.client.files.list(folder)) == []


def test_a_storage_that_takes_no_files_is_told_as_such(storage, view, client, folder):
    if not storage.gateway:
        pytest.skip("a real storage does not break on request")
    storage.gateway.faults.add(Fault(on="grpc:InitiateFileUpload", kind="full"))
    [found] = probe.probe(view)
    assert (found.what, found.works, found.facts) == (probe.WRITING, False, {"error": "storage_full"})
    assert list(client.files.list(folder)) == []


# The door


def test_the_door_may_be_named_by_the_folder_itself_or_by_its_host(storage, folder):
    host = storage.dav[: -len(urlsplit(storage.dav).path)]
    name = folder.rpartition("/")[2]
    for door in (storage.dav, f"{storage.dav}/{name}", f"{host}/"):
        with viewed(storage, folder, door) as view:
            assert by_name(discovery.look(view))[DOOR].works
            assert view.opening.prefix.endswith(f"/{name}/") or "/dav/spaces/" in view.opening.prefix


def test_a_door_to_another_folder_is_refused(storage, client, folder):
    client.files.mkdir(f"{folder}/here")
    client.files.mkdir(f"{folder}/there")
    name = folder.rpartition("/")[2]
    with (
        pytest.raises(ConfigError, match=r"does not show .*/here") as caught,
        viewed(storage, f"{folder}/here", f"{storage.dav}/{name}/there"),
    ):
        pass
    assert "is another folder" in str(caught.value)


def test_a_door_that_is_none_is_refused(storage, folder):
    with pytest.raises(ConfigError, match="does not show"), viewed(storage, folder, f"{storage.dav}/nowhere"):
        pass


# The place


def test_the_nearest_folder_that_is_there_is_named(client, folder):
    client.files.mkdir(f"{folder}/rucio-data")
    with pytest.raises(NotFound) as caught:
        place.look(client, Ref(f"{folder}/rucio-dat/a/b"))
    assert f"{folder} is there, with rucio-data in it" in caught.value.hint


def test_a_file_is_no_place(client, folder):
    client.upload(io.BytesIO(b"content"), f"{folder}/f")
    with pytest.raises(NotDirectory):
        place.look(client, Ref(f"{folder}/f"))


def test_spaces_are_those_of_the_user(second_line, storage, client, folder):
    [personal] = [space for space in client.spaces.list() if space.kind == "personal"]
    assert personal.path == storage.home
    assert client.files.stat(Ref(folder.rpartition("/")[2], personal.id)).id == client.files.stat(folder).id
