from __future__ import annotations

import os
import socket
import threading

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.cs3.files import Files
from rucio_cs3.errors import LocalSourceError, NotFound, PermissionDenied
from rucio_cs3.gateway import Fault, Gateway
from rucio_cs3.model import Info, Ref, ResourceId
from rucio_cs3.transfer import trees


def plant(top):
    for name in ("b/c/deep", "b/x", "a", "Z", "b.txt"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"12345")
    (top / "empty").mkdir()


EVERYTHING = [
    ("Z", "file", 5),
    ("a", "file", 5),
    ("b", "directory", 0),
    ("b/c", "directory", 0),
    ("b/c/deep", "file", 5),
    ("b/x", "file", 5),
    ("b.txt", "file", 5),
    ("empty", "directory", 0),
]


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "site").mkdir()
    with Gateway(tmp_path / "site") as gateway:
        yield gateway


@pytest.fixture
def files(gateway):
    login = {"username": "einstein", "password": "relativity"}
    with Cs3Client(gateway=gateway.address, tls=False, retries=0, **login) as client:
        yield client.files


def told(entries):
    return [(entry.below, entry.kind, entry.size) for entry in entries]


def test_here_and_at_a_site_a_tree_is_the_same(files, gateway, tmp_path):
    plant(tmp_path / "local")
    plant(gateway.root / "top")
    assert told(trees.local(str(tmp_path / "local"))) == EVERYTHING
    assert told(trees.remote(files, Ref("/top"))) == EVERYTHING
    assert told(trees.remote(files, Ref("/top"), depth=1)) == [each for each in EVERYTHING if "/" not in each[0]]


def test_what_is_no_file_is_named_for_what_it_is(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(tmp_path / "socket"))
        assert told(trees.local(str(tmp_path))) == [
            ("link", "symlink", 0),
            ("pipe", "pipe", 0),
            ("socket", "socket", 0),
        ]


def test_links_are_followed_when_told_but_not_in_circles(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"1")
    (tmp_path / "file").symlink_to("d/f")
    (tmp_path / "folder").symlink_to("d")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "d" / "up").symlink_to("..")
    found = {entry.below: entry for entry in trees.local(str(tmp_path), follow=True)}
    assert [name for name, entry in found.items() if entry.kind == "file"] == ["d/f", "file", "folder/f"]
    assert "circle" in str(found["d/up"].error)
    assert "No such file" in str(found["gone"].error)


def test_a_folder_that_cannot_be_listed_does_not_hide_the_others(files, gateway):
    plant(gateway.root / "top")
    gateway.faults.add(Fault("grpc:ListContainer", "status", path="/top/b/c", status="PERMISSION_DENIED"))
    found = list(trees.remote(files, Ref("/top")))
    assert [(entry.below, type(entry.error)) for entry in found if entry.error] == [("b/c", PermissionDenied)]
    assert "b/x" in {entry.below for entry in found}


def test_a_top_that_cannot_be_listed_is_told_like_any_other(files, tmp_path):
    found = [*trees.remote(files, Ref("/nowhere")), *trees.local(str(tmp_path / "nowhere"))]
    assert [(entry.below, entry.kind) for entry in found] == [("", trees.FOLDER)] * 2
    assert [type(entry.error) for entry in found] == [NotFound, LocalSourceError]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../../etc/passwd", "/etc/passwd", "a\0b"])
def test_a_servers_word_does_not_lead_elsewhere(name):
    class Lying(Files):
        def pages(self, target, *, page_size=1000):
            yield [Info(name, "", ResourceId("s", "o"), "directory", 0, 0.0, "")]

    [entry] = trees.remote(Lying(None), Ref("/top"))
    assert entry.error


@pytest.fixture
def wide(gateway):
    """A folder of many, with a file in each: their names."""
    names = [f"d{number:02}" for number in range(3 * trees.AT_ONCE)]
    for name in names:
        (gateway.root / "top" / name).mkdir(parents=True)
        (gateway.root / "top" / name / "f").touch()
    return names


def everything(names):
    return [below for name in names for below in (name, f"{name}/f")]


def test_several_folders_are_asked_for_at_the_same_time(files, wide, monkeypatch):
    together = threading.Barrier(trees.AT_ONCE)
    listed = files.list

    def meet(folder):
        if folder.name != "top":
            together.wait(60)
        return listed(folder)

    monkeypatch.setattr(files, "list", meet)
    assert [entry.below for entry in trees.remote(files, Ref("/top"))] == everything(wide)


@pytest.mark.parametrize(("held", "ahead"), [(trees.HELD, trees.AT_ONCE), (0, 0)])
def test_it_does_not_run_far_ahead(files, gateway, wide, monkeypatch, held, ahead):
    monkeypatch.setattr(trees, "HELD", held)
    walk = trees.remote(files, Ref("/top"))
    found = [next(walk).below for _ in range(2)]  # the first folder, and what is in it
    listed = [call.path for call in gateway.calls if call.method == "ListContainer"]
    assert listed[0] == "/top"
    assert set(listed[1:]) <= {f"/top/{name}" for name in wide[: 1 + ahead]}
    assert found + [entry.below for entry in walk] == everything(wide)


def test_a_mistake_in_a_thread_is_raised_where_the_entry_is_wanted(files, wide, monkeypatch):
    listed = files.list

    def fail(folder):
        if folder.name == "d01":
            raise ZeroDivisionError
        return listed(folder)

    monkeypatch.setattr(files, "list", fail)
    walk = trees.remote(files, Ref("/top"))
    assert [next(walk).below for _ in range(3)] == ["d00", "d00/f", "d01"]
    with pytest.raises(ZeroDivisionError):
        next(walk)
