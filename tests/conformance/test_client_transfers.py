from __future__ import annotations

import hashlib
import io
import os
import random
import tempfile
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from rucio_cs3 import deadline, errors
from rucio_cs3.gateway import Fault

MIB = 1 << 20
SIZES = [0, 1, 4096, MIB - 1, MIB, MIB + 1, 5 * MIB + 3]


def some(size):
    return random.Random(size).randbytes(size)


@pytest.fixture
def stored(client, folder):
    """A file of 3 MiB, its path and its content."""
    data = some(3 * MIB)
    client.upload(io.BytesIO(data), f"{folder}/stored")
    return f"{folder}/stored", data


def names(client, folder):
    return sorted(entry.name for entry in client.files.list(folder))


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back_as_they_went(client, folder, tmp_path, size):
    data = some(size)
    (tmp_path / "source").write_bytes(data)
    sent = client.upload(tmp_path / "source", f"{folder}/new/deep/file")
    assert (sent.size, sent.checksums["adler32"]) == (size, f"{zlib.adler32(data):08x}")
    client.download(f"{folder}/new/deep/file", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == data
    assert names(client, f"{folder}/new/deep") == ["file"]
    assert sorted(os.listdir(tmp_path)) == ["source", "target"]


def test_up_into_the_top_of_a_storage(storage, client):
    """Which nobody may make, and the storage says so in other words than of a folder that is there."""
    name = f"{storage.home.rstrip('/')}/test-{uuid.uuid4().hex[:12]}"
    client.upload(io.BytesIO(b"content"), name)
    try:
        with client.open_read(name) as file:
            assert file.read() == b"content"
    finally:
        client.files.delete(name)
    client.files.mkdir(storage.home, exist_ok=True)


def test_file_objects_are_read_from_where_they_stand(client, folder):
    source = io.BytesIO(b"skip me, keep this")
    source.seek(9)
    client.upload(source, f"{folder}/f")
    sink = io.BytesIO()
    client.download(f"{folder}/f", sink)
    assert sink.getvalue() == b"keep this"


def test_a_pipe_can_be_uploaded(client, folder):
    reading, writing = os.pipe()
    with open(writing, "wb") as into:
        into.write(b"from a pipe")
    with open(reading, "rb") as source:
        assert client.upload(source, f"{folder}/f").size == 11
    with client.open_read(f"{folder}/f") as file:
        assert file.read() == b"from a pipe"


def test_by_id_and_path_below(client, folder, storage):
    if not storage.finds_ids:
        pytest.skip(f"{storage.name} cannot look up resource ids")
    root = client.files.stat(folder).id
    client.upload(io.BytesIO(b"content"), (root, "a/b/f"))
    sink = io.BytesIO()
    client.download((root, "a/b/f"), sink)
    client.download(client.files.stat(f"{folder}/a/b/f").id, sink)
    assert sink.getvalue() == b"content" * 2


def test_overwrite_only_when_asked(client, stored):
    path, data = stored
    with pytest.raises(errors.AlreadyExists, match="ask to overwrite"):
        client.upload(io.BytesIO(b"new"), path)
    assert client.files.stat(path).size == len(data)
    client.upload(io.BytesIO(b"new"), path, overwrite=True)
    with client.open_read(path) as file:
        assert file.read() == b"new"


@pytest.mark.parametrize("size", [0, 5])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("temporary", [False, True])
def test_never_over_a_folder(client, folder, size, overwrite, temporary):
    client.files.mkdir(f"{folder}/d/full", parents=True)
    with pytest.raises(errors.IsDirectory):
        client.upload(io.BytesIO(some(size)), f"{folder}/d", overwrite=overwrite, temporary=temporary)
    assert client.files.exists(f"{folder}/d/full")
    assert names(client, folder) == ["d"]


@pytest.mark.parametrize("size", [0, 3, 2 * MIB])
def test_a_temporary_name_is_written_directly(client, folder, size):
    for _ in range(2):
        client.upload(io.BytesIO(some(size)), f"{folder}/f.rucio.upload", overwrite=True, temporary=True)
    assert client.files.stat(f"{folder}/f.rucio.upload").size == size
    assert names(client, folder) == ["f.rucio.upload"]


def test_wrong_source_is_found_before_it_has_a_name_and_once(client, folder):
    sent = []
    with pytest.raises(errors.WrongContent, match="not the file that was expected"):
        client.upload(
            io.BytesIO(b"content"), f"{folder}/f", checksums={"adler32": "1"}, progress=lambda *now: sent.append(now)
        )
    assert len(sent) <= 1
    assert names(client, folder) == []


@pytest.mark.parametrize("algorithm", ["adler32", "md5", "sha1"])
def test_expected_checksums_are_compared(client, stored, tmp_path, algorithm):
    path, data = stored
    right = f"{zlib.adler32(data):x}" if algorithm == "adler32" else hashlib.new(algorithm, data).hexdigest()
    client.download(path, tmp_path / "right", checksums={algorithm: right.upper()})
    with pytest.raises(errors.ChecksumMismatch):
        client.download(path, tmp_path / "wrong", checksums={algorithm: "0" * len(right)})
    assert os.listdir(tmp_path) == ["right"]


def test_read_back(storage, folder):
    with storage.client(verify="readback") as client:
        assert client.upload(io.BytesIO(some(2 * MIB)), f"{folder}/f").size == 2 * MIB


def test_a_folder_is_no_file_to_read(client, folder, tmp_path):
    with pytest.raises(errors.IsDirectory):
        client.download(folder, tmp_path / "f")
    with pytest.raises(errors.IsDirectory):
        client.open_read(folder)
    assert os.listdir(tmp_path) == []


def test_a_missing_file(client, folder, tmp_path):
    with pytest.raises(errors.NotFound):
        client.download(f"{folder}/missing", tmp_path / "f")
    assert os.listdir(tmp_path) == []


def test_progress_is_told(client, folder):
    up, down = [], []
    client.upload(io.BytesIO(some(2 * MIB + 1)), f"{folder}/f", progress=lambda *now: up.append(now))
    client.download(f"{folder}/f", io.BytesIO(), progress=lambda *now: down.append(now))
    for steps in (up, down):
        assert steps == sorted(steps)
        assert steps[-1] == (2 * MIB + 1, 2 * MIB + 1)


@pytest.mark.breaks_storage
def test_time_over_leaves_nothing(client, folder, tmp_path, stored):
    path, _ = stored
    with pytest.raises(errors.DeadlineExceeded):
        client.download(path, tmp_path / "f", timeout=1e-6)
    with pytest.raises(errors.DeadlineExceeded):
        client.upload(io.BytesIO(b"x"), f"{folder}/f", timeout=1e-6)
    assert names(client, folder) == ["stored"]
    assert os.listdir(tmp_path) == []


def test_local_source_problems_are_named(client, folder, tmp_path):
    with pytest.raises(errors.LocalSourceMissing, match="missing"):
        client.upload(tmp_path / "missing", f"{folder}/f")
    with pytest.raises(errors.LocalSourceError, match="Is a directory"):
        client.upload(tmp_path, f"{folder}/f")
    assert names(client, folder) == []


def test_local_target_problems_are_named(client, stored, tmp_path):
    path, _ = stored
    with pytest.raises(errors.LocalTargetError, match="No such file"):
        client.download(path, tmp_path / "missing" / "f")
    with pytest.raises(errors.LocalTargetError, match="folder"):
        client.download(path, tmp_path)
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(errors.LocalTargetError, match="No space left"):
        client.download(path, full)
    assert os.listdir(tmp_path) == []


class Changing(io.BytesIO):
    """A source that is not as long as it said."""

    def __init__(self, size, told):
        super().__init__(some(size))
        self.told = told

    def seek(self, offset, whence=0):
        return self.told if whence == os.SEEK_END else super().seek(offset, whence)


@pytest.mark.breaks_storage
@pytest.mark.parametrize(("size", "told"), [(MIB, MIB + 5), (MIB + 5, MIB)])
def test_a_source_that_changes_is_not_kept(client, folder, size, told):
    with pytest.raises(errors.LocalSourceError, match="became"):
        client.upload(Changing(size, told), f"{folder}/f")
    assert names(client, folder) == []


@pytest.mark.breaks_storage
def test_an_interrupt_leaves_nothing(storage, client, folder, tmp_path, stored):
    path, _ = stored

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.upload(io.BytesIO(some(3 * MIB)), f"{folder}/f", progress=interrupt)
    with pytest.raises(errors.ServerError if storage.facts.killed_upload_breaks_user else KeyboardInterrupt):
        client.download(path, tmp_path / "f", progress=interrupt)
    assert names(client, folder) == ["stored"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("offset", [0, 1, MIB - 1, MIB, 2 * MIB + 5, 3 * MIB - 1, 3 * MIB, 4 * MIB])
def test_seek_and_read(client, stored, offset):
    path, data = stored
    with client.open_read(path) as file:
        file.seek(offset)
        assert file.read(1000) == data[offset : offset + 1000]
        assert file.tell() == offset + len(data[offset : offset + 1000])


def test_seek_in_every_direction(client, stored):
    path, data = stored
    with client.open_read(path) as file:
        for offset in (5, 3 * MIB - 7, 0, 2 * MIB, 100):
            file.seek(offset)
            assert file.read(7) == data[offset : offset + 7]
        assert file.seek(-4, io.SEEK_END) == len(data) - 4
        assert file.read() == data[-4:]
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)


@pytest.mark.parametrize("size", [3 * MIB, 2 * MIB, 4 * MIB])
def test_two_versions_do_not_make_a_file(client, stored, size):
    path, data = stored
    with client.open_read(path) as file:
        assert file.read(10) == data[:10]
        client.upload(io.BytesIO(bytes(size)), path, overwrite=True)
        file.seek(2 * MIB + 17)
        with pytest.raises(errors.Interrupted, match="replaced while it was read"):
            file.read(10)


def test_open_write_stores_at_the_end_of_the_block(client, folder):
    with client.open_write(f"{folder}/f") as file:
        file.write(b"one ")
        assert not client.files.exists(f"{folder}/f")
        file.write(b"two")
    with client.open_read(f"{folder}/f") as file:
        assert file.read() == b"one two"


@pytest.mark.breaks_storage
def test_open_write_stores_nothing_when_the_block_fails(client, folder):
    with pytest.raises(ZeroDivisionError), client.open_write(f"{folder}/f") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert names(client, folder) == []


def test_a_folder_that_went_away_is_made_again(client, folder):
    client.upload(io.BytesIO(b"1"), f"{folder}/d/one")
    client.files.delete(f"{folder}/d", recursive=True)
    client.upload(io.BytesIO(b"2"), f"{folder}/d/two")
    assert names(client, f"{folder}/d") == ["two"]


class Racing(io.BytesIO):
    """A source during whose reading somebody else makes the file."""

    def __init__(self, content, make):
        super().__init__(content)
        self.make = make

    def readinto(self, buffer, /):
        if self.make:
            make, self.make = self.make, None
            make()
        return super().readinto(buffer)


def test_a_file_made_during_the_upload_is_not_overwritten(storage, client, folder):
    with storage.client() as other:
        source = Racing(some(100), lambda: other.files.touch(f"{folder}/f"))
        with pytest.raises(errors.AlreadyExists):
            client.upload(source, f"{folder}/f")
    assert client.files.stat(f"{folder}/f").size == 0
    assert names(client, folder) == ["f"]


def test_what_is_no_regular_file_is_refused(client, folder):
    with pytest.raises(errors.LocalSourceError, match="not a regular file"):
        client.upload("/dev/null", f"{folder}/f")


def test_a_file_that_only_seems_empty_is_not_stored_as_empty(client, folder):
    with pytest.raises(errors.LocalSourceError, match="became longer"):
        client.upload("/proc/self/status", f"{folder}/f")
    assert names(client, folder) == []


@pytest.mark.parametrize("checksums", [{"sha256": "00"}, {"adler-32": "0"}, {"": ""}])
def test_a_checksum_that_nobody_would_compare_is_refused(client, stored, folder, tmp_path, checksums):
    path, _ = stored
    with pytest.raises(errors.InvalidRequest, match="use one of: adler32"):
        client.download(path, tmp_path / "f", checksums=checksums)
    with pytest.raises(errors.InvalidRequest, match="use one of: adler32"):
        client.upload(io.BytesIO(b"x"), f"{folder}/f", checksums=checksums)


def test_all_expected_checksums_are_compared(client, stored, tmp_path):
    path, data = stored
    with pytest.raises(errors.ChecksumMismatch):
        client.download(path, tmp_path / "f", checksums={"ADLER32": f"{zlib.adler32(data):x}", "md5": "0" * 32})


@pytest.fixture
def refusing(storage):
    """Switch faults on, where they can be."""
    if storage.gateway is None:
        pytest.skip("faults are switched on at the embedded gateway")
    return storage.gateway.faults


@pytest.mark.parametrize("failure", ["PERMISSION_DENIED", "INTERNAL"])
def test_an_overwrite_that_cannot_be_finished_loses_nothing(client, folder, stored, refusing, failure):
    """The storage refuses to move over a file; the file steps aside; then the new one cannot be moved either."""
    path, data = stored
    refusing.add(Fault("grpc:Move", "status", path="*.part", status="ALREADY_EXISTS", times=1))
    refusing.add(Fault("grpc:Move", "status", path="*.part", status=failure))
    with pytest.raises(errors.Cs3Error):
        client.upload(io.BytesIO(b"new"), path, overwrite=True)
    refusing.clear()
    with client.open_read(path) as file:
        assert file.read() == data
    assert names(client, folder) == ["stored"]


@pytest.mark.parametrize("behind", [b"", b"what lies behind"])
def test_a_second_attempt_writes_only_where_the_file_goes(client, stored, refusing, behind):
    path, data = stored
    refusing.add(Fault("http:GET", "cut", after=2 * MIB, times=1))
    sink = io.BytesIO(bytes(10 + len(data)) + behind)
    sink.seek(10)
    client.download(path, sink)
    assert sink.getvalue() == bytes(10) + data + behind


def test_what_a_first_attempt_wrote_beyond_the_end_is_taken_away(client, stored, refusing):
    path, data = stored
    refusing.add(Fault("http:GET", "long", after=2 * MIB, times=1))
    refusing.add(Fault("http:GET", "wrong_byte", after=5, times=1))
    sink = io.BytesIO()
    client.download(path, sink, checksums={"adler32": f"{zlib.adler32(data):x}"})
    assert sink.getvalue() == data


def test_an_overwrite_where_the_storage_refuses_to_move_over_a_file(client, folder, stored, refusing):
    path, _ = stored
    refusing.add(Fault("grpc:Move", "status", status="ALREADY_EXISTS", times=1))
    client.upload(io.BytesIO(b"new"), path, overwrite=True)
    assert client.files.stat(path).size == 3
    assert names(client, folder) == ["stored"]


def test_a_move_that_failed_is_not_taken_for_done(client, folder, stored, refusing):
    """Because the old file cannot be seen, and one stands under the name."""
    path, data = stored
    refusing.add(Fault("grpc:Move", "status", status="INTERNAL", times=1))
    refusing.add(Fault("grpc:Stat", "no_permission", path="*.part", times=None))
    with pytest.raises(errors.Cs3Error):
        client.upload(io.BytesIO(b"new"), path, overwrite=True)
    refusing.clear()
    assert client.files.stat(path).size == len(data)


@pytest.fixture
def moves(refusing):
    """Say how each of the Moves of an overwrite ends: to the name, aside, to the name again, and back again."""

    def script(*endings):
        for number, status in enumerate(endings):
            if status:
                refusing.add(Fault("grpc:Move", "status", status=status, skip=number, times=1))

    return script


def test_what_stepped_aside_is_brought_back_at_last(client, folder, stored, moves):
    path, data = stored
    moves("ALREADY_EXISTS", None, "PERMISSION_DENIED", "INTERNAL", "UNAVAILABLE")
    with pytest.raises(errors.PermissionDenied):
        client.upload(io.BytesIO(b"new"), path, overwrite=True)
    assert names(client, folder) == ["stored"]
    assert client.files.stat(path).size == len(data)


def test_what_stepped_aside_is_brought_back_when_the_time_is_over(
    storage, client, folder, stored, refusing, monkeypatch
):
    path, data = stored
    monkeypatch.setattr(deadline.apart.__wrapped__, "__defaults__", (4.0,))
    refusing.add(Fault("grpc:Move", "status", path="*.part", status="ALREADY_EXISTS", times=1))
    refusing.add(Fault("grpc:Move", "stall", path="*.part"))
    with storage.client(retries=0) as hasty, pytest.raises(errors.DeadlineExceeded):
        hasty.upload(io.BytesIO(b"new"), path, overwrite=True)
    assert names(client, folder) == ["stored"]
    assert client.files.stat(path).size == len(data)


def test_of_many_who_replace_a_file_at_once_all_may(client, folder, stored):
    path, _ = stored
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda n: client.upload(io.BytesIO(bytes(n)), path, overwrite=True).size, range(1, 25)))
    assert sizes == list(range(1, 25))
    assert names(client, folder) == ["stored"]
    assert client.files.stat(path).size in sizes


