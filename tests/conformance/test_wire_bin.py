"""The second line's bin and its old versions."""

from __future__ import annotations

import time
import uuid

import pytest
from cs3.storage.provider.v1beta1 import resources_pb2 as storage_pb2

from tests.conformance.test_wire_spaces import make_project
from tests.conformance.wire import ref

pytestmark = pytest.mark.usefixtures("second_line")


@pytest.fixture
def root(wire):
    """The root of a space of its own, so that its bin is empty."""
    return make_project(wire)[0]


@pytest.fixture
def at(root):
    """References below the root."""
    return lambda path=".": ref(path if path == "." else f"./{path}", of=root)


def binned(wire, at, **fields):
    return {item.ref.path: item for item in wire.ok("ListRecycle", ref=at(), **fields).recycle_items}


def versions(wire, target):
    return list(wire.ok("ListFileVersions", ref=target).versions)


def overwritten(wire, target, *contents):
    for content in contents:
        assert wire.put(target, content) == 200
    return versions(wire, target)


# The bin


def test_what_is_deleted_is_in_the_bin(wire, at):
    wire.mkdir(at("d"))
    wire.put(at("d/f"), b"content")
    wire.put(at("g"), b"content")
    of = wire.stat(at("g")).id
    for name in ("d", "g"):
        wire.ok("Delete", ref=at(name))
    items = binned(wire, at)
    assert sorted(items) == ["/d", "/g"]
    assert items["/g"].key == of.opaque_id
    assert items["/g"].type == storage_pb2.RESOURCE_TYPE_FILE
    assert items["/g"].size == 0  # !! whatever it was
    assert abs(items["/g"].deletion_time.seconds - time.time()) < 3600  # seconds, not milliseconds
    inside = binned(wire, at, key=f"{items['/d'].key}/")
    assert [(path, item.key, item.size) for path, item in inside.items()] == [("/d/f", f"{items['/d'].key}/f", 7)]


def test_the_bin_is_the_same_wherever_one_asks(wire, at):
    wire.touch(at("f"))
    wire.mkdir(at("d"))
    wire.ok("Delete", ref=at("f"))
    for path in (".", "d", "missing"):
        assert len(wire.ok("ListRecycle", ref=at(path)).recycle_items) == 1
    assert wire.code("ListRecycleStream", ref=at()) == "grpc:UNKNOWN"


def test_what_is_restored_is_as_it_was(wire, at):
    overwritten(wire, at("f"), b"old", b"content")
    wire.set_metadata(at("f"), key="value")
    before = wire.stat(at("f"))
    wire.ok("Delete", ref=at("f"))
    wire.ok("RestoreRecycleItem", ref=at(), key=before.id.opaque_id, restore_ref=at("g"))
    after = wire.stat(at("g"))
    assert (after.id, after.checksum, after.size) == (before.id, before.checksum, before.size)
    assert wire.metadata(at("g"), "key") == {"key": "value"}
    assert wire.content(at("g")) == b"content"
    assert len(versions(wire, at("g"))) == 1
    assert binned(wire, at) == {}


def test_a_restore_that_fails(wire, at):
    wire.put(at("f"), b"content")
    key = wire.stat(at("f")).id.opaque_id
    wire.ok("Delete", ref=at("f"))
    wire.touch(at("taken"))
    assert wire.code("RestoreRecycleItem", ref=at(), key=key) == "INVALID_ARGUMENT"
    for name, code in (("taken", "ALREADY_EXISTS"), ("missing/f", "NOT_FOUND"), ("f", "OK"), ("g", "INTERNAL")):
        assert wire.code("RestoreRecycleItem", ref=at(), key=key, restore_ref=at(name)) == code
    assert wire.code("RestoreRecycleItem", ref=at(), key="nonsense", restore_ref=at("h")) == "INTERNAL"


def test_purge(wire, at):
    keys = []
    for name in ("a", "b", "c"):
        keys.append(wire.stat(wire.touch(at(name))).id.opaque_id)
        wire.ok("Delete", ref=at(name))
    assert wire.code("PurgeRecycle", ref=at(), key="nonsense") == "NOT_FOUND"
    wire.ok("PurgeRecycle", ref=at(), key=keys[0])
    assert sorted(binned(wire, at)) == ["/b", "/c"]
    wire.ok("PurgeRecycle", ref=at())  # !! without a key, all of it
    assert binned(wire, at) == {}


# Old versions


def test_an_overwrite_makes_an_old_version(wire, at):
    found = overwritten(wire, at("f"), b"one", b"three", b"seven")
    of = wire.stat(at("f")).id
    assert sorted(version.size for version in found) == [3, 5]
    assert all(version.key.startswith(f"{of.opaque_id}.REV.") for version in found)
    wire.ok("Move", source=at("f"), destination=at("g"))
    assert len(versions(wire, at("g"))) == 2


@pytest.mark.parametrize(("name", "code"), [("missing", "NOT_FOUND"), ("d", []), ("touched", [])])
def test_no_old_versions(wire, at, name, code):
    wire.mkdir(at("d"))
    wire.touch(at("touched"))
    assert (versions(wire, at(name)) if code == [] else wire.code("ListFileVersions", ref=at(name))) == code


def test_an_old_version_can_be_read(wire, at):
    """!! Stat tells its size, and the checksums of what is there now."""
    [old] = overwritten(wire, at("f"), b"old", b"content")
    now = wire.stat(at("f"))
    of = storage_pb2.ResourceId(storage_id=now.id.storage_id, space_id=now.id.space_id, opaque_id=old.key)
    assert wire.content(ref(".", of=of)) == b"old"
    info = wire.stat(ref(".", of=of))
    assert (info.size, info.checksum, info.id) == (3, now.checksum, now.id)


def test_an_old_version_can_be_restored(wire, at):
    [old] = overwritten(wire, at("f"), b"old", b"content")
    first = wire.stat(at("f"))
    wire.ok("RestoreFileVersion", ref=at("f"), key=old.key)
    assert wire.content(at("f")) == b"old"
    info = wire.stat(at("f"))
    assert (info.size, info.id) == (3, first.id)
    assert info.checksum != first.checksum
    assert [version.size for version in versions(wire, at("f"))] == [7]


def test_a_version_that_cannot_be_restored(wire, at):
    [old] = overwritten(wire, at("f"), b"old", b"content")
    assert wire.code("RestoreFileVersion", ref=at("f"), key="nonsense") == "NOT_FOUND"
    node, _, when = old.key.partition(".REV.")
    for key, code in ((f"{uuid.uuid4()}.REV.{when}", "NOT_FOUND"), (f"{node}.REV.2000-01-01T00:00:00Z", "INTERNAL")):
        assert wire.code("RestoreFileVersion", ref=at("f"), key=key) == code
    assert wire.content(at("f")) == b"content"


@pytest.mark.parametrize("name", ["g", "missing"])
def test_the_key_alone_says_what_is_restored(wire, at, name):
    """!! Whatever file the call is about."""
    [old] = overwritten(wire, at("f"), b"old", b"content")
    wire.put(at("g"), b"other")
    wire.ok("RestoreFileVersion", ref=at(name), key=old.key)
    assert (wire.content(at("f")), wire.content(at("g"))) == (b"old", b"other")
