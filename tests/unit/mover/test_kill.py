"""Movers that die, and movers that share a queue: nothing is lost, and nothing is done twice at the same time."""

from __future__ import annotations

import collections
import os
import signal

import pytest

from tests.unit.mover.conftest import PATIENCE, file, wait_for

pytestmark = pytest.mark.slow
FILES = 40


def notes(root):
    """(how often a copy of it began, how often one ended), by file."""
    counted = collections.defaultdict(collections.Counter)
    place = root / "notes"
    for line in place.read_text().splitlines() if place.exists() else []:
        what, name = line.split()
        counted[name][what] += 1
    return counted


def test_killed_in_the_middle(start, settings, root, put, folders):
    settings["limits"] = {"copies": 4}
    mover = start(settings)
    (root / "hold").touch()
    job = mover.submit(*(file(put(f"davs://a.example/{n}"), f"davs://b.example/{n}") for n in range(FILES)))
    wait_for(lambda: len(notes(root)) == 4)
    mover.kill()
    (root / "hold").unlink()
    again = start(settings)
    assert again.ended(job)["job_state"] == "FINISHED"
    counted = notes(root)
    assert {count["ended"] for count in counted.values()} == {1}
    assert sorted(count["began"] for count in counted.values()) == [1] * (FILES - 4) + [2] * 4
    assert all(folders.path(f"davs://b.example/{n}").read_bytes() == b"content" for n in range(FILES))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_gives_back_what_it_copies(start, settings, root, put, number):
    mover = start(settings)
    (root / "hold").touch()
    job = mover.submit(file(put("davs://a.example/x"), "davs://b.example/x"))
    wait_for((root / "notes").exists)
    os.kill(mover.process.pid, number)
    assert mover.process.wait(PATIENCE) == 0
    (root / "hold").unlink()
    assert start(settings).ended(job)["job_state"] == "FINISHED"


def test_a_database_is_for_one_mover(start, mover, settings):
    with pytest.raises(AssertionError, match="another mover works with"):
        start(settings, "second")


@pytest.fixture
def shared(empty_postgresql, settings):
    """Settings for movers that share a queue."""
    return {**settings, "database": empty_postgresql, "limits": {"copies": 4, "lease": 3.0}}


def test_two_share_a_queue(start, shared, root, put):
    movers = [start(shared, name) for name in ("one", "two")]
    (root / "hold").touch()
    files = [file(put(f"davs://a.example/{n}"), f"davs://b.example/{n}") for n in range(FILES)]
    jobs = [movers[n % 2].submit(one) for n, one in enumerate(files)]
    wait_for(lambda: all(len(mover.running()) == 4 for mover in movers))
    (root / "hold").unlink()
    assert {movers[0].ended(job)["job_state"] for job in jobs} == {"FINISHED"}
    assert set(map(tuple, (count.items() for count in notes(root).values()))) == {(("began", 1), ("ended", 1))}


def test_what_one_began_the_other_ends(start, shared, root, put):
    one, two = start(shared, "one"), start(shared, "two")
    (root / "hold").touch()
    jobs = [one.submit(file(put(f"davs://a.example/{n}"), f"davs://b.example/{n}")) for n in range(8)]
    wait_for(lambda: len(notes(root)) == 8)
    one.kill()
    (root / "hold").unlink()
    assert {two.ended(job)["job_state"] for job in jobs} == {"FINISHED"}
    assert {count["ended"] for count in notes(root).values()} == {1}


def test_one_that_slept_lets_go_of_what_is_not_its_own_any_more(start, shared, root, put):
    one = start(shared, "one")
    (root / "hold").touch()
    job = one.submit(file(put("davs://a.example/x"), "davs://b.example/x"))
    wait_for(lambda: notes(root)["x"]["began"] == 1)
    os.killpg(one.process.pid, signal.SIGSTOP)
    two = start(shared, "two")
    wait_for(lambda: notes(root)["x"]["began"] == 2)
    os.killpg(one.process.pid, signal.SIGCONT)
    wait_for(lambda: one.running() == [])
    (root / "hold").unlink()
    assert two.ended(job)["job_state"] == "FINISHED"
    assert notes(root)["x"] == {"began": 2, "ended": 1}


def test_the_other_is_told_of_a_cancel(start, shared, root, put):
    one = start(shared, "one")
    (root / "hold").touch()
    job = one.submit(file(put("davs://a.example/x"), "davs://b.example/x"))
    wait_for((root / "notes").exists)
    two = start(shared, "two")
    assert two.ask("DELETE", f"/jobs/{job}").json()["job_state"] == "CANCELED"
    wait_for(lambda: one.running() == [])
    assert notes(root)["x"] == {"began": 1}


def test_a_database_that_goes_away_and_comes_back(start, shared, root, put):
    import psycopg  # noqa: PLC0415 - an extra

    mover = start(shared)
    (root / "hold").touch()
    job = mover.submit(*(file(put(f"davs://a.example/{n}"), f"davs://b.example/{n}") for n in range(FILES)))
    wait_for(lambda: len(notes(root)) == 4)
    with psycopg.connect(shared["database"], autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    (root / "hold").unlink()
    wait_for(lambda: mover.ask("GET", f"/jobs/{job}").status_code == 200)
    assert mover.ended(job)["job_state"] == "FINISHED"
    assert {count["ended"] for count in notes(root).values()} == {1}


def test_no_file_of_sqlite_is_made(start, shared, tmp_path):
    start(shared)
    assert not list(tmp_path.glob("*.db*"))