def test_what_is_gone_when_it_is_to_step_aside_is_as_good_as_replaced(client, folder, stored, moves):
    path, _ = stored
    moves("ALREADY_EXISTS", "NOT_FOUND")
    client.upload(io.BytesIO(b"new"), path, overwrite=True)
    assert client.files.stat(path).size == 3
    assert names(client, folder) == ["stored"]


def test_what_stepped_aside_for_nothing_is_brought_back(client, folder, stored, refusing):
    path, data = stored
    refusing.add(Fault("grpc:Move", "status", path="*.part", status="ALREADY_EXISTS"))
    with pytest.raises(errors.AlreadyExists, match=r"says that it is there, and does not show it"):
        client.upload(io.BytesIO(b"new"), path, overwrite=True)
    assert names(client, folder) == ["stored"]
    assert client.files.stat(path).size == len(data)


def test_what_cannot_be_brought_back_is_named(client, folder, stored, moves, monkeypatch):
    path, _ = stored
    monkeypatch.setattr("rucio_cs3.cs3.swap.WAY_BACK", (0, 0))
    moves("ALREADY_EXISTS", None, *["PERMISSION_DENIED"] * 3)
    with pytest.raises(errors.PermissionDenied) as caught:
        client.upload(io.BytesIO(b"new"), path, overwrite=True)
    [left] = names(client, folder)
    assert left.endswith(".old")
    assert f"{folder}/{left}: move it back" in str(caught.value)


