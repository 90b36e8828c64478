from __future__ import annotations

import errno
import io
import os
import tempfile

import pytest

from rucio_cs3.errors import LocalSourceError, LocalSourceMissing, LocalTargetError, NotFound
from rucio_cs3.transfer.local import BLOCK, Source, local_target, opened, rewindable


def read(source):
    content = b"".join(bytes(block) for block in source.blocks())
    source.confirm()
    return content


def test_a_file_can_be_read_again_and_again(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * (BLOCK + 1))
    with opened(str(tmp_path / "f")) as source:
        assert source.size == BLOCK + 1
        assert read(source) == read(source) == b"x" * (BLOCK + 1)


def test_a_stream_is_kept_so_that_it_can_be_read_again():
    reading, writing = os.pipe()
    os.write(writing, b"piped")
    os.close(writing)
    with open(reading, "rb") as file, rewindable(file) as source:
        assert source.size == 5
        assert read(source) == read(source) == b"piped"


@pytest.mark.parametrize("buffering", [-1, 0], ids=["buffered", "raw"])
def test_nothing_yet_is_not_the_end_of_a_stream(buffering):
    """Some programs leave a pipe so that reading does not wait for the writer."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"the first half")
    refused = pytest.raises(LocalSourceError, match="non-blocking")
    with open(writing, "wb"), open(reading, "rb", buffering) as file, refused, rewindable(file):
        pass


def test_a_file_that_has_nothing_yet_is_not_read_as_if_it_had():
    class Slow(io.BytesIO):
        def readinto(self, _):
            return None

    with rewindable(Slow(b"0123456789")) as source, pytest.raises(LocalSourceError, match="non-blocking"):
        read(source)


def test_what_stands_beyond_its_end_has_nothing_to_give():
    file = io.BytesIO(b"0123456789")
    file.seek(100)
    with rewindable(file) as source:
        assert (source.size, read(source)) == (0, b"")


def test_where_there_is_no_room_for_a_stream_the_folder_is_named(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    reading, writing = os.pipe()
    os.write(writing, b"piped")
    os.close(writing)
    with open(reading, "rb") as file, pytest.raises(LocalTargetError, match=tempfile.gettempdir()), rewindable(file):
        pass


def test_an_open_file_counts_from_where_it_stands():
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    with rewindable(file) as source:
        assert (source.size, read(source), read(source)) == (6, b"456789", b"456789")


@pytest.mark.parametrize(("told", "words"), [(3, "became longer"), (7, "became shorter")])
def test_a_length_that_is_not_true_is_noticed(told, words):
    with pytest.raises(LocalSourceError, match=words):
        read(Source(io.BytesIO(b"01234"), told, 0, "f"))


def test_an_open_file_that_is_written_over_is_noticed(tmp_path):
    (tmp_path / "f").write_bytes(b"A" * 100)
    with open(tmp_path / "f", "rb") as file, rewindable(file) as source:
        assert read(source) == b"A" * 100
        (tmp_path / "other").write_bytes(b"x")
        (tmp_path / "other").rename(tmp_path / "another")  # not this one
        assert read(source) == b"A" * 100
        with open(tmp_path / "f", "r+b") as meddling:
            meddling.write(b"B" * 100)
        os.utime(tmp_path / "f", ns=(0, source.mtime_ns))
        with pytest.raises(LocalSourceError, match="changed or replaced while it was read"):
            read(source)


def test_missing_and_unreadable_differ(tmp_path):
    with pytest.raises(LocalSourceMissing, match="No such file"), opened(str(tmp_path / "missing")):
        pass
    with pytest.raises(LocalSourceError, match="Is a directory") as caught, opened(str(tmp_path)):
        pass
    assert not isinstance(caught.value, LocalSourceMissing)


def test_only_local_failures_are_local():
    with pytest.raises(LocalTargetError, match="disk"), local_target("f"):
        raise OSError(28, "the disk is full")
    with pytest.raises(NotFound), local_target("f"):
        raise NotFound("on the storage")
    with pytest.raises(KeyboardInterrupt), local_target("f"):
        raise KeyboardInterrupt
