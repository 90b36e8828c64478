"""Downloads that are taken up again by a later call, or a later process."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rucio_cs3 import errors
from rucio_cs3.transfer import parallel, part
from tests.unit.transfer.liar import MIB, cut, refuses_ranges

K = MIB + 5
PART, NOTE = ".got.rucio-cs3.part", ".got.rucio-cs3.part.json"


@pytest.fixture
def fetch(site, tmp_path):
    def fetch(**options):
        site.downloads.to_path("/f", str(tmp_path / "got"), **{"resume": True, **options})
        assert os.listdir(tmp_path) == ["got"]
        return (tmp_path / "got").read_bytes()

    return fetch


@pytest.fixture
def broken(site, liar, tmp_path):
    """A download that broke off at K."""
    liar.lies = [cut(K)]
    with pytest.raises(errors.Interrupted):
        site.again(retries=0).downloads.to_path("/f", str(tmp_path / "got"), resume=True)
    assert sorted(os.listdir(tmp_path)) == [PART, NOTE]
    assert (tmp_path / PART).stat().st_size == K
    liar.requests.clear()


def test_a_later_call_goes_on_where_it_broke_off(broken, fetch, liar):
    assert fetch() == liar.content
    assert liar.starts == [K]


def test_the_note_is_for_nobody_else_and_the_file_is_for_all(broken, fetch, tmp_path):
    assert stat.S_IMODE((tmp_path / NOTE).stat().st_mode) == 0o600
    (tmp_path / "other").touch()
    usual = (tmp_path / "other").stat().st_mode
    (tmp_path / "other").unlink()
    fetch()
    assert (tmp_path / "got").stat().st_mode == usual


def test_nothing_is_kept_unasked(site, liar, tmp_path):
    liar.lies = [cut(K)]
    with pytest.raises(errors.Interrupted):
        site.again(retries=0).downloads.to_path("/f", str(tmp_path / "got"))
    assert os.listdir(tmp_path) == []


def test_what_is_kept_is_not_found_unasked(broken, site, liar, tmp_path):
    site.downloads.to_path("/f", str(tmp_path / "got"))
    assert liar.starts == [None]


def test_nothing_is_kept_of_what_never_began(site, liar, tmp_path):
    liar.always = cut(0)
    with pytest.raises(errors.Interrupted):
        site.downloads.to_path("/f", str(tmp_path / "got"), resume=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("why", [errors.Unavailable("it is down"), KeyboardInterrupt()], ids=repr)
def test_what_is_kept_stays_when_the_next_call_does_not_even_begin(broken, fetch, site, liar, tmp_path, why):
    def stat(_):
        raise why

    late = site.again(retries=0)
    late.stat = stat
    with pytest.raises(type(why)):
        late.downloads.to_path("/f", str(tmp_path / "got"), resume=True)
    assert sorted(os.listdir(tmp_path)) == [PART, NOTE]
    assert fetch() == liar.content
    assert liar.starts == [K]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_has_taken_the_place_of_the_part_does_not_become_the_file(site, liar, tmp_path, overwrite):
    """As a part that was uploaded by mistake, and now comes down in the same folder."""

    def other(*_):
        (tmp_path / "other").write_bytes(b"another's")
        (tmp_path / "other").rename(tmp_path / PART)

    with pytest.raises(errors.LocalTargetError, match=f"another file has taken the place of {PART}"):
        site.downloads.to_path("/f", str(tmp_path / "got"), resume=True, overwrite=overwrite, progress=other)
    assert os.listdir(tmp_path) == [PART]
    assert (tmp_path / PART).read_bytes() == b"another's"


def modes(paths):
    return {stat.S_IMODE(path.stat().st_mode) for path in paths}


@pytest.mark.parametrize("resume", [False, True])
def test_what_is_replaced_leaves_its_mode(site, liar, tmp_path, resume):
    (tmp_path / "got").write_bytes(b"private")
    (tmp_path / "got").chmod(0o600)
    seen = set()
    site.downloads.to_path(
        "/f", str(tmp_path / "got"), resume=resume, progress=lambda *_: seen.update(modes(tmp_path.glob("*.part")))
    )
    assert seen == {0o600}
    assert stat.S_IMODE((tmp_path / "got").stat().st_mode) == 0o600
    assert (tmp_path / "got").read_bytes() == liar.content


@pytest.mark.parametrize("resume", [False, True])
def test_a_name_that_was_taken_meanwhile_is_not_replaced(site, liar, tmp_path, resume):
    def other(*_):
        (tmp_path / "got").write_bytes(b"another's")

    with pytest.raises(errors.AlreadyExists):
        site.downloads.to_path("/f", str(tmp_path / "got"), overwrite=False, resume=resume, progress=other)
    assert os.listdir(tmp_path) == ["got"]
    assert (tmp_path / "got").read_bytes() == b"another's"


@pytest.mark.parametrize("taken", [False, True])
def test_where_there_are_no_hard_links_it_is_looked_for(site, liar, tmp_path, monkeypatch, taken):
    def no_links(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def other(*_):
        if taken:
            (tmp_path / "got").write_bytes(b"another's")

    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(errors.AlreadyExists) if taken else contextlib.nullcontext():
        site.downloads.to_path("/f", str(tmp_path / "got"), overwrite=False, progress=other)
    assert os.listdir(tmp_path) == ["got"]
    assert (tmp_path / "got").read_bytes() == (b"another's" if taken else liar.content)


def test_what_was_there_before_is_not_even_fetched(site, liar, tmp_path):
    (tmp_path / "got").symlink_to("nowhere")
    with pytest.raises(errors.AlreadyExists):
        site.downloads.to_path("/f", str(tmp_path / "got"), overwrite=False)
    assert liar.requests == []


def test_a_part_that_has_a_name_already_is_not_written_to(broken, site, tmp_path):
    """As after a kill between the two steps that end a download."""
    os.link(tmp_path / PART, tmp_path / "old")
    before = (tmp_path / "old").read_bytes()
    site.downloads.to_path("/f", str(tmp_path / "got"), resume=True)
    assert (tmp_path / "old").read_bytes() == before


@pytest.mark.parametrize(
    ("why", "kept"),
    [(KeyboardInterrupt(), True), (errors.Stopped("on request"), True), (ZeroDivisionError(), False)],
    ids=repr,
)
def test_who_stops_it_may_go_on_and_a_mistake_is_none_to_go_on_from(broken, site, liar, tmp_path, why, kept):
    def stop(*_):
        raise why

    with pytest.raises(type(why)):
        site.downloads.to_path("/f", str(tmp_path / "got"), resume=True, progress=stop)
    assert sorted(os.listdir(tmp_path)) == ([PART, NOTE] if kept else [])
    liar.requests.clear()
    site.downloads.to_path("/f", str(tmp_path / "got"), resume=True)
    assert (tmp_path / "got").read_bytes() == liar.content
    assert (liar.starts == [None]) != kept


def test_another_version_begins_anew(broken, fetch, site, liar):
    site.replace(random.Random(5).randbytes(MIB), 2)
    assert fetch() == liar.content
    assert liar.starts == [None]


def test_another_version_that_only_the_data_server_knows_begins_anew(broken, fetch, liar):
    liar.lies = [lambda reply: reply.but(ETag='"2"')]
    assert fetch() == liar.content
    assert liar.starts == [K, None]


def test_a_server_without_ranges_begins_anew(broken, fetch, liar):
    liar.always = refuses_ranges
    assert fetch() == liar.content
    assert liar.starts == [K, None]


def test_a_part_that_was_damaged_begins_anew(broken, fetch, liar, tmp_path):
    with open(tmp_path / PART, "r+b") as file:
        file.write(b"damaged")
    assert fetch() == liar.content
    assert liar.starts == [K, None]


def test_a_part_that_is_whole_is_only_verified(broken, fetch, site, liar, tmp_path):
    (tmp_path / PART).write_bytes(liar.content)
    note = json.loads((tmp_path / NOTE).read_text())
    (tmp_path / NOTE).write_text(json.dumps({**note, "reached": len(liar.content)}))
    assert fetch() == liar.content
    assert liar.starts == []


NOTES = {
    "none": None,
    "empty": lambda note: "",
    "half": lambda note: note[: len(note) // 2],
    "not one": lambda note: "[]",
    "of another part": lambda note: json.dumps({**json.loads(note), "file": {**json.loads(note)["file"], "part": 1}}),
    "of more than there is": lambda note: json.dumps({**json.loads(note), "reached": K + 1}),
}


@pytest.mark.parametrize("kind", NOTES)
def test_a_part_without_a_good_note_begins_anew(broken, fetch, liar, tmp_path, kind):
    note = tmp_path / NOTE
    if NOTES[kind] is None:
        note.unlink()
    else:
        note.write_text(NOTES[kind](note.read_text()))
    assert fetch() == liar.content
    assert liar.starts == [None]


@pytest.mark.parametrize(("checksums", "starts"), [({}, [None]), ({"adler32": None}, [K])])
def test_after_a_crash_of_the_machine_it_counts_if_it_can_be_verified(
    broken, fetch, site, liar, monkeypatch, checksums, starts
):
    known = {name: site.info.checksums[name] for name in checksums}
    site.info = dataclasses.replace(site.info, checksums=known)
    monkeypatch.setattr(part, "BOOT", Path("/proc/sys/kernel/random/uuid"))
    assert fetch() == liar.content
    assert liar.starts == starts


def test_who_comes_second_works_apart(broken, site, liar, tmp_path):
    with open(tmp_path / PART, "r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        site.downloads.to_path("/f", str(tmp_path / "got"), resume=True)
    assert (tmp_path / "got").read_bytes() == liar.content
    assert liar.starts == [None]
    assert sorted(os.listdir(tmp_path)) == [PART, NOTE, "got"]


@pytest.mark.parametrize("trap", ["symlink", "folder", "fifo"])
def test_what_is_no_part_is_left_alone(site, liar, tmp_path, trap):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    make = {"symlink": lambda p: os.symlink(victim, p), "folder": os.mkdir, "fifo": os.mkfifo}
    make[trap](tmp_path / PART)
    site.downloads.to_path("/f", str(tmp_path / "got"), resume=True)
    assert victim.read_bytes() == b"mine"
    assert (tmp_path / "got").read_bytes() == liar.content
    assert sorted(os.listdir(tmp_path)) == [PART, "got", "victim"]


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_the_longest_names_can_be_taken_up_too(site, liar, tmp_path, name):
    liar.lies = [cut(K)]
    with pytest.raises(errors.Interrupted):
        site.again(retries=0).downloads.to_path("/f", str(tmp_path / name), resume=True)
    site.downloads.to_path("/f", str(tmp_path / name), resume=True)
    assert liar.starts == [None, K]
    assert os.listdir(tmp_path) == [name]


def test_parts_of_a_shared_link_are_taken_up_as_far_as_there_is_no_gap(site, liar, tmp_path, fetch, monkeypatch):
    monkeypatch.setattr(parallel, "WORTH", 1)
    monkeypatch.setattr(parallel, "CHUNK", MIB // 2)
    monkeypatch.setattr("rucio_cs3.transfer.ranges.FAR", 0.0)
    gap = 2 * MIB
    liar.always = lambda reply: reply.but(sent=9, end="close") if f"bytes {gap}-" in str(reply.headers) else reply
    with pytest.raises(errors.Interrupted):
        site.again(retries=0).downloads.to_path("/f", str(tmp_path / "got"), resume=True)
    assert json.loads((tmp_path / NOTE).read_text())["reached"] <= gap
    liar.always = lambda reply: reply
    liar.requests.clear()
    assert fetch() == liar.content
    assert 0 < liar.starts[0] <= gap


KILLED = """if True:
    import dataclasses, sys
    from rucio_cs3.transfer import download
    from tests.unit.transfer import liar
    class Far:
        url, content = sys.argv[1], b""
    download.NOTED_EVERY = 1
    site = liar.Site(Far(), stall_timeout=60.0)
    site.info = dataclasses.replace(site.info, size=int(sys.argv[3]), checksums={"adler32": sys.argv[4]})
    site.downloads.to_path("/f", sys.argv[2], resume=True, progress=lambda *now: print(*now, flush=True))
    """


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_process_that_is_killed_is_taken_up_by_the_next(site, liar, tmp_path, fetch, after):
    """The server is silent after so many MiB, so that it is surely under way when it is killed."""
    liar.lies = [cut(after * MIB, "stall")]
    told = [liar.url, str(tmp_path / "got"), str(len(liar.content)), site.info.checksums["adler32"]]
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, *told], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    for _ in range(after):
        killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert PART in os.listdir(tmp_path)  # and maybe a note, whole or half-written
    liar.requests.clear()
    assert fetch() == liar.content
    [start] = liar.starts
    assert (after - 1) * MIB <= (start or 0) <= after * MIB
