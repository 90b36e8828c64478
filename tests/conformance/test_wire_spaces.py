"""What only the second line has: spaces, and what it says of files in them. What loses data is marked with !!."""

from __future__ import annotations

import hashlib
import time
import uuid
import zlib

import pytest
from cs3.storage.provider.v1beta1 import resources_pb2 as storage_pb2
from cs3.storage.provider.v1beta1 import spaces_api_pb2 as spaces_pb2

from tests.conformance.test_wire_namespace import lock_of
from tests.conformance.wire import ref

pytestmark = pytest.mark.usefixtures("second_line")
CONTENT = b"content"
LENGTH = {"map": {"Upload-Length": {"decoder": "plain", "value": b"7"}}}
Filter = spaces_pb2.ListStorageSpacesRequest.Filter
DENIED, UNAUTHENTICATED = "PERMISSION_DENIED", "UNAUTHENTICATED"


@pytest.fixture
def file(wire, folder):
    assert wire.put(f"{folder}/f", CONTENT) == 200
    return f"{folder}/f"


@pytest.fixture
def home(storage, wire):
    return wire.stat(storage.home).id


def make_project(wire, quota=0, name=""):
    """A project space of the user; its root's id and its path."""
    name = name or f"project-{uuid.uuid4().hex[:12]}"
    owner = wire.call("WhoAmI", token=wire.token).user
    made = wire.ok("CreateStorageSpace", type="project", name=name, owner=owner, quota={"quota_max_bytes": quota})
    return made.storage_space.root, f"/projects/{name}"


def listed(wire, **fields):
    filters = [Filter(**fields)] if fields else []
    return {space.id.opaque_id: space for space in wire.ok("ListStorageSpaces", filters=filters).storage_spaces}


# !! Bad tokens, and users who may not see

# A call, and how it ends with a bad token and without any.
TOKENS = [
    ("Stat", {"ref": "f"}, "NOT_FOUND", "NOT_FOUND"),
    ("ListContainer", {"ref": ""}, "NOT_FOUND", "NOT_FOUND"),
    ("CreateContainer", {"ref": "n"}, DENIED, UNAUTHENTICATED),
    ("TouchFile", {"ref": "n"}, DENIED, UNAUTHENTICATED),
    ("Delete", {"ref": "f"}, DENIED, UNAUTHENTICATED),
    ("Move", {"source": "f", "destination": "n"}, DENIED, UNAUTHENTICATED),
    ("SetArbitraryMetadata", {"ref": "f"}, DENIED, UNAUTHENTICATED),
    ("GetQuota", {"ref": "f"}, DENIED, UNAUTHENTICATED),
    ("InitiateFileUpload", {"ref": "n", "opaque": LENGTH}, DENIED, UNAUTHENTICATED),
    ("InitiateFileDownload", {"ref": "f"}, DENIED, UNAUTHENTICATED),
    ("ListFileVersions", {"ref": "f"}, DENIED, UNAUTHENTICATED),
    ("ListRecycle", {"ref": ""}, DENIED, UNAUTHENTICATED),
    ("GetLock", {"ref": "f"}, DENIED, UNAUTHENTICATED),
    ("ListStorageSpaces", {}, "INTERNAL", "INTERNAL"),
    ("CreateStorageSpace", {"type": "project", "name": "n"}, DENIED, UNAUTHENTICATED),
    ("CreateHome", {}, DENIED, DENIED),
    ("GetHome", {}, "grpc:UNKNOWN", "grpc:UNKNOWN"),
]
# The same for somebody who is no member: by path, and by the id of the space.
STRANGERS = [
    ("Stat", {"ref": "f"}, "NOT_FOUND", "NOT_FOUND"),
    ("Stat", {"ref": "missing"}, "NOT_FOUND", "NOT_FOUND"),
    ("ListContainer", {"ref": "."}, "NOT_FOUND", "NOT_FOUND"),
    ("CreateContainer", {"ref": "n"}, "NOT_FOUND", "NOT_FOUND"),
    ("TouchFile", {"ref": "n"}, "NOT_FOUND", "NOT_FOUND"),
    ("Delete", {"ref": "f"}, "NOT_FOUND", "NOT_FOUND"),
    ("Move", {"source": "f", "destination": "n"}, "NOT_FOUND", "NOT_FOUND"),
    ("SetArbitraryMetadata", {"ref": "f", "arbitrary_metadata": {"metadata": {"k": "v"}}}, "NOT_FOUND", "NOT_FOUND"),
    ("GetQuota", {"ref": "."}, "NOT_FOUND", "NOT_FOUND"),
    ("InitiateFileUpload", {"ref": "n", "opaque": LENGTH}, "NOT_FOUND", DENIED),
    ("InitiateFileDownload", {"ref": "f"}, "NOT_FOUND", "OK"),
    ("ListFileVersions", {"ref": "f"}, "NOT_FOUND", "NOT_FOUND"),
    ("ListRecycle", {"ref": "."}, "NOT_FOUND", "NOT_FOUND"),
    ("SetLock", {"ref": "f", "lock": lock_of("one")}, "NOT_FOUND", "NOT_FOUND"),
    ("GetLock", {"ref": "f"}, "NOT_FOUND", "NOT_FOUND"),
]


