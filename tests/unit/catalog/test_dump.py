"""A dump that is cut after any folder, and goes on."""

from __future__ import annotations

import sqlite3

import pytest

from rucio_cs3 import Cs3Client, errors
from rucio_cs3.catalog import dump as module
from rucio_cs3.catalog.dump import Dump, Wanted
from rucio_cs3.gateway import Gateway
from rucio_cs3.model import Ref

FILES = [f"/rse/{one}/{two}/{name}" for one in "abc" for two in "de" for name in "fgh"]
FOLDERS = 1 + 3 + 6


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    for file in FILES:
        (root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / file[1:]).touch()
    with Gateway(root) as gateway:
        yield gateway


@pytest.fixture
def make(gateway, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE", 0)
    with Cs3Client(gateway=gateway.address, tls=False, username="einstein", password="relativity") as client:
        yield lambda: Dump(client.files, Ref("/rse"), "/rse", tmp_path / "dump", Wanted(), jobs=2)


def cut_after(dump, folders):
    with dump:
        for _ in zip(range(folders), dump):
            pass


def finished(dump):
    with dump:
        listed = sum(1 for _ in dump)
        assert dump.finish()
    return listed, sorted(dump.output.read_text().splitlines())


@pytest.mark.parametrize("folders", range(1, FOLDERS))
def test_cut_after_a_folder_and_begun_again(make, folders):
    """The last one is not saved yet, and is listed again. What was written of it then is taken back."""
    first = make()
    cut_after(first, folders)
    with first.incomplete.open("a") as file:
        file.write("/rse/torn")
    again = make()
    listed, lines = finished(again)
    assert again.went_on
    assert lines == FILES
    assert listed <= FOLDERS - folders + 1
    assert (again.counts.files, again.counts.folders) == (len(FILES), FOLDERS)


def test_after_a_day_it_begins_anew(make, monkeypatch):
    cut_after(make(), 3)
    monkeypatch.setattr(module, "OLDEST", 0)
    again = make()
    assert finished(again) == (FOLDERS, FILES)
    assert not again.went_on


def test_lines_that_are_gone_are_listed_again(make):
    first = make()
    cut_after(first, 5)
    first.incomplete.write_text("")
    assert finished(make())[1] == FILES


def test_one_process_at_a_time(make):
    with make(), pytest.raises(errors.ConfigError, match="in use by another process"), make():
        pass


def test_a_state_that_is_none(make):
    dump = make()
    dump.state.write_bytes(b"something else, and long enough" * 100)
    with pytest.raises(errors.ConfigError, match="remove it to begin anew"), dump:
        pass


def test_a_state_that_cannot_be_written(make, tmp_path):
    dump = make()
    dump.output = tmp_path / "nowhere" / "dump"
    dump.state = tmp_path / "nowhere" / "state"
    with pytest.raises(errors.LocalTargetError), dump:
        pass


def test_the_state_is_a_frontier_and_no_list_of_all(make):
    dump = make()
    cut_after(dump, FOLDERS - 1)
    with sqlite3.connect(dump.state) as base:
        [(rows,)] = base.execute("SELECT count(*) FROM folders")
    base.close()
    assert rows <= 2
