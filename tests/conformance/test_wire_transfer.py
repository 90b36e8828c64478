from __future__ import annotations

import threading
import uuid

import pytest

from tests.conformance.sending import OLD, begin, eventually, send
from tests.conformance.wire import answer_of, ref

MIB = 1 << 20
NEW = b"n" * 300_000


@pytest.fixture
def staged(storage):
    """Whether a name appears complete, by rename; else content is written in place."""
    return storage.behaviour != "reva-ceph"


@pytest.fixture
def trusting(storage):
    """A storage that takes whatever comes; the others have their own file."""
    if storage.facts.checks_uploads:
        pytest.skip("it checks uploads: test_wire_announced.py, and what follows")


def killed_put(wire, target, told=1_000_000, data=NEW):
    wire.killed("PUT", wire.uploads(target, told)["simple"], told, data)


# Initiate


def test_upload_protocols(storage, wire, folder):
    wanted = {"simple", "tus"} if storage.has_tus else {"simple"}
    found = wire.uploads(f"{folder}/f", 1)
    assert set(found) == wanted
    for protocol, endpoint in found.items():
        assert endpoint.url.startswith("http")
        assert (f"/data/{protocol}/" in endpoint.url) == storage.data_exposed
        assert endpoint.url.endswith("/datagateway") != storage.data_exposed


def test_the_order_of_upload_protocols_means_nothing(storage, wire, folder):
    orders = {tuple(wire.uploads(f"{folder}/f", 1)) for _ in range(40)}
    assert len(orders) == (2 if storage.has_tus else 1)


def test_checksums_are_advertised(storage, wire, folder):
    reply = wire.ok("InitiateFileUpload", ref=f"{folder}/f")
    kinds = {checksum.type: checksum.priority for checksum in reply.protocols[0].available_checksums}
    assert sorted(kinds.values()) == ([10, 20, 30] if storage.facts.checks_uploads else [10, 100, 1000])


@pytest.mark.parametrize(
    ("length", "code"), [("0", "OK"), ("-5", "OK"), (str(100 << 40), "OK"), ("abc", "INTERNAL"), ("1.5", "INTERNAL")]
)
@pytest.mark.usefixtures("trusting")
def test_the_length_that_is_announced(wire, folder, length, code):
    opaque = {"map": {"Upload-Length": {"decoder": "plain", "value": length.encode()}}}
    assert wire.code("InitiateFileUpload", ref=f"{folder}/f", opaque=opaque) == code
    assert not wire.exists(f"{folder}/f")


@pytest.mark.usefixtures("trusting")
def test_preconditions_are_ignored(wire, old):
    assert wire.code("InitiateFileUpload", ref=old, if_not_exist=True) == "OK"
    assert wire.code("InitiateFileUpload", ref=old, if_match='"wrong"') == "OK"


def test_a_download_by_path_is_simple_and_by_relative_reference_spaces(storage, wire, folder, old):
    assert wire.download(old).protocol == ("spaces" if storage.facts.has_spaces else "simple")
    of = wire.stat(folder).id
    assert wire.download(ref("./f", of=of)).protocol == "spaces"
    assert wire.download(ref("f", of=of)).protocol == "simple"
    assert wire.get(ref("./f", of=of)).status == (200 if storage.finds_ids else 500)


def test_a_download_by_id_alone_asks_for_something_else(storage, wire, old):
    of = wire.stat(old).id
    if storage.finds_ids:
        assert wire.content(ref(".", of=of)) == OLD
    assert wire.download(ref(of=of)).protocol == "simple"


def test_an_upload_by_id(storage, wire, folder):
    of = wire.stat(folder).id
    if not storage.finds_ids:
        assert wire.code("InitiateFileUpload", ref=ref("./f", of=of)) == "INTERNAL"
        return
    for number, path in enumerate(("./f", "f", "/f")):
        assert wire.put(ref(path, of=of), b"%d" % number) == 200
        assert wire.content(f"{folder}/f") == b"%d" % number


# PUT


