from __future__ import annotations

import grpc
import pytest
from cs3.storage.provider.v1beta1 import resources_pb2 as storage_pb2

from tests.conformance.names import NAMES
from tests.conformance.wire import ref

FILE, FOLDER = storage_pb2.RESOURCE_TYPE_FILE, storage_pb2.RESOURCE_TYPE_CONTAINER

# In a folder with a file `f`, another `g`, a folder `d` with a file `x` in it, and an empty folder `e`:
# a call, its arguments, and how it ends on `local` and `localhome`, on `cephmount`, and on the second line.
CASES = [
    ("Stat", {"ref": "missing"}, "NOT_FOUND", "NOT_FOUND", "NOT_FOUND"),
    ("Stat", {"ref": "missing/below"}, "NOT_FOUND", "NOT_FOUND", "NOT_FOUND"),
    ("Stat", {"ref": "f/below"}, "INTERNAL", "INTERNAL", "NOT_FOUND"),
    ("Stat", {"ref": "n" * 256}, "INTERNAL", "INTERNAL", "INTERNAL"),
    ("Stat", {"ref": "d/"}, "OK", "OK", "OK"),
    ("Stat", {"ref": "d/../f"}, "OK", "OK", "OK"),
    ("Stat", {"ref": "d//x"}, "OK", "OK", "OK"),
    ("Stat", {"ref": "nul\0byte"}, "INTERNAL", "INTERNAL", "INTERNAL"),
    ("ListContainer", {"ref": "missing"}, "NOT_FOUND", "INTERNAL", "NOT_FOUND"),
    ("ListContainer", {"ref": "f"}, "INTERNAL", "INTERNAL", "INTERNAL"),
    ("ListContainer", {"ref": "d"}, "OK", "OK", "OK"),
    ("ListContainer", {"ref": "e"}, "OK", "OK", "OK"),
    ("ListContainerStream", {"ref": "d"}, "grpc:UNKNOWN", "grpc:UNKNOWN", "grpc:UNKNOWN"),
    ("CreateContainer", {"ref": "new"}, "OK", "OK", "OK"),
    ("CreateContainer", {"ref": "missing/new"}, "NOT_FOUND", "OK", "FAILED_PRECONDITION"),
    ("CreateContainer", {"ref": "d"}, "ALREADY_EXISTS", "OK", "ALREADY_EXISTS"),
    ("CreateContainer", {"ref": "f"}, "ALREADY_EXISTS", "INTERNAL", "ALREADY_EXISTS"),
    ("CreateContainer", {"ref": "f/new"}, "INTERNAL", "INTERNAL", "INTERNAL"),
    ("CreateContainer", {"ref": "f/missing/new"}, "INTERNAL", "INTERNAL", "FAILED_PRECONDITION"),
    ("CreateContainer", {"ref": "n" * 256}, "INTERNAL", "INTERNAL", "INTERNAL"),
    ("TouchFile", {"ref": "new"}, "OK", "OK", "OK"),
    ("TouchFile", {"ref": "f"}, "ALREADY_EXISTS", "OK", "ALREADY_EXISTS"),
    ("TouchFile", {"ref": "d"}, "ALREADY_EXISTS", "INTERNAL", "ALREADY_EXISTS"),
    ("TouchFile", {"ref": "missing/new"}, "NOT_FOUND", "OK", "NOT_FOUND"),
    ("TouchFile", {"ref": "f/new"}, "INTERNAL", "INTERNAL", "INTERNAL"),
    ("TouchFile", {"ref": "n" * 256}, "INTERNAL", "INTERNAL", "INTERNAL"),
    ("Delete", {"ref": "f"}, "OK", "OK", "OK"),
    ("Delete", {"ref": "d"}, "OK", "OK", "OK"),
    ("Delete", {"ref": "e"}, "OK", "OK", "OK"),
    ("Delete", {"ref": "missing"}, "NOT_FOUND", "OK", "NOT_FOUND"),
    ("Delete", {"ref": "f/below"}, "INTERNAL", "INTERNAL", "NOT_FOUND"),
    ("Move", {"source": "f", "destination": "new"}, "OK", "OK", "OK"),
    ("Move", {"source": "d", "destination": "new"}, "OK", "OK", "OK"),
    ("Move", {"source": "f", "destination": "f"}, "OK", "OK", "ALREADY_EXISTS"),
    ("Move", {"source": "missing", "destination": "new"}, "INTERNAL", "INTERNAL", "NOT_FOUND"),
    ("Move", {"source": "f", "destination": "missing/new"}, "INTERNAL", "OK", "NOT_FOUND"),
    ("Move", {"source": "f", "destination": "g"}, "OK", "OK", "ALREADY_EXISTS"),
    ("Move", {"source": "f", "destination": "d"}, "INTERNAL", "INTERNAL", "ALREADY_EXISTS"),
    ("Move", {"source": "d", "destination": "e"}, "INTERNAL", "INTERNAL", "ALREADY_EXISTS"),
    ("Move", {"source": "e", "destination": "d"}, "INTERNAL", "INTERNAL", "ALREADY_EXISTS"),
    ("Move", {"source": "d", "destination": "f"}, "INTERNAL", "INTERNAL", "ALREADY_EXISTS"),
    ("Move", {"source": "f", "destination": "n" * 256}, "INTERNAL", "INTERNAL", "INTERNAL"),
    (
        "UnsetArbitraryMetadata",
        {"ref": "missing", "arbitrary_metadata_keys": ["k"]},
        "NOT_FOUND",
        "INTERNAL",
        "NOT_FOUND",
    ),
    ("UnsetArbitraryMetadata", {"ref": "f", "arbitrary_metadata_keys": ["never-set"]}, "OK", "OK", "OK"),
    ("InitiateFileDownload", {"ref": "missing"}, "OK", "OK", "OK"),
    ("InitiateFileDownload", {"ref": "d"}, "OK", "OK", "OK"),
    ("InitiateFileUpload", {"ref": "missing/new"}, "OK", "OK", "FAILED_PRECONDITION"),
    ("InitiateFileUpload", {"ref": "d"}, "OK", "OK", "FAILED_PRECONDITION"),
    ("GetQuota", {"ref": "f"}, "OK", "OK", "OK"),
    ("GetQuota", {"ref": "missing"}, "OK", "OK", "NOT_FOUND"),
    ("GetLock", {"ref": "f"}, "INTERNAL", "NOT_FOUND", "INTERNAL"),
    ("GetLock", {"ref": "missing"}, "INTERNAL", "NOT_FOUND", "INTERNAL"),
    ("CreateSymlink", {"ref": "link", "target": "f"}, "UNIMPLEMENTED", "UNIMPLEMENTED", "UNIMPLEMENTED"),
]