def method_of(case):
    return case[0]


def within(fields, place):
    return {k: place(v) if k in ("ref", "source", "destination") else v for k, v in fields.items()}


@pytest.mark.parametrize("case", TOKENS, ids=method_of)
def test_a_bad_token_is_told_in_the_status(storage, wire, folder, file, case):
    """!! And Stat tells that what is there is not."""
    method, fields, bad, none = case
    inside = within(fields, lambda name: f"{folder}/{name}")
    tokens = ["garbage", *([storage.forge(wire.token, exp=int(time.time()) - 60)] if storage.jwt_secret else [])]
    for token in tokens:
        assert wire.code(method, metadata=(("x-access-token", token),), **inside) == bad
    assert wire.code(method, metadata=(("authorization", f"Bearer {wire.token}"),), **inside) == none
    assert wire.content(file) == CONTENT


@pytest.mark.parametrize("case", STRANGERS, ids=method_of)
def test_who_is_no_member_sees_nothing(storage, wire, folder, file, case):
    if not storage.other_user:
        pytest.skip("nobody else to try")
    method, fields, by_path, by_id = case
    other, of = storage.wire(*storage.other_user), wire.stat(folder).id
    assert other.code(method, **within(fields, lambda name: f"{folder}/{name}")) == by_path
    assert other.code(method, **within(fields, lambda name: ref(f"./{name}", of=of))) == by_id
    assert wire.content(file) == CONTENT


def test_who_is_no_member_reads_nothing(storage, wire, folder, file):
    if not storage.other_user:
        pytest.skip("nobody else to try")
    other = storage.wire(*storage.other_user)
    target = ref("./f", of=wire.stat(folder).id)
    assert other.get(target).status == 404
    assert other.request("GET", wire.download(target)).status == 404
    assert wire.content(file) == CONTENT


# Addresses


@pytest.mark.parametrize("path", ["/", "/users", "/projects", "/elsewhere", "/users/nobody"])
def test_above_the_spaces_there_is_nothing(wire, path):
    for method in ("Stat", "ListContainer", "CreateContainer", "Delete"):
        assert wire.code(method, ref=path) == "NOT_FOUND"


@pytest.mark.parametrize(
    ("path", "told"),
    [("", "{}"), (".", "d"), ("./", "d"), ("./e/..", "d"), ("x", "{}/x"), ("/x", "{}/x"), ("./x", "x"), ("x/", "{}/x")],
)
def test_what_it_is_called_depends_on_how_one_asks(storage, wire, folder, path, told):
    wire.mkdir(f"{folder}/d")
    wire.touch(f"{folder}/d/x")
    inside = f"{folder[len(storage.home) :]}/d"
    info = wire.stat(ref(path, of=wire.stat(f"{folder}/d").id))
    assert (info.path, info.name) == (told.format(inside), info.path.rpartition("/")[2])


def test_the_root_of_a_space(wire, home):
    info = wire.stat(ref(".", of=home))
    assert (info.path, info.id.opaque_id) == (".", home.space_id)
    assert (info.parent_id.space_id, info.parent_id.opaque_id) == (home.space_id, "")
    assert info.name == "Albert Einstein"
    assert wire.code("CreateContainer", ref=ref(".", of=home)) == "INVALID_ARGUMENT"
    assert wire.code("InitiateFileUpload", ref=ref(".", of=home), opaque=LENGTH) == "INTERNAL"


def test_an_id_lasts_as_long_as_the_file(wire, folder, file):
    of = wire.stat(file).id
    wire.put(file, b"other content")
    wire.ok("Move", source=file, destination=f"{folder}/g")
    assert wire.stat(f"{folder}/g").id == of
    assert wire.stat(ref(".", of=of)).name == "g"
    wire.ok("Delete", ref=f"{folder}/g")
    assert wire.code("Stat", ref=ref(".", of=of)) == "NOT_FOUND"
    wire.put(f"{folder}/g", CONTENT)
    assert wire.stat(f"{folder}/g").id != of


# What Stat says