def test_a_replaced_file_that_cannot_be_removed_is_no_failure(client, folder, stored, moves, refusing, caplog):
    path, _ = stored
    moves("ALREADY_EXISTS")
    refusing.add(Fault("grpc:Delete", "status", status="PERMISSION_DENIED"))
    client.upload(io.BytesIO(b"new"), path, overwrite=True)
    assert client.files.stat(path).size == 3
    assert "could not be removed" in caplog.text


def test_moving_what_is_not_there_names_it(client, folder):
    with pytest.raises(errors.NotFound, match="missing"):
        client.files.move(f"{folder}/missing", f"{folder}/new")


class Narrow(io.RawIOBase):
    """An unbuffered file takes what it has room for."""

    def __init__(self, most):
        self.most = most
        self.taken = b""

    def writable(self):
        return True

    def write(self, data):
        block = bytes(data[: self.most])
        self.taken += block
        return len(block)


def test_a_sink_that_takes_little_gets_all(client, stored):
    path, data = stored
    sink = Narrow(100_000)
    client.download(path, sink)
    assert sink.taken == data


def test_a_sink_that_takes_nothing_is_a_failure(client, stored):
    path, _ = stored
    with pytest.raises(errors.LocalTargetError, match="takes no more"):
        client.download(path, Narrow(0))


