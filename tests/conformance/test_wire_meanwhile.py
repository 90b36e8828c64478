"""What is checked again at the end of an upload, on the second line: what has come between, and room."""

from __future__ import annotations

import threading
import uuid

import pytest

from tests.conformance.sending import OLD, PATCH, begin, lock, offset_of, send, sums, sums_of, unlock

NEW = b"new"
MTIME = 1_600_000_000

pytestmark = pytest.mark.usefixtures("checking")


# What has become of it meanwhile: each prepares a path, begins an upload to it, and spoils it.


def made_meanwhile(wire, place):
    endpoints = wire.uploads(place, len(NEW))
    wire.put(place, OLD)
    return endpoints


def made_meanwhile_and_not_wanted(wire, place):
    endpoints = wire.uploads(place, len(NEW), conditions={"if_not_exist": True})
    wire.put(place, OLD)
    return endpoints


def folder_made_meanwhile(wire, place):
    endpoints = wire.uploads(place, len(NEW))
    wire.mkdir(place)
    return endpoints


def changed_meanwhile(wire, place):
    wire.put(place, b"older")
    endpoints = wire.uploads(place, len(NEW), conditions={"if_match": wire.stat(place).etag})
    wire.put(place, OLD)
    return endpoints


def touched_meanwhile(wire, place):
    wire.put(place, OLD)
    now = wire.stat(place).mtime.seconds
    endpoints = wire.uploads(place, len(NEW), conditions={"if_unmodified_since": {"seconds": now + 5}})
    wire.set_metadata(place, mtime=str(now + 60))
    return endpoints


def locked_meanwhile(wire, place):
    wire.put(place, OLD)
    endpoints = wire.uploads(place, len(NEW))
    lock(wire, place)
    return endpoints


def unlocked_meanwhile(wire, place):
    wire.put(place, OLD)
    held = lock(wire, place)
    endpoints = wire.uploads(place, len(NEW), conditions={"lock_id": held.lock_id})
    unlock(wire, place, held)
    return endpoints


def deleted_meanwhile(wire, place):
    wire.put(place, OLD)
    endpoints = wire.uploads(place, len(NEW))
    wire.ok("Delete", ref=place)
    return endpoints


def replaced_meanwhile(wire, place):
    endpoints = deleted_meanwhile(wire, place)
    wire.put(place, OLD)
    return endpoints


def parent_deleted_meanwhile(wire, place):
    endpoints = wire.uploads(place, len(NEW))
    wire.ok("Delete", ref=place.rpartition("/")[0])
    return endpoints


MEANWHILE = {
    made_meanwhile: (412, 409),
    made_meanwhile_and_not_wanted: (412, 409),
    folder_made_meanwhile: (412, 409),
    changed_meanwhile: (412, 412),
    touched_meanwhile: (412, 412),
    locked_meanwhile: (500, 500),
    unlocked_meanwhile: (412, 412),
    deleted_meanwhile: (500, 500),
    replaced_meanwhile: (500, 500),
    parent_deleted_meanwhile: (500, 500),
}


def seen(wire, place):
    """What others see there."""
    code = wire.code("Stat", ref=place)
    return (wire.stat(place).type, wire.stat(place).size) if code == "OK" else code


@pytest.mark.parametrize("way", ["simple", "tus"])
@pytest.mark.parametrize("spoil", MEANWHILE, ids=lambda spoil: spoil.__name__)
def test_what_has_changed_meanwhile(wire, folder, spoil, way):
    """Nothing appears. !! But the bytes stay with the upload, and a PATCH of no more bytes is 204, for nothing."""
    place = f"{wire.mkdir(f'{folder}/d')}/f"
    endpoints = spoil(wire, place)
    before = seen(wire, place)
    assert send(wire, endpoints, way, NEW) == MEANWHILE[spoil][way == "tus"]
    assert seen(wire, place) == before
    assert offset_of(wire, endpoints) == len(NEW)
    assert wire.request("PATCH", endpoints["tus"], b"", **{**PATCH, "Upload_Offset": str(len(NEW))}).status == 204
    assert seen(wire, place) == before
    assert wire.request("PUT", endpoints["simple"], NEW).status in (412, 500)


def test_what_was_moved_meanwhile(wire, folder, old):
    """It is the file that counts, and not its name."""
    endpoints = wire.uploads(old, len(NEW))
    wire.ok("Move", source=old, destination=f"{folder}/g")
    assert send(wire, endpoints, "simple", NEW) == 200
    assert not wire.exists(old)
    assert wire.content(f"{folder}/g") == NEW