def test_checksums(wire, folder, file):
    infos = [wire.stat(file), *wire.ok("ListContainer", ref=folder).infos]
    for info in infos:
        assert info.checksum.type == storage_pb2.RESOURCE_CHECKSUM_TYPE_SHA1
        assert info.checksum.sum == hashlib.sha1(CONTENT).hexdigest()
        assert info.opaque.map["md5"].value.decode() == hashlib.md5(CONTENT).hexdigest()
        assert info.opaque.map["adler32"].value.decode() == f"{zlib.adler32(CONTENT):08x}"
        assert info.opaque.map["adler32"].decoder == "plain"


def test_a_checksum_begins_with_its_zeros(wire, folder):
    wire.put(f"{folder}/f", b"x")
    assert wire.stat(f"{folder}/f").opaque.map["adler32"].value == b"00790079"


@pytest.mark.parametrize("keys", [["any"], ["checksum"], ["adler32"], ["*"], ["any", "*"]], ids=str)
def test_who_asks_for_metadata_gets_no_checksums(wire, file, keys):
    """!! Unless all of it is asked for."""
    info = wire.stat(file, keys)
    assert bool(info.checksum.sum) == bool(info.opaque.map) == ("*" in keys)
    assert info.size == len(CONTENT)


@pytest.mark.parametrize("key", ["adler32", "md5", "checksum"])
def test_metadata_of_that_name_does_not_touch_the_checksum(wire, file, key):
    wire.set_metadata(file, **{key: "00000000"})
    assert wire.stat(file).opaque.map["adler32"].value.decode() == f"{zlib.adler32(CONTENT):08x}"


def test_no_checksum_of_a_folder_nor_of_a_touched_file(wire, folder):
    for path in (folder, wire.touch(f"{folder}/f")):
        info = wire.stat(path)
        assert (info.checksum.sum, dict(info.opaque.map)) == ("", {})


def test_the_etag_is_of_id_and_time_alone(wire, folder, file):
    """!! Other content with the same time of modification has the same etag."""
    etags = set()
    for content in (CONTENT, b"other content"):
        wire.put(file, content)
        wire.set_metadata(file, mtime="1000000000.5")
        info = wire.stat(file)
        assert (info.mtime.seconds, info.mtime.nanos) == (1_000_000_000, 5)  # !! not half a second
        etags.add(info.etag)
    assert len(etags) == 1


def test_a_time_that_is_none(wire, file):
    bad = {"metadata": {"mtime": "soon"}}
    assert wire.code("SetArbitraryMetadata", ref=file, arbitrary_metadata=bad) == "INTERNAL"


# What is done far below a folder, and what the folder's size is then.
FAR_BELOW = {
    "an upload": (lambda wire, at: wire.put(f"{at}/g", CONTENT), 14),
    "an overwrite": (lambda wire, at: wire.put(f"{at}/f", b"new"), 3),
    "an upload with an old time": (lambda wire, at: wire.put(f"{at}/g", CONTENT, **{"X-OC-Mtime": "1000000000"}), 14),
    "a touch": (lambda wire, at: wire.touch(f"{at}/g"), 7),
    "a folder": (lambda wire, at: wire.mkdir(f"{at}/g"), 7),
    "a move": (lambda wire, at: wire.ok("Move", source=f"{at}/f", destination=f"{at}/g"), 7),
    "a delete": (lambda wire, at: wire.ok("Delete", ref=f"{at}/f"), 0),
    "a delete of the folder": (lambda wire, at: wire.ok("Delete", ref=at), 0),
    "metadata": (lambda wire, at: wire.set_metadata(f"{at}/f", k="v"), 7),
    "an old time": (lambda wire, at: wire.set_metadata(f"{at}/f", mtime="1000000000"), 7),
}


@pytest.mark.parametrize("what", FAR_BELOW)
def test_a_folder_knows_what_is_done_far_below(wire, folder, what):
    """By its time, its etag and its size."""
    act, size = FAR_BELOW[what]
    deep = wire.mkdir(f"{wire.mkdir(f'{folder}/d')}/e")
    wire.put(f"{deep}/f", CONTENT)
    before = wire.stat(folder)
    act(wire, deep)
    after = wire.stat(folder)
    assert after.etag != before.etag
    assert after.size == size
    assert (after.mtime.seconds, after.mtime.nanos) > (before.mtime.seconds, before.mtime.nanos)


def test_a_move_out_of_a_folder_takes_the_bytes_along(wire, folder):
    for name in ("one", "two", "one/d"):
        wire.mkdir(f"{folder}/{name}")
    wire.put(f"{folder}/one/d/f", CONTENT)
    wire.ok("Move", source=f"{folder}/one/d", destination=f"{folder}/two/d")
    assert [wire.stat(f"{folder}/{name}").size for name in ("one", "two", "two/d")] == [0, 7, 7]