def test_a_special_file_is_not_replaced(client, stored, tmp_path):
    path, _ = stored
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(errors.LocalTargetError, match="not a regular file"):
        client.download(path, tmp_path / "fifo")
    assert (tmp_path / "fifo").is_fifo()


def test_spooled_files_go_both_ways(client, folder):
    with tempfile.SpooledTemporaryFile() as file:
        file.write(b"content")
        file.seek(0)
        client.upload(file, f"{folder}/f")
        file.seek(0)
        client.download(f"{folder}/f", file)
        file.seek(0)
        assert file.read() == b"content"


def test_a_data_server_that_cannot_find_a_file_is_asked_again(client, stored, refusing):
    """Its 404 is no proof: the storage has just shown the file."""
    path, data = stored
    refusing.add(Fault("http:GET", "status", status="404", times=1))
    sink = io.BytesIO()
    client.download(path, sink)
    assert sink.getvalue() == data
    refusing.add(Fault("http:GET", "status", status="404"))
    with pytest.raises(errors.Unavailable, match="does not find what the storage has just shown"):
        client.download(path, io.BytesIO())


@pytest.mark.parametrize("status", ["500", "503", "404"])
def test_a_file_object_is_not_spoilt_by_a_failure(client, stored, refusing, status):
    path, data = stored
    with client.open_read(path) as file:
        for start in (0, 2 * MIB):
            file.seek(start)
            refusing.add(Fault("http:GET", "status", status=status, times=client.config.retries + 1))
            with pytest.raises(errors.Cs3Error):
                file.read(10)
            assert file.read(10) == data[start : start + 10]


