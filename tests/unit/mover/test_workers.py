"""The threads that copy, when what they stand on gives way."""

from __future__ import annotations

import json
import threading

import pytest

from rucio_cs3 import deadline
from rucio_cs3.mover import jobs, workers
from rucio_cs3.mover.claims import Claims, Places
from rucio_cs3.mover.database import Database
from rucio_cs3.mover.flow import Flow
from rucio_cs3.mover.metrics import Metrics
from rucio_cs3.mover.model import Done, Failed, Side
from rucio_cs3.mover.queue import Queue
from rucio_cs3.mover.workers import Workers
from tests.unit.mover.conftest import file, wait_for


class Site:
    """Copies wait until they may go on."""

    def __init__(self):
        self.held = threading.Event()
        self.began = []
        self.now = self.most = 0
        self.failure = None

    def copy(self, wanted, progress):
        self.began.append(wanted.target.url)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            while not self.held.is_set():
                deadline.sleep(0.01)
        finally:
            self.now -= 1
        if self.failure:
            raise self.failure
        return Done(wanted.sources[0].url, 1, {}, "streamed")


class Here:
    def __init__(self, url, monkeypatch):
        monkeypatch.setattr(workers, "LOOK", 0.05)
        self.database = Database(url)
        self.queue = Queue(self.database)
        self.claims = Claims(self.database, "here", Places(), lease=0.4)
        self.site = Site()
        self.workers = Workers(
            self.claims, self.site.copy, 2, Metrics(dict, float), Flow(self.database, "here"), lambda: False
        )

    def submit(self, *names):
        files = [file(f"davs://a/{name}", f"davs://b/{name}") for name in names]
        job = self.queue.submit(jobs.parse(json.dumps({"files": files}).encode()), "vo", "caller")
        self.workers.tell()
        return job

    def states(self, job):
        return [row["state"] for row in self.queue.files([job])[job]]

    def is_over(self, job):
        return set(self.states(job)) <= {"FINISHED", "FAILED", "CANCELED"}

    def row(self, job):
        return self.queue.files([job])[job][0]

    def close(self):
        self.site.held.set()
        self.workers.close()
        self.database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def here(request, tmp_path, monkeypatch):
    is_file = request.param == "sqlite"
    here = Here(
        str(tmp_path / "mover.db") if is_file else request.getfixturevalue("empty_postgresql"),
        monkeypatch,
    )
    yield here
    here.close()


def test_what_was_given_to_us_in_an_answer_that_got_lost_is_not_ours_for_ever(here):
    here.site.held.set()
    job = here.submit("x")
    assert len(here.claims.take(1)) == 1  # it was committed, and nobody learns of it
    here.workers.start()
    wait_for(lambda: here.is_over(job), 10)
    assert here.states(job) == ["FINISHED"]


def test_no_thread_for_a_copy_is_not_the_end(here, monkeypatch):
    start = threading.Thread.start
    refused = []

    def sometimes(thread):
        if thread.name.startswith("mover-copy") and len(refused) < 3:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", sometimes)
    here.site.held.set()
    here.workers.start()
    job = here.submit("x", "y")
    wait_for(lambda: here.is_over(job), 10)
    assert (here.states(job), here.workers.running()) == (["FINISHED"] * 2, [])


def test_what_is_ours_again_is_not_copied_twice_at_the_same_time(here):
    job = here.submit("x")
    here.workers.start()
    wait_for(lambda: here.site.began)
    taken = "UPDATE files SET state = 'SUBMITTED', worker = NULL, lease = NULL"
    here.database.write(lambda session: session.run(taken))
    here.workers.tell()
    wait_for(lambda: here.states(job) == ["ACTIVE"])
    wait_for(lambda: here.row(job)["lease"] is not None)
    threading.Event().wait(0.3)
    here.site.held.set()
    wait_for(lambda: here.is_over(job))
    assert here.states(job) == ["FINISHED"]
    assert here.site.most == 1
    wait_for(lambda: not here.workers.running())


NO_TEXT = {"nul": "a\0b", "surrogate": "a\udcffb", "endless": "x" * 100_000, "control": "a\x1b[2Jb"}


@pytest.mark.parametrize("said", NO_TEXT.values(), ids=NO_TEXT)
def test_whatever_a_site_says_can_be_told(here, said):
    here.site.failure = Failed(Side.TARGET, f"DESTINATION [5] {said}", again=False)
    here.site.held.set()
    here.workers.start()
    job = here.submit("x")
    wait_for(lambda: here.is_over(job), 10)
    reason = here.row(job)["reason"]
    assert reason.startswith("DESTINATION [5] ")
    assert reason.isprintable()
    assert len(reason) <= 2048  # as much as FTS3 tells; Rucio has room for 4000 with words of its own