def label(case):
    method, fields, *_ = case
    return " ".join([method, *(str(value).replace("\0", "NUL")[:12] for value in fields.values())])


def path_of(storage, path):
    """As it is told: whole, or its last name."""
    return expected(storage, path, path, path.rpartition("/")[2])


@pytest.fixture
def full(wire, folder):
    """The folder of the cases."""
    for name in ("f", "g"):
        wire.touch(f"{folder}/{name}")
    for name in ("d", "e"):
        wire.mkdir(f"{folder}/{name}")
    wire.touch(f"{folder}/d/x")
    return folder


def expected(storage, local, ceph, spaces=None):
    if storage.facts.has_spaces:
        return local if spaces is None else spaces
    return ceph if storage.behaviour == "reva-ceph" else local


@pytest.mark.parametrize("case", CASES, ids=label)
def test_how_a_call_ends(storage, wire, full, case):
    method, fields, *codes = case
    in_folder = {k: f"{full}/{v}" if k in ("ref", "source", "destination") else v for k, v in fields.items()}
    assert wire.code(method, **in_folder) == expected(storage, *codes)


@pytest.mark.parametrize("method", ["Stat", "ListContainer", "CreateContainer", "TouchFile", "Delete"])
@pytest.mark.parametrize("path", ["", "relative/path"])
def test_a_path_that_nobody_serves(storage, wire, method, path):
    invalid = storage.facts.has_spaces and not path and method not in ("Stat", "ListContainer")
    assert wire.code(method, ref=path) == ("INVALID_ARGUMENT" if invalid else "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "spaces"),
    [("Stat", "NOT_FOUND"), ("ListContainer", "NOT_FOUND"), ("CreateContainer", "INVALID_ARGUMENT")],
)
def test_no_reference_at_all(storage, wire, method, spaces):
    assert wire.code(method) == expected(storage, "INTERNAL", "INTERNAL", spaces)


def test_outside_of_the_mount(storage, wire):
    if storage.home == "/" or storage.facts.has_spaces:
        pytest.skip("it is mounted at the top, or nothing is shown above: test_wire_spaces.py")
    assert wire.code("Stat", ref="/elsewhere") == "NOT_FOUND"
    assert wire.code("CreateContainer", ref="/elsewhere") == "NOT_FOUND"
    assert wire.code("Move", source="/elsewhere", destination=f"{storage.home}/x") == "NOT_FOUND"
    assert wire.stat("/").type == FOLDER
    assert [info.path for info in wire.ok("ListContainer", ref="/").infos] == [storage.home]