def test_a_file_object_that_was_cut_reads_on(client, stored, refusing):
    path, data = stored
    refusing.add(Fault("http:GET", "cut", after=2 * MIB, times=1))
    with client.open_read(path) as file:
        assert file.read() == data


def test_a_replaced_file_stays_replaced(client, stored):
    path, data = stored
    with client.open_read(path) as file:
        assert file.read(10) == data[:10]
        client.upload(io.BytesIO(bytes(len(data))), path, overwrite=True)
        for _ in range(3):
            file.seek(2 * MIB)
            with pytest.raises(errors.Interrupted, match="replaced while it was read"):
                file.read(10)


def test_a_cut_upload_that_is_committed_late_is_noticed(client, folder, refusing, storage):
    """Under a name that does not matter yet, over the second upload, which was verified."""
    if storage.facts.killed_upload_breaks_user:
        pytest.skip("there nothing works after a cut: see hazard 9")
    temporary, final = f"{folder}/f.rucio.upload", f"{folder}/f"
    refusing.add(Fault("http:PUT", "cut", after=MIB, times=1))
    client.upload(io.BytesIO(some(3 * MIB)), temporary, overwrite=True, temporary=True)
    with storage.client() as late:
        late.upload(io.BytesIO(some(MIB)), temporary, overwrite=True)
    with pytest.raises(errors.Interrupted, match="committed over this one"):
        client.move(temporary, final)
    assert names(client, folder) == []
    client.upload(io.BytesIO(some(3 * MIB)), temporary, overwrite=True, temporary=True)
    client.move(temporary, final)
    assert client.files.stat(final).size == 3 * MIB
