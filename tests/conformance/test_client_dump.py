"""A dump of a storage is whole, or does not look so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from rucio_cs3 import errors
from rucio_cs3.catalog.dump import Dump, Wanted
from rucio_cs3.gateway import service
from rucio_cs3.model import Ref
from tests.conformance.names import NAMES

WIDE = 9_000  # with paths as long as these, more than v3's gateway can pass on
PART = 100  # of both is as much
DEEP = f"{'d' * 230}/{'d' * 230}/{'d' * 230}"


@pytest.fixture
def dump(client, folder, tmp_path):
    """The lines, what could not be listed, and whether it says it is whole."""

    def make(top=folder, **wanted):
        with Dump(client.files, Ref(top), "/prefix", tmp_path / "dump", Wanted(**wanted)) as dumped:
            failed = {path: type(error) for path, error in dumped if error}
            whole = dumped.finish()
        file = dumped.output if whole else dumped.incomplete
        lines = sorted(file.read_text().splitlines())
        file.unlink()
        return lines, failed, whole

    return make


def test_every_file_is_in_it(client, folder, dump):
    writable = {name for name in NAMES if not any(letter < " " or letter == "\x7f" for letter in name)}
    client.files.mkdir(f"{folder}/sub/empty", parents=True)
    for name in NAMES:
        client.files.touch(f"{folder}/sub/{name}")
    lines, failed, whole = dump()
    assert (lines, failed, whole) == (sorted(f"/prefix/sub/{name}" for name in writable), {}, True)


def test_what_uploads_left_behind_is_left_out(client, folder, dump):
    left = (".rucio-cs3-0123456789ab.part", ".rucio-cs3-0123456789ab.old", "f.rucio.upload")
    for name in ("f", *left):
        client.files.touch(f"{folder}/{name}")
    assert dump()[0] == ["/prefix/f"]
    assert dump(everything=True)[0] == sorted(f"/prefix/{name}" for name in ("f", *left))


def test_what_a_storage_says_without_reading(storage, client, folder, dump, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    client.upload(tmp_path / "a", f"{folder}/a")
    [line] = dump(details=True)[0]
    path, size, _, checksums = line.split("\t")
    assert (path, size) == ("/prefix/a", "1")
    assert ("adler32:00620062" in checksums.split(",")) == storage.has_checksums


@pytest.fixture
def too_many(storage, monkeypatch):
    """How many files of long names it cannot list. How many the embedded one can is counted in its own tests."""
    if not storage.gateway:
        return WIDE
    monkeypatch.setattr(service, "LIST_BYTES", service.LIST_BYTES // PART)
    return WIDE // PART


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_folder_beyond_what_the_server_can_send(first_line, client, folder, dump, too_many):
    """It is told, and the dump keeps the name of one that is not whole. The rest is there."""
    client.files.mkdir(f"{folder}/{DEEP}", parents=True)
    client.files.touch(f"{folder}/beside")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client.files.touch, (f"{folder}/{DEEP}/{number:06}-{'n' * 230}" for number in range(too_many))))
    assert dump() == (["/prefix/beside"], {DEEP: errors.ListingTooLarge}, False)