def test_the_mount_itself_cannot_go(storage, wire, folder):
    if storage.facts.has_spaces:
        pytest.skip("!! it can: test_wire_spaces.py")
    assert wire.code("Delete", ref=storage.home) == "INTERNAL"
    assert wire.code("Delete", ref="/") == "INTERNAL"
    assert wire.code("InitiateFileUpload", ref=storage.home) == "INTERNAL"
    assert wire.exists(folder)


def test_home(storage, wire):
    assert wire.ok("GetHome").path == storage.home
    assert wire.code("CreateHome") == ("INTERNAL" if storage.behaviour in ("reva-local", "reva-ceph") else "OK")
    assert wire.stat(storage.home).path == expected(storage, storage.home, storage.home, ".")


# What Stat says


def test_a_file(storage, wire, folder):
    wire.put(f"{folder}/f.txt", b"content")
    info = wire.stat(f"{folder}/f.txt")
    assert (info.type, info.path, info.size, info.mime_type) == (
        FILE,
        path_of(storage, f"{folder}/f.txt"),
        7,
        "text/plain",
    )
    assert info.mtime.seconds > 1_700_000_000
    assert bool(info.mtime.nanos) == storage.facts.has_spaces
    assert info.etag.startswith('"')
    assert info.id.storage_id
    assert info.id.opaque_id
    assert info.permission_set.initiate_file_upload
    space = info.id.space_id
    assert info.parent_id.space_id == space
    assert info.space.id.opaque_id == expected(storage, space, space, f"{space}!{space}")
    if storage.behaviour != "reva-ceph":
        assert info.owner == wire.call("WhoAmI", token=wire.token).user.id


def test_a_folder_has_a_size_of_its_own(storage, wire, full):
    wire.put(f"{full}/d/y", b"content")
    info = wire.stat(f"{full}/d")
    assert (info.type, info.path) == (FOLDER, path_of(storage, f"{full}/d"))
    assert info.size == (7 if storage.facts.folder_size_is_recursive else 4096)
    assert info.mime_type == ("" if storage.behaviour == "reva-ceph" else "httpd/unix-directory")


def test_there_is_never_a_checksum(storage, wire, folder):
    if storage.facts.has_spaces:
        pytest.skip("there is: test_wire_spaces.py")
    wire.put(f"{folder}/f", b"content")
    info = wire.stat(f"{folder}/f")
    assert (info.checksum.type, info.checksum.sum) == (0, "")
    assert not info.opaque.map


def test_a_list_says_the_same_as_stat(storage, wire, full):
    wire.put(f"{full}/h", b"content")
    listed = {info.path: info for info in wire.ok("ListContainer", ref=full).infos}
    assert sorted(listed) == [path_of(storage, f"{full}/{name}") for name in "defgh"]
    for path, info in listed.items():
        alone = wire.stat(f"{full}/{path[-1]}")
        assert (info.type, info.size, info.etag, info.id) == (alone.type, alone.size, alone.etag, alone.id)


def test_the_etag_changes_with_an_overwrite_of_the_same_size(wire, folder):
    wire.put(f"{folder}/f", b"one")
    before = wire.stat(f"{folder}/f").etag
    wire.put(f"{folder}/f", b"two")
    assert wire.stat(f"{folder}/f").etag != before


def test_the_id_changes_with_the_path_or_stays_with_the_file(storage, wire, folder):
    before = wire.stat(wire.touch(f"{folder}/old")).id
    wire.ok("Move", source=f"{folder}/old", destination=f"{folder}/new")
    assert (wire.stat(f"{folder}/new").id == before) != storage.facts.id_is_path


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:12].encode("unicode_escape").decode())
def test_any_name(storage, wire, folder, name):
    assert wire.put(f"{folder}/{name}", b"content") == 200
    assert wire.stat(f"{folder}/{name}").path == path_of(storage, f"{folder}/{name}")
    assert wire.names(folder) == [name]
    assert wire.content(f"{folder}/{name}") == b"content"
    too_long = storage.facts.bins_under_name and len(name) > 240  # the bin adds a suffix
    assert wire.code("Delete", ref=f"{folder}/{name}") == ("INTERNAL" if too_long else "OK")
    assert wire.names(folder) == ([name] if too_long else [])


# By resource id


