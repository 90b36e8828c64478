"""Many files at once, on every storage: trees up and down, deletion, and an end in the middle."""

from __future__ import annotations

import os
import threading
from collections import Counter

import pytest

from rucio_cs3.errors import NotFound
from rucio_cs3.model import Ref
from rucio_cs3.transfer import bulk, trees
from rucio_cs3.transfer.bulk import Copy
from rucio_cs3.transfer.ends import Local, Remote
from rucio_cs3.transfer.journal import Journal
from tests.conformance.names import NAMES

MIB = 1 << 20


@pytest.fixture
def source(tmp_path):
    """A tree with what is hard to carry over."""
    top = tmp_path / "source"
    for number in range(30):
        file = top / f"d{number % 3}" / "sub" / f"f{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(number * 1000))
    (top / "empty" / "folder").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (top / name).write_bytes(bytes([number]) * number)
    return top


def tree(top):
    return {str(path.relative_to(top)): path.read_bytes() if path.is_file() else None for path in top.rglob("*")}


def all_of(run):
    with run:
        return Counter((result.outcome, str(result.error or "")) for result in run)


def up(client, top, folder, **options):
    pairs = ((Local(str(top / entry.below)), Remote(client, folder, entry.below), entry) for entry in walk(top))
    return bulk.copy((Copy(here, there, entry.kind) for here, there, entry in pairs), **options)


def walk(top):
    return trees.local(str(top))


def test_a_tree_up_and_down_and_away(client, folder, source, tmp_path):
    count = len(tree(source))
    with Journal(str(tmp_path / "journal"), folder) as journal:
        assert all_of(up(client, source, f"{folder}/up", journal=journal)) == {("done", ""): count}
    with Journal(str(tmp_path / "journal"), folder) as journal:
        folders = sum(content is None for content in tree(source).values())
        again = all_of(up(client, source, f"{folder}/up", journal=journal))
        assert again == {("skipped", ""): count - folders, ("done", ""): folders}

    found = list(trees.remote(client.files, Ref(f"{folder}/up")))
    assert {entry.below for entry in found} == set(tree(source))
    down = (
        Copy(Remote(client, f"{folder}/up", entry.below), Local(str(tmp_path / "down" / entry.below)), entry.kind)
        for entry in found
    )
    assert all_of(bulk.copy(down)) == {("done", ""): count}
    assert tree(tmp_path / "down") == tree(source)

    assert all_of(bulk.delete(client, [f"{folder}/up"], recursive=True)) == {("done", ""): 1}
    with pytest.raises(NotFound):
        client.files.stat(f"{folder}/up")


def test_a_second_time_nothing_is_replaced(client, folder, tmp_path):
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two")
    assert all_of(bulk.upload(client, [(tmp_path / "one", f"{folder}/f")])) == {("done", ""): 1}
    [(outcome, error)] = all_of(bulk.upload(client, [(tmp_path / "two", f"{folder}/f")]))
    assert outcome == "failed"
    assert "it is there already" in error
    with client.open_read(f"{folder}/f") as file:
        assert file.read() == b"one"


@pytest.mark.breaks_storage
def test_stopped_in_the_middle_nothing_partial_has_a_name(client, folder, tmp_path):
    (tmp_path / "source").write_bytes(os.urandom(48 * MIB))
    begun = threading.Event()
    pairs = [(tmp_path / "source", f"{folder}/f{number}") for number in range(6)]
    with bulk.upload(client, pairs, jobs=3, progress=lambda _: begun.set()) as run:
        run._feed()
        assert begun.wait(60)
        results = run.stop()
    done = {result.item.target.ref.name for result in results if result.outcome == "done"}
    assert {entry.name for entry in client.files.list(folder) if entry.name.startswith("f")} == done
    assert Counter(result.outcome for result in results)["failed"] == 0
    assert len(done) < 6
