"""What a call costs on the second line does not grow with the number of files: counted, as time says little."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from rucio_cs3.gateway.metadata import Metadata
from rucio_cs3.gateway.trees import Trees
from tests.unit.gateway.test_second_line import home_of, restarted

CONTENT = b"content"
FOLDERS = 12


class Scans:
    """How many folders the gateway has read since it was last asked: none are read but by os.scandir and os.listdir."""

    def __init__(self):
        self._seen = []
        self._on = True
        sys.addaudithook(self._note)

    def _note(self, event, args):
        if self._on and event in {"os.scandir", "os.listdir"}:
            self._seen.append(args[0])

    def __call__(self):
        count = len(self._seen)
        self._seen.clear()
        return count

    def stop(self):
        """A hook stays for ever: let it do nothing."""
        self._on = False


@pytest.fixture
def scans():
    scans = Scans()
    yield scans
    scans.stop()


@pytest.fixture
def full(serve):
    """A gateway with many folders, files in them, and a wire to it."""
    gateway, wire = serve("opencloud")
    for number in range(FOLDERS):
        wire.put(f"{wire.mkdir(f'{home_of(wire)}/{number}')}/f", CONTENT)
    return gateway, wire


def changes(wire, home):
    wire.put(f"{home}/0/g", CONTENT)
    wire.put(f"{home}/0/f", CONTENT * 2)
    wire.mkdir(f"{home}/d")
    wire.touch(f"{home}/d/t")
    wire.ok("Move", source=f"{home}/1", destination=f"{home}/d/1")
    wire.ok("Move", source=f"{home}/2/f", destination=f"{home}/d/f")
    wire.ok("Delete", ref=f"{home}/3")
    wire.set_metadata(f"{home}/4/f", k="v")


def sizes(wire, home):
    """What is told of every folder, by its path."""
    found = {".": wire.stat(home).size, "quota": wire.ok("GetQuota", ref=home).used_bytes}
    for name in wire.names(home):
        found[name] = wire.stat(f"{home}/{name}").size
    return found


def test_no_call_walks_through_a_space(full, scans):
    _, wire = full
    home = home_of(wire)
    wire.stat(home)  # counts, for the first time
    scans()
    wire.stat(home)
    wire.stat(f"{home}/5/f")
    wire.ok("GetQuota", ref=home)
    wire.ok("ListStorageSpaces")
    changes(wire, home)
    assert scans() == 1  # of the new folder
    wire.ok("ListContainer", ref=home)
    assert scans() == 1


def test_after_a_restart_every_folder_is_read_once(serve, full, scans):
    gateway, wire = full
    changes(wire, home_of(wire))
    before = sizes(wire, home_of(wire))
    assert (before["."], before["quota"], before["d"]) == (13 * 7, 13 * 7, 2 * 7)
    _, again = restarted(serve, gateway, "opencloud")
    scans()
    again.stat(home_of(again))
    assert scans() == FOLDERS + 1  # 12 and `d` without `3`, and the root
    assert sizes(again, home_of(again)) == before
    assert scans() == 1  # for the names


def test_what_others_put_there_counts_after_a_restart(serve):
    """And until then it does no harm."""
    gateway, wire = serve("opencloud")
    home = home_of(wire)
    assert wire.stat(home).size == 0
    local = gateway.root / home[1:]
    for name in ("gone", "stays"):
        (local / name).write_bytes(CONTENT)
    with open(os.fsencode(local / "no text ") + b"\xff", "wb") as file:
        file.write(CONTENT)
    wire.ok("Delete", ref=f"{home}/gone")
    assert wire.ok("GetQuota", ref=home).used_bytes == 0
    _, again = restarted(serve, gateway, "opencloud")
    assert again.ok("GetQuota", ref=home).used_bytes == 7


def test_a_change_that_fails_is_not_told(tmp_path):
    metadata = Metadata(tmp_path / "metadata.db")
    trees = Trees(tmp_path, metadata)
    folder = tmp_path / "users/einstein"
    folder.mkdir(parents=True)
    before = folder.stat().st_mtime_ns
    with pytest.raises(KeyError), trees.changing("users/einstein/f"):
        raise KeyError
    assert (folder.stat().st_mtime_ns, trees.size("users/einstein")) == (before, 0)
    metadata.close()


def test_nothing_is_lost_between_many_at_a_time(serve, full):
    gateway, wire = full
    home = home_of(wire)

    def work(number):
        folder = f"{home}/{number}"
        for name in ("a", "b", "c"):
            wire.put(f"{folder}/{name}", CONTENT)
        wire.ok("Move", source=f"{folder}/a", destination=f"{home}/{(number + 1) % FOLDERS}/from-{number}")
        wire.ok("Delete", ref=f"{folder}/b")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(FOLDERS)))
    before = sizes(wire, home)
    assert before["."] == FOLDERS * 3 * len(CONTENT)
    _, again = restarted(serve, gateway, "opencloud")
    assert sizes(again, home) == before


# The database


def effort(metadata, deed):
    """In instructions of the database's own machine."""
    steps = []
    metadata._database.set_progress_handler(lambda: steps.append(1), 1)
    deed()
    metadata._database.set_progress_handler(None, 1)
    return len(steps)


@pytest.mark.parametrize("name", ["get", "forget", "rename", "claim", "add"])
def test_the_number_of_files_does_not_matter(tmp_path, name):
    deeds = {
        "get": lambda of: of.get("d/5"),
        "forget": lambda of: of.forget("d/5"),
        "rename": lambda of: of.rename("d/6", "d/new"),
        "claim": lambda of: of.claim("d/7", "id", "7"),
        "add": lambda of: of.add(["d/8"], "size", 1),
    }
    efforts = []
    for count in (10, 2000):
        metadata = Metadata(tmp_path / f"{count}.db")
        for number in range(count):
            metadata.set(f"d/{number}", {"id": str(number), "size": "7"})
        efforts.append(effort(metadata, lambda metadata=metadata: deeds[name](metadata)))
        metadata.close()
    assert efforts[1] <= 2 * efforts[0]


def test_a_path_is_no_tree_of_another(tmp_path):
    """What sorts right before and after those below a folder is none of them."""
    metadata = Metadata(tmp_path / "metadata.db")
    for path in ("d", "d/f", "d/\U0010ffff", "d.f", "d0", "d-"):
        metadata.set(path, {"key": path})
    metadata.rename("d", "e")
    assert {path for path, _ in metadata.having("key")} == {"e", "e/f", "e/\U0010ffff", "d.f", "d0", "d-"}
    metadata.forget("e")
    assert {path for path, _ in metadata.having("key")} == {"d.f", "d0", "d-"}
    metadata.close()