@pytest.mark.parametrize("path", ["", ".", "./", "./d/..", "./d/../.."])
def test_a_folder_by_id(storage, wire, full, path):
    of = wire.stat(f"{full}/d").id
    code = wire.code("Stat", ref=ref(path, of=of))
    leaves = path == "./d/../.."
    assert code == expected(storage, "OK", "INTERNAL", "INTERNAL" if leaves else "OK")
    if code == "OK":
        within = f"{full[len(storage.home) :]}/d"
        assert wire.stat(ref(path, of=of)).path == expected(storage, f"{full}/d", "", "d" if path else within)


@pytest.mark.parametrize("path", ["./x", "x", "/x", "./../x"])
def test_a_file_by_id_of_its_folder(storage, wire, full, path):
    of = wire.stat(f"{full}/d").id
    code = wire.code("Stat", ref=ref(path, of=of))
    assert code == expected(storage, "OK", "INTERNAL", "INTERNAL" if path == "./../x" else "OK")
    if code == "OK":
        within = "x" if path.startswith(".") else f"{full[len(storage.home) :]}/d/x"
        assert wire.stat(ref(path, of=of)).path == expected(storage, f"{full}/d/x", "", within)


@pytest.mark.parametrize(
    ("changes", "local", "ceph", "spaces"),
    [
        ({"storage_id": "elsewhere"}, "INTERNAL", "INTERNAL", "NOT_FOUND"),
        ({"storage_id": ""}, "NOT_FOUND", "NOT_FOUND", "OK"),
        ({"space_id": ""}, "OK", "INTERNAL", "NOT_FOUND"),
        ({"space_id": "nonsense"}, "OK", "INTERNAL", "NOT_FOUND"),
        ({"opaque_id": ""}, "OK", "INTERNAL", "OK"),
        ({"opaque_id": "fileid-%2Fnowhere"}, "NOT_FOUND", "INTERNAL", "NOT_FOUND"),
        ({"opaque_id": "nonsense"}, "NOT_FOUND", "INTERNAL", "NOT_FOUND"),
    ],
    ids=str,
)
def test_an_id_that_is_not_quite_right(storage, wire, full, changes, local, ceph, spaces):
    of = wire.stat(f"{full}/f").id
    for name, value in changes.items():
        setattr(of, name, value)
    assert wire.code("Stat", ref=ref(of=of)) == expected(storage, local, ceph, spaces)


def test_every_call_by_id(storage, wire, full):
    of = wire.stat(full).id
    if not storage.finds_ids:
        for method in ("ListContainer", "CreateContainer", "TouchFile", "Delete", "InitiateFileUpload"):
            assert wire.code(method, ref=ref("./n", of=of)) == "INTERNAL"
        return
    wire.mkdir(ref("./n", of=of))
    wire.touch(ref("./n/f", of=of))
    wire.set_metadata(ref("./n/f", of=of), key="value")
    assert wire.metadata(ref("./n/f", of=of), "key") == {"key": "value"}
    wire.ok("Move", source=ref("./n/f", of=of), destination=ref("./n/g", of=of))
    assert wire.names(f"{full}/n") == ["g"]
    inside = f"{full[len(storage.home) :]}/n"
    told = wire.ok("GetPath", resource_id=wire.stat(f"{full}/n").id).path
    assert told == expected(storage, f"{full}/n", "", inside)
    wire.ok("Delete", ref=ref("./n", of=of))
    assert not wire.exists(f"{full}/n")


def test_a_list_by_relative_reference_names_entries_from_the_mount_on(storage, wire, full):
    if not storage.finds_ids:
        pytest.skip("it does not find ids")
    of = wire.stat(f"{full}/d").id
    inside = full[len(storage.home.rstrip("/")) :]
    relative, absolute = expected(storage, (f"{inside}/d/x", f"{full}/d/x"), None, ("x", f"{inside}/d/x"))
    assert [info.path for info in wire.ok("ListContainer", ref=ref(".", of=of)).infos] == [relative]
    assert [info.path for info in wire.ok("ListContainer", ref=ref(of=of)).infos] == [absolute]


# What calls do


def test_move_onto_a_file_takes_its_place_without_a_word(storage, wire, folder):
    wire.put(f"{folder}/old", b"old")
    wire.put(f"{folder}/new", b"new!")
    code = wire.code("Move", source=f"{folder}/new", destination=f"{folder}/old")
    assert code == storage.facts.move_existing
    assert wire.names(folder) == (["old"] if code == "OK" else ["new", "old"])
    assert wire.content(f"{folder}/old") == (b"new!" if code == "OK" else b"old")


def test_move_of_a_folder_takes_all_of_it(wire, full):
    wire.ok("Move", source=f"{full}/d", destination=f"{full}/new")
    assert wire.names(f"{full}/new") == ["x"]
    assert not wire.exists(f"{full}/d")