def test_the_time_of_a_folder_can_be_set_while_nothing_is_in_it(wire, folder):
    wire.set_metadata(folder, mtime="1000000000")
    assert wire.stat(folder).mtime.seconds == 1000000000
    wire.touch(f"{folder}/f")
    before = wire.stat(folder)
    wire.set_metadata(folder, mtime="1000000000")
    assert (wire.stat(folder).mtime, wire.stat(folder).etag) == (before.mtime, before.etag)


def test_what_comes_back_counts_again(storage, wire, folder):
    wire.put(f"{wire.mkdir(f'{folder}/d')}/f", CONTENT)
    wire.ok("Delete", ref=f"{folder}/d")
    path = f"{folder[len(storage.home) :]}/d"
    [key] = [item.key for item in wire.ok("ListRecycle", ref=storage.home).recycle_items if item.ref.path == path]
    wire.ok("RestoreRecycleItem", ref=storage.home, key=key, restore_ref=f"{folder}/d")
    assert [wire.stat(path).size for path in (folder, f"{folder}/d")] == [7, 7]


# The spaces


def test_the_personal_space(storage, wire, home):
    key = f"{home.storage_id}${home.space_id}!{home.space_id}"
    space = listed(wire, type=Filter.TYPE_SPACE_TYPE, space_type="personal")[key]
    assert (space.name, space.space_type, space.root) == ("Albert Einstein", "personal", home)
    assert space.opaque.map["path"].value.decode() == storage.home
    assert space.opaque.map["spaceAlias"].value == b"personal/einstein"
    assert listed(wire, type=Filter.TYPE_ID, id={"opaque_id": key}).keys() == {key}
    assert listed(wire, type=Filter.TYPE_ID, id={"opaque_id": "a$b!c"}) == {}


def test_a_project_has_a_quota(wire):
    root, path = make_project(wire, quota=1000)
    assert wire.stat(path).id == root
    assert wire.put(ref("./f", of=root), b"x" * 900) == 200
    quota = wire.ok("GetQuota", ref=ref(".", of=root))
    assert (quota.total_bytes, quota.used_bytes) == (1000, 900)
    assert quota.opaque.map["remaining"].value == b"100"
    assert wire.stat(ref("./f", of=root)).space.opaque.map["quota.remaining"].value == b"100"
    for name, length, code in (("g", 100, "OK"), ("g", 101, "INSUFFICIENT_STORAGE"), ("f", 1000, "OK")):
        opaque = {"map": {"Upload-Length": {"decoder": "plain", "value": b"%d" % length}}}
        assert wire.code("InitiateFileUpload", ref=ref(f"./{name}", of=root), opaque=opaque) == code


def test_without_a_quota_the_total_is_nothing(wire, folder):
    quota = wire.ok("GetQuota", ref=folder)
    assert quota.total_bytes == 0
    assert quota.opaque.map["remaining"].value == b"18446744073709551615"


def test_two_projects_of_one_name(wire):
    """!! Their path leads to one of them, and nobody says to which."""
    (one, path), (two, _) = (make_project(wire, name="same") for _ in range(2))
    assert one != two
    assert wire.stat(path).id in (one, two)
    assert wire.stat(ref(".", of=one)).id == one


def test_a_space_of_an_unknown_kind(wire):
    assert wire.code("CreateStorageSpace", type="unheard-of", name="x") == "NOT_FOUND"


def test_nothing_moves_from_one_space_to_another(wire, file):
    root, _ = make_project(wire)
    assert wire.code("Move", source=file, destination=ref("./f", of=root)) == "UNIMPLEMENTED"
    assert wire.content(file) == CONTENT


@pytest.mark.parametrize("form", ["relative", "id alone", "path"])
def test_a_root_that_is_deleted_takes_the_space_along(wire, form):
    """!! The answer is an error, and everything is lost."""
    root, path = make_project(wire)
    wire.put(ref("./f", of=root), CONTENT)
    target = {"relative": ref(".", of=root), "id alone": ref(of=root), "path": path}[form]
    assert wire.code("Delete", ref=target) == "INTERNAL"
    for method in ("Stat", "ListContainer", "TouchFile", "GetQuota"):
        assert wire.code(method, ref=ref("./f", of=root)) == "INTERNAL"
    assert wire.code("Stat", ref=path) == "NOT_FOUND"
    assert root.space_id not in {space.root.space_id for space in listed(wire).values()}


@pytest.mark.breaks_storage
def test_a_folder_that_moves_into_itself_is_lost(wire, folder):
    """!! And nobody answers."""
    wire.mkdir(f"{folder}/d")
    wire.put(f"{folder}/d/f", CONTENT)
    code = wire.code("Move", source=f"{folder}/d", destination=f"{folder}/d/below", timeout=3)
    assert code == "grpc:DEADLINE_EXCEEDED"
    assert wire.code("Stat", ref=f"{folder}/d/f", timeout=3) in ("NOT_FOUND", "grpc:DEADLINE_EXCEEDED")