def test_a_parent_that_was_moved_meanwhile(wire, folder):
    endpoints = wire.uploads(f"{wire.mkdir(f'{folder}/d')}/f", len(NEW))
    wire.ok("Move", source=f"{folder}/d", destination=f"{folder}/e")
    assert send(wire, endpoints, "simple", NEW) == 200
    assert wire.content(f"{folder}/e/f") == NEW


def test_a_failed_upload_that_is_tried_again_appends(wire, old):
    """!! The lock is gone, and what was sent twice is there twice; as long as was announced, so nobody sees it."""
    endpoints = wire.uploads(old, len(NEW))
    held = lock(wire, old)
    assert send(wire, endpoints, "simple", NEW) == 500
    unlock(wire, old, held)
    assert send(wire, endpoints, "simple", b"NEW") == 200
    assert wire.content(old) == NEW
    assert sums_of(wire, old) == sums(b"newNEW")


def test_a_locked_file(wire, old):
    held = lock(wire, old)
    assert begin(wire, old) == "LOCKED"
    assert begin(wire, old, 0) == "LOCKED"
    assert begin(wire, old, lock_id="wrong") == "INTERNAL"
    assert wire.content(old) == OLD
    endpoints = wire.uploads(old, len(NEW), conditions={"lock_id": held.lock_id})
    assert send(wire, endpoints, "simple", NEW) == 200
    assert wire.content(old) == NEW
    unlock(wire, old, held)
    assert begin(wire, old, lock_id=held.lock_id) == "INTERNAL"


def test_two_uploads_to_an_old_file(wire, old):
    """The last wins."""
    first, second = wire.uploads(old, 3), wire.uploads(old, 4)
    assert send(wire, second, "simple", b"four") == 200
    assert send(wire, first, "simple", b"one") == 200
    assert wire.content(old) == b"one"


@pytest.mark.parametrize("there", [False, True])
def test_racing_puts(wire, folder, there):
    """One of them makes the file; on an old one, each has its turn. A real one may stumble at Initiate, too."""
    if there:
        wire.put(f"{folder}/f", OLD)
    begun = [wire.uploads(f"{folder}/f", 1000) for _ in range(8)]
    statuses = []
    writers = [
        threading.Thread(target=lambda n=n, to=to: statuses.append(send(wire, to, "simple", b"%d" % n * 1000)))
        for n, to in enumerate(begun)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(statuses) == ([200] * 8 if there else [200] + [412] * 7)
    content = wire.content(f"{folder}/f")
    assert (len(content), len(set(content))) == (1000, 1)
    assert sums_of(wire, f"{folder}/f") == sums(content)


# Room


@pytest.fixture
def small(wire):
    """A space with room for 1000 bytes, that goes away with the test."""
    owner = wire.ok("WhoAmI", token=wire.token).user
    name = f"small-{uuid.uuid4().hex[:8]}"
    space = wire.ok(
        "CreateStorageSpace", type="project", name=name, owner=owner, quota={"quota_max_bytes": 1000}
    ).storage_space
    yield f"/projects/{name}"
    for opaque in ({}, {"map": {"purge": {"decoder": "plain", "value": b"true"}}}):  # first it is disabled
        wire.code("DeleteStorageSpace", id=space.id, opaque=opaque)


def test_what_there_is_room_for(wire, small):
    assert begin(wire, f"{small}/f", 1001) == "INSUFFICIENT_STORAGE"
    assert begin(wire, f"{small}/f", 1000) == "OK"
    assert wire.put(f"{small}/f", b"f" * 600) == 200
    assert begin(wire, f"{small}/g", 401) == "INSUFFICIENT_STORAGE"
    assert begin(wire, f"{small}/g", 400) == "OK"
    assert begin(wire, f"{small}/f", 700) == "OK"  # in the place of the old one


@pytest.mark.parametrize(("way", "status"), [("simple", 507), ("tus", 500)])
def test_uploads_that_race_for_room(wire, small, way, status):
    first, second = wire.uploads(f"{small}/f", 600), wire.uploads(f"{small}/g", 600)
    assert send(wire, first, "simple", b"f" * 600) == 200
    assert send(wire, second, way, b"g" * 600) == status
    assert wire.names(small) == ["f"]
    assert offset_of(wire, second) == 600


def test_only_what_is_announced_needs_room(wire, small):
    """!! 900 times the quota, as long as it is announced as 10 bytes."""
    assert wire.put(f"{small}/f", b"f" * 900_000, length=10) == 200
    assert wire.ok("GetQuota", ref=small).used_bytes == 10