def test_a_touched_file_belongs_to_root(storage, wire, full):
    """!! On `cephmount` nobody but root can write what TouchFile made."""
    assert wire.put(f"{full}/f", b"content") == expected(storage, 200, 500)


def test_a_move_into_itself_changes_nothing(storage, wire, full):
    if storage.facts.has_spaces:
        pytest.skip("!! it loses all: test_wire_spaces.py")
    assert wire.code("Move", source=f"{full}/d", destination=f"{full}/d/below") == "INTERNAL"
    assert wire.names(f"{full}/d") == ["x"]


def test_delete_takes_all_that_is_below(wire, full):
    wire.ok("Delete", ref=f"{full}/d")
    assert wire.names(full) == ["e", "f", "g"]
    assert wire.code("Stat", ref=f"{full}/d/x") == "NOT_FOUND"


def test_dots_never_leave_the_tree(storage, wire, folder):
    above = f"{folder}/../../../../../../.."
    wire.code("CreateContainer", ref=f"{above}/etc/rucio-cs3-conformance")
    assert wire.code("Stat", ref=f"{above}/etc/passwd") == "NOT_FOUND"
    assert wire.code("Stat", ref=above) == expected(storage, "OK", "OK", "NOT_FOUND")
    of = wire.stat(folder).id
    out = ref(f"./{'../' * 9}etc/passwd", of=of)
    assert wire.code("Stat", ref=out) == expected(storage, "NOT_FOUND", "INTERNAL", "INTERNAL")
    wire.code("Delete", ref=f"{above}/etc")


def test_quota(storage, wire, folder):
    quota = wire.ok("GetQuota", ref=folder)
    if storage.facts.has_spaces:
        pytest.skip("it has one for each space: test_wire_spaces.py")
    assert 0 <= quota.used_bytes <= quota.total_bytes
    assert quota.total_bytes > 0
    if storage.behaviour == "reva-ceph":
        assert (quota.total_bytes, quota.used_bytes) == (50_000_000_000, 0)


def test_a_large_folder_comes_in_one_message(wire, folder):
    for number in range(200):
        wire.touch(f"{folder}/{number:03}")
    reply = wire.ok("ListContainer", ref=folder, page_size=10)
    assert len(reply.infos) == 200
    assert not reply.next_page_token


@pytest.mark.parametrize("method", ["CreateTransfer", "GetTransferStatus"])
def test_what_nobody_serves(wire, method):
    with pytest.raises(grpc.RpcError) as caught:
        wire.call(method)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# Locks


def lock_of(lock_id, **changes):
    fields = {"lock_id": lock_id, "type": storage_pb2.LOCK_TYPE_WRITE, "app_name": "test"}
    return storage_pb2.Lock(**{**fields, "expiration": {"seconds": 4_000_000_000}, **changes})


def test_locks(storage, wire, full):
    if storage.facts.has_spaces:
        pytest.skip("they count there: test_wire_spaces.py")
    file = f"{full}/h"
    wire.put(file, b"content")
    if storage.behaviour != "reva-ceph":
        for method in ("SetLock", "RefreshLock", "Unlock"):
            assert wire.code(method, ref=file, lock=lock_of("one")) == "INTERNAL"
        return
    wire.ok("SetLock", ref=file, lock=lock_of("one"))
    assert wire.ok("GetLock", ref=file).lock.lock_id == "one"
    assert wire.code("RefreshLock", ref=file, lock=lock_of("two"), existing_lock_id="two") == "FAILED_PRECONDITION"
    assert wire.code("RefreshLock", ref=file, lock=lock_of("one")) == "OK"
    assert wire.code("Unlock", ref=file, lock=lock_of("two")) == "FAILED_PRECONDITION"
    assert wire.code("SetLock", ref=file, lock=lock_of("stolen")) == "OK"
    assert wire.put(file, b"while locked") == 200
    assert wire.code("Unlock", ref=file, lock=lock_of("stolen")) == "OK"
    assert wire.code("GetLock", ref=file) == "NOT_FOUND"
    assert wire.code("RefreshLock", ref=file, lock=lock_of("one")) == "FAILED_PRECONDITION"


def test_an_expired_lock_is_no_lock(storage, wire, full):
    if storage.behaviour != "reva-ceph":
        pytest.skip("it has no locks")
    wire.ok("SetLock", ref=f"{full}/f", lock=lock_of("one", expiration={"seconds": 1}))
    assert wire.code("GetLock", ref=f"{full}/f") == "NOT_FOUND"
