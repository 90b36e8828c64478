"""Locks on the second line: they count, and who holds one names it."""

from __future__ import annotations

import time

import pytest
from cs3.storage.provider.v1beta1 import resources_pb2 as storage_pb2

from tests.conformance.test_wire_namespace import lock_of
from tests.conformance.wire import ref

pytestmark = pytest.mark.usefixtures("second_line")
METADATA = {"metadata": {"key": "value"}}
LENGTH = {"map": {"Upload-Length": {"decoder": "plain", "value": b"7"}}}


@pytest.fixture
def file(wire, folder):
    """By id: only SetLock takes paths."""
    assert wire.put(f"{folder}/f", b"content") == 200
    return ref("./f", of=wire.stat(folder).id)


@pytest.fixture
def locked(wire, file):
    wire.ok("SetLock", ref=file, lock=lock_of("one"))
    yield file
    wire.call("Unlock", ref=file, lock=lock_of("one"))


# What is tried with the file locked as `one`: the call, its arguments, and how it ends without the id of the lock, with
# another one, and with the right one. Where that is None it would change what the others find.
CASES = [
    ("Delete", {}, "LOCKED", "ABORTED", None),
    ("Move", {"destination": "g"}, "LOCKED", "ABORTED", None),
    ("SetArbitraryMetadata", {"arbitrary_metadata": METADATA}, "LOCKED", "ABORTED", "OK"),
    ("UnsetArbitraryMetadata", {"arbitrary_metadata_keys": ["key"]}, "LOCKED", "ABORTED", "OK"),
    ("InitiateFileUpload", {"opaque": LENGTH}, "LOCKED", "INTERNAL", "OK"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_what_is_locked_stays_as_it_is(wire, folder, locked, case):
    method, fields, without, wrong, right = case
    fields = {"source" if method == "Move" else "ref": locked, **fields}
    if "destination" in fields:
        fields["destination"] = f"{folder}/g"
    assert wire.code(method, **fields) == without
    assert wire.code(method, lock_id="two", **fields) == wrong
    if right:
        assert wire.code(method, lock_id="one", **fields) == right
    assert wire.content(locked) == b"content"


def test_stat_tells_the_lock(wire, locked):
    assert wire.stat(locked).lock.lock_id == wire.ok("GetLock", ref=locked).lock.lock_id == "one"


def test_there_is_one_lock(wire, locked):
    for lock_id in ("one", "two"):
        assert wire.code("SetLock", ref=locked, lock=lock_of(lock_id)) == "FAILED_PRECONDITION"


def test_a_lock_is_refreshed_or_replaced_by_who_knows_it(wire, locked):
    assert wire.code("RefreshLock", ref=locked, lock=lock_of("two")) == "ABORTED"
    assert wire.code("RefreshLock", ref=locked, lock=lock_of("two"), existing_lock_id="two") == "ABORTED"
    assert wire.code("RefreshLock", ref=locked, lock=lock_of("one")) == "OK"
    assert wire.code("RefreshLock", ref=locked, lock=lock_of("two"), existing_lock_id="one") == "OK"
    assert wire.code("Unlock", ref=locked, lock=lock_of("one")) == "LOCKED"
    assert wire.code("Unlock", ref=locked, lock=lock_of("two")) == "OK"
    assert wire.code("GetLock", ref=locked) == "NOT_FOUND"


@pytest.mark.parametrize(
    ("method", "free", "missing"),
    [
        ("GetLock", "NOT_FOUND", "NOT_FOUND"),
        ("Unlock", "ABORTED", "NOT_FOUND"),
        ("RefreshLock", "FAILED_PRECONDITION", "NOT_FOUND"),
    ],
)
def test_no_lock(wire, file, method, free, missing):
    fields = {} if method == "GetLock" else {"lock": lock_of("one")}
    assert wire.code(method, ref=file, **fields) == free
    assert wire.code(method, ref=ref("./missing", of=file.resource_id), **fields) == missing


def test_by_path_one_can_lock_and_not_unlock(wire, folder, file):
    """!!"""
    wire.ok("SetLock", ref=f"{folder}/f", lock=lock_of("one"))
    for method, fields in (
        ("GetLock", {}),
        ("RefreshLock", {"lock": lock_of("one")}),
        ("Unlock", {"lock": lock_of("one")}),
    ):
        assert wire.code(method, ref=f"{folder}/f", **fields) == "INTERNAL"
    assert wire.code("Unlock", ref=file, lock=lock_of("one")) == "OK"


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, "OK"), ({"expiration": {"seconds": 1}}, "NOT_FOUND"), ({"expiration": None}, "OK")],
    ids=str,
)
def test_a_lock_lasts_to_its_end_if_it_has_one(wire, file, changes, code):
    wire.ok("SetLock", ref=file, lock=lock_of("one", **changes))
    assert wire.code("GetLock", ref=file) == code
    wire.call("Unlock", ref=file, lock=lock_of("one"))


def test_a_lock_that_has_ended_is_in_nobodys_way(wire, file):
    wire.ok("SetLock", ref=file, lock=lock_of("one", expiration={"seconds": int(time.time()) - 1}))
    assert wire.put(file, b"other content") == 200


def test_a_locked_folder(wire, folder):
    """What is in it can be changed, and files made, but no folders."""
    target = ref(".", of=wire.stat(wire.mkdir(f"{folder}/d")).id)
    wire.ok("SetLock", ref=target, lock=lock_of("one"))
    codes = {
        "TouchFile": wire.code("TouchFile", ref=f"{folder}/d/f"),
        "CreateContainer": wire.code("CreateContainer", ref=f"{folder}/d/e"),
        "Delete": wire.code("Delete", ref=f"{folder}/d/f"),
    }
    assert codes == {"TouchFile": "OK", "CreateContainer": "LOCKED", "Delete": "OK"}
    assert wire.code("Delete", ref=target) == "LOCKED"
    wire.ok("Unlock", ref=target, lock=lock_of("one"))


def test_a_lock_is_told_as_it_was_given(wire, file):
    given = lock_of("one", type=storage_pb2.LOCK_TYPE_SHARED, app_name="rucio")
    wire.ok("SetLock", ref=file, lock=given)
    assert wire.ok("GetLock", ref=file).lock == given
    wire.ok("Unlock", ref=file, lock=given)