@pytest.mark.parametrize("size", [0, 1, 4096, MIB, 3 * MIB + 1])
def test_bytes_come_back_as_they_went(storage, wire, folder, size):
    """!! Where Initiate has made the empty file already, a PUT of nothing is an error."""
    data = bytes(range(256)) * (size // 256 + 1)
    refused = not size and storage.facts.commits_empty_at_once
    assert wire.put(f"{folder}/f", data[:size]) == (400 if refused else 200)
    assert wire.stat(f"{folder}/f").size == size
    assert wire.content(f"{folder}/f") == data[:size]


def test_overwrite(wire, old):
    assert wire.put(old, b"new") == 200
    assert wire.content(old) == b"new"


@pytest.mark.usefixtures("trusting")
def test_an_answer_says_nothing(wire, folder):
    reply = wire.request("PUT", wire.uploads(f"{folder}/f", 3)["simple"], b"new")
    assert (reply.status, reply.data) == (200, b"")
    assert "ETag" not in reply.headers


@pytest.mark.usefixtures("trusting")
def test_chunked(wire, folder):
    endpoint = wire.uploads(f"{folder}/f", 6)["simple"]
    assert wire.request("PUT", endpoint, iter([b"one", b"two"])).status == 200
    assert wire.content(f"{folder}/f") == b"onetwo"


@pytest.mark.usefixtures("trusting")
def test_a_missing_parent(storage, wire, folder, staged):
    assert wire.put(f"{folder}/missing/deep/f", b"content") == (500 if staged else 200)
    assert wire.exists(f"{folder}/missing") != staged


@pytest.mark.usefixtures("trusting")
def test_a_name_that_is_too_long(wire, folder):
    assert wire.put(f"{folder}/{'n' * 256}", b"content") == 500


@pytest.mark.usefixtures("trusting")
def test_onto_a_folder(wire, folder, staged):
    """!! The whole tree is gone, and a file in its place."""
    wire.mkdir(f"{folder}/d")
    wire.put(f"{folder}/d/precious", b"precious")
    assert wire.put(f"{folder}/d", b"file") == (200 if staged else 500)
    if staged:
        assert wire.content(f"{folder}/d") == b"file"
        assert wire.code("Stat", ref=f"{folder}/d/precious") == "INTERNAL"
    else:
        assert wire.content(f"{folder}/d/precious") == b"precious"


def test_below_a_file(wire, old):
    assert wire.put(f"{old}/below", b"content") == 500
    assert wire.content(old) == OLD


@pytest.mark.parametrize("told", [3, 300])
@pytest.mark.usefixtures("trusting")
def test_nobody_compares_lengths(wire, folder, told):
    """!! What was announced and what came differ, and that is 200."""
    assert wire.put(f"{folder}/f", b"content", length=told) == 200
    assert wire.stat(f"{folder}/f").size == 7


def test_a_range_becomes_the_whole_file(wire, old):
    """!! A PUT of the first bytes of an old file makes them the whole file."""
    assert wire.put(old, b"RANGE", Content_Range=f"bytes 0-4/{len(OLD)}") == 200
    assert wire.content(old) == b"RANGE"


@pytest.mark.parametrize(
    "headers",
    [{"Upload_Checksum": "adler32 00000001"}, {"OC_Checksum": "ADLER32:00000001"}, {"Digest": "adler32=00000001"}],
    ids=lambda headers: next(iter(headers)),
)
def test_nobody_compares_checksums(wire, folder, headers):
    assert wire.put(f"{folder}/f", b"content", **headers) == 200
    assert wire.content(f"{folder}/f") == b"content"


@pytest.mark.parametrize("told", ["adler32 00000001", "nonsense 1"])
@pytest.mark.usefixtures("trusting")
def test_nobody_compares_checksums_that_were_announced(wire, folder, told):
    endpoint = wire.uploads(f"{folder}/f", 7, **{"Upload-Checksum": told})["simple"]
    assert wire.request("PUT", endpoint, b"content").status == 200


@pytest.mark.usefixtures("trusting")
def test_mtime_is_not_kept(wire, folder):
    endpoint = wire.uploads(f"{folder}/f", 7, **{"X-OC-Mtime": "1000000000"})["simple"]
    assert wire.request("PUT", endpoint, b"content", X_OC_Mtime="1000000000").status == 200
    assert wire.stat(f"{folder}/f").mtime.seconds > 1_700_000_000


def test_a_finished_upload_cannot_be_used_again(wire, folder, staged):
    endpoint = wire.uploads(f"{folder}/f", 3)["simple"]
    assert wire.request("PUT", endpoint, b"one").status == 200
    assert wire.request("PUT", endpoint, b"two").status == (500 if staged else 200)
    assert wire.content(f"{folder}/f") == (b"one" if staged else b"two")


@pytest.mark.usefixtures("trusting")
def test_a_failed_upload_that_is_tried_again_appends(wire, folder, staged):
    """!! The parent was missing, then it was made: what was sent twice is there twice."""
    if not staged:
        pytest.skip("it makes parents by itself")
    endpoint = wire.uploads(f"{folder}/d/f", 3)["simple"]
    assert wire.request("PUT", endpoint, b"one").status == 500
    wire.mkdir(f"{folder}/d")
    assert wire.request("PUT", endpoint, b"one").status == 200
    assert wire.content(f"{folder}/d/f") == b"oneone"


def test_a_chunk_of_an_old_client(wire, folder, staged):
    """!! A name that looks like one never appears."""
    name = f"{folder}/f-chunking-4711-2-0"
    assert wire.put(name, b"half ") == (206 if staged else 200)
    assert wire.exists(name) != staged
    if staged:
        assert wire.put(f"{folder}/f-chunking-4711-2-1", b"whole") == 200
        assert wire.names(folder) == ["f"]
        assert wire.content(f"{folder}/f") == b"half whole"


# A name that says "part m of n" of `f`: the answer, and what is there then besides the old `f`, or in its place.
PARTS = {
    # (m of n, way): by those who trust, and by those who check
    ("1-0", "simple"): ((200, {"f": NEW}), (200, {"f": NEW})),
    ("1-0", "tus"): ((204, {"f-chunking-{}-1-0": NEW}), (204, {"f": NEW})),
    ("2-1", "simple"): ((206, {}), (206, {})),
    ("2-1", "tus"): ((204, {"f-chunking-{}-2-1": NEW}), (204, {"f": NEW})),
    ("1-1", "simple"): ((500, {}), ("INVALID_ARGUMENT", {})),
    ("1-1", "tus"): ((204, {"f-chunking-{}-1-1": NEW}), ("INVALID_ARGUMENT", {})),
}


@pytest.mark.parametrize(("part", "way"), PARTS)
def test_a_part_of_a_file_that_is_there(storage, wire, folder, old, staged, part, way):
    """!! A name that looks like one overwrites another file; where uploads are checked, by tus with the part alone."""
    if not staged:
        pytest.skip("to it such a name is a name: test_a_chunk_of_an_old_client")
    transfer = uuid.uuid4().hex  # a part that nobody fetched waits for others of its transfer, in whatever folder
    name = f"{folder}/f-chunking-{transfer}-{part}"
    answer, changes = PARTS[part, way][storage.facts.checks_uploads]
    code = begin(wire, name, len(NEW))
    assert (send(wire, wire.uploads(name, len(NEW)), way, NEW) if code == "OK" else code) == answer
    wanted = {"f": OLD, **{name.format(transfer): data for name, data in changes.items()}}
    assert {name: wire.content(f"{folder}/{name}") for name in wire.names(folder)} == wanted


def test_while_it_is_under_way(wire, old, staged):
    connection = wire.open_request("PUT", wire.uploads(old, 1_000_000)["simple"], 1_000_000)
    connection.sendall(NEW)
    if staged:
        assert wire.content(old) == OLD
    else:
        eventually(lambda: wire.stat(old).size == len(NEW))
    connection.sendall(b"n" * 700_000)
    assert answer_of(connection).status == 200
    connection.close()
    assert wire.stat(old).size == 1_000_000


def test_a_killed_put_is_committed(storage, wire, folder):
    """!! 1,000,000 announced, 300,000 sent, and that is the file."""
    if not storage.facts.keeps_killed_uploads:
        pytest.skip("it keeps what came to itself: test_wire_checks.py")
    if storage.behaviour == "reva-ceph":
        pytest.skip("it breaks the daemon for the user: test_a_killed_put_in_place")
    killed_put(wire, f"{folder}/f")
    assert eventually(lambda: wire.exists(f"{folder}/f") and wire.stat(f"{folder}/f").size) == len(NEW)


def test_a_killed_put_is_committed_over_a_good_file(storage, wire, old):
    """!! As above, and what was good is gone."""
    if not storage.facts.keeps_killed_uploads:
        pytest.skip("it keeps what came to itself: test_wire_checks.py")
    if storage.behaviour == "reva-ceph":
        pytest.skip("it breaks the daemon for the user: test_a_killed_put_in_place")
    killed_put(wire, old)
    eventually(lambda: wire.stat(old).size == len(NEW))
    assert wire.content(old) == NEW


def test_a_killed_put_in_place(storage, folder):
    """!! Partial content stays, and this user never writes again until a restart. Last, on a user of its own."""
    if storage.behaviour != "reva-ceph" or not storage.other_user:
        pytest.skip("it stages uploads")
    wire, other = storage.wire(), storage.wire(*storage.other_user)
    place = f"{folder}/of-other"
    wire.mkdir(place)
    target = f"{storage.home.rstrip('/')}/{folder.rpartition('/')[2]}-killed"
    killed_put(other, target)
    eventually(lambda: other.exists(target) and other.stat(target).size == len(NEW))
    assert eventually(lambda: other.put(target, b"again") == 500)
    assert wire.put(f"{folder}/f", b"others can") == 200
    other.call("Delete", ref=target)


@pytest.mark.usefixtures("trusting")
def test_racing_puts(wire, folder):
    """One of them wins as a whole. A real one may fail others with 500 when they replace the same old file."""
    statuses = []
    writers = [
        threading.Thread(target=lambda n=n: statuses.append(wire.put(f"{folder}/f", b"%d" % n * 1000)))
        for n in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(statuses) == 8
    assert 200 in statuses
    assert set(statuses) <= {200, 500}
    assert len(set(wire.content(f"{folder}/f"))) == 1
