"""In which order files are taken, by how many, and what comes of them, on both databases."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rucio_cs3.errors import ConfigError
from rucio_cs3.mover import claims, jobs, queue, tables
from rucio_cs3.mover import database as databases
from rucio_cs3.mover.claims import Claims, Places
from rucio_cs3.mover.database import Database
from rucio_cs3.mover.model import Done
from rucio_cs3.mover.queue import Duplicate, Queue
from tests.unit.mover.conftest import drop_tables, file

NO_LIMIT = Places(10_000, 10_000)


class Kept:
    """A queue, and movers at it."""

    def __init__(self, url):
        self.database = Database(url)
        self.queue = Queue(self.database, retries=1)

    def mover(self, limits=NO_LIMIT, name="one", lease=60.0):
        return Claims(self.database, name, limits, lease)

    def submit(self, *files, vo="vo", **params):
        document = {"files": list(files), "params": params}
        return self.queue.submit(jobs.parse(json.dumps(document).encode()), vo, "caller")

    def job(self, job):
        return self.queue.jobs([job])[job]

    def file_states(self, job):
        return [row["state"] for row in self.queue.files([job])[job]]


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request, tmp_path):
    is_file = request.param == "sqlite"
    kept = Kept(str(tmp_path / "mover.db") if is_file else request.getfixturevalue("empty_postgresql"))
    yield kept
    kept.database.close()


def files(name, count, source="a", target="b"):
    return [file(f"davs://{source}/{name}-{n}", f"davs://{target}/{name}-{n}") for n in range(count)]


def names(claims):
    return [claim.wanted.target.url.rpartition("/")[2] for claim in claims]


def jobs_of(claims):
    return "".join(name.partition("-")[0] for name in names(claims))


def done(claim, size=1):
    return Done(claim.wanted.sources[0].url, size, {}, "streamed")


def test_a_large_job_does_not_keep_a_small_one_waiting(kept):
    kept.submit(*files("large", 50))
    mover = kept.mover()
    mover.take(10)
    kept.submit(*files("small", 3))
    assert [name.partition("-")[0] for name in names(mover.take(6))].count("small") == 3


def test_small_ones_do_not_keep_a_large_one_waiting(kept):
    kept.submit(*files("L", 20))
    mover, taken = kept.mover(), ""
    for n in range(20):
        kept.submit(*files(f"s{n}", 1))
        kept.submit(*files(f"t{n}", 1))
        taken += jobs_of(mover.take(2))
    assert taken.count("L") >= 5


def test_links_and_vos_take_turns(kept):
    kept.submit(*files("A", 20))
    kept.submit(*files("C", 2, source="c"))
    kept.submit(*files("V", 2), vo="other")
    assert sorted(jobs_of(kept.mover().take(6))) == sorted("ACV" * 2)


def test_priority_comes_first(kept):
    kept.submit(*files("low", 5), priority=1)
    job = kept.submit(*files("usual", 2))
    kept.submit(*files("high", 2, source="c"), priority=5)
    mover = kept.mover()
    assert {name.partition("-")[0] for name in names(mover.take(2))} == {"high"}
    kept.queue.prioritize([job], 1)
    assert {name.partition("-")[0] for name in names(mover.take(4))} == {"low", "usual"}


def test_limits(kept):
    kept.submit(*files("A", 9))
    kept.submit(*files("C", 9, source="c"))
    kept.submit(*files("D", 9, source="d", target="e"))
    limits = Places(site=5, link=3, sites=(("e", 2),))
    one, two = kept.mover(limits), kept.mover(limits, "two")
    taken = one.take(4) + two.take(50)
    assert sorted(jobs_of(taken)) == sorted("AAACCDD") or sorted(jobs_of(taken)) == sorted("AACCCDD")
    assert one.take(50) == []
    claim = next(claim for claim in taken if claim.target_site == "e")
    (one if claim in taken[:4] else two).finished(claim, done(claim))
    assert jobs_of(one.take(50)) == "D"


def test_nothing_is_taken_twice(kept):
    kept.submit(*files("A", 30))
    taken = [*names(kept.mover().take(15)), *names(kept.mover(name="two").take(30))]
    assert len(taken) == len(set(taken)) == 30


def test_a_dead_movers_files_are_anothers(kept):
    job = kept.submit(*files("A", 2))
    dead, two = kept.mover(lease=-1.0), kept.mover(name="two")
    [first, second] = dead.take(2)
    two.sweep()
    assert len(two.take(2)) == 2
    assert dead.renew([(0, first.id), (0, second.id)]) == set()
    assert not dead.finished(first, done(first))
    assert not dead.failed(second, "because", again=True)
    assert kept.file_states(job) == ["ACTIVE", "ACTIVE"]
    assert two.renew([(0, first.id), (0, second.id)]) == {first.id, second.id}


def test_who_takes_every_mover_with_him_is_left_alone_at_last(kept):
    job = kept.submit(*files("A", 1), retry=0)
    for _ in range(6):
        assert kept.file_states(job) == ["SUBMITTED"]
        assert len(kept.mover(lease=-1.0).take(1)) == 1
        kept.mover(name="two").sweep()
    assert kept.job(job)["state"] == "FAILED"
    assert kept.job(job)["reason"].startswith("TRANSFER [5] ")
    assert kept.mover().take(1) == []
    kept.submit(*files("A", 1))  # its place is free


def test_retries_end(kept):
    job = kept.submit(*files("A", 1), retry_delay=0)
    mover = kept.mover()
    [claim] = mover.take(1)
    assert mover.failed(claim, "because", again=True)
    assert kept.file_states(job) == ["WAITING"]
    kept.database.write(lambda session: session.run("UPDATE files SET not_before = 0"))
    [claim] = mover.take(1)
    assert not mover.failed(claim, "because of this", again=True)
    assert (kept.job(job)["state"], kept.job(job)["reason"]) == ("FAILED", "because of this")


def test_hops_come_one_after_another(kept):
    job = kept.submit(file("davs://a/x", "davs://b/x"), file("davs://b/x", "davs://c/x"), multihop=True)
    mover = kept.mover()
    [first] = mover.take(5)
    assert kept.file_states(job) == ["ACTIVE", "NOT_USED"]
    mover.finished(first, done(first))
    [second] = mover.take(5)
    assert second.wanted.target.url == "davs://c/x"
    mover.finished(second, done(second))
    assert kept.job(job)["state"] == "FINISHED"


def test_a_canceled_way_frees_its_places(kept):
    way = [file("davs://a/x", "davs://b/x"), file("davs://b/x", "davs://c/x")]
    job = kept.submit(*way, multihop=True)
    with pytest.raises(Duplicate):
        kept.submit(way[1])
    assert kept.queue.cancel([job]) == []
    assert kept.file_states(job) == ["CANCELED", "CANCELED"]
    kept.submit(*way, multihop=True)


def test_a_canceled_copys_place_is_free_when_its_mover_is_dead(kept):
    wanted = files("A", 1)
    job = kept.submit(*wanted)
    dead = kept.mover(lease=-1.0)
    [claim] = dead.take(1)
    assert kept.queue.cancel([job]) == [claim.id]
    with pytest.raises(Duplicate):
        kept.submit(*wanted)
    dead.sweep()
    kept.submit(*wanted)


def test_a_duplicate_leaves_nothing_behind(kept):
    kept.submit(*files("A", 1))
    with pytest.raises(Duplicate):
        kept.submit(*files("B", 3), *files("A", 1))
    assert len(kept.mover().take(10)) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("davs://b.example/d/x", "https://B.example:443//d/./x"),
        ("davs://b.example:0443/d/x y", "davs://b.example/d/x%20y"),
        ("dav://b.example/d/x", "http://b.example:80/d/%78"),
    ],
)
def test_another_way_to_write_it_is_a_duplicate(kept, one, other):
    one = one.replace(" ", "%20")
    kept.submit(file("davs://a/x", one))
    with pytest.raises(Duplicate):
        kept.submit(file("davs://a/x", other))
    with pytest.raises(jobs.BadJob, match="same destination"):
        kept.submit(file("davs://a/x", one), file("davs://a/y", other))


@pytest.mark.parametrize(
    "other", ["davs://b/%fe", "davs://b/%25ff", "davs://b/x/%ff", "dav://b:443/%ff", "davs://b:1/%ff"]
)
def test_another_file_is_none(kept, other):
    kept.submit(file("davs://a/x", "davs://b/%ff"), file("davs://a/x", other))


@pytest.mark.parametrize(
    ("change", "version"), [("UPDATE mover_queue SET version = 99", 99), ("DROP TABLE mover_queue", 1)]
)
def test_a_database_of_another_version_is_left_alone(kept, change, version):
    """What waits in it may mean something else here."""
    Database(kept.database._url).close()
    kept.database.write(lambda session: session.run(change))
    words = f"its tables are of version {version}, and these would be of version {tables.VERSION}; let that version"
    with pytest.raises(ConfigError, match=words):
        Database(kept.database._url)


def test_connections_that_broke_are_forgotten(empty_postgresql):
    database = Database(empty_postgresql)
    for _ in range(3):
        database._write.connection.close()
        database.write(lambda session: session.run("SELECT 1"))
    assert len(database._connections) == 1
    database.close()


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    """And one that went silent later: that is for the kernel to find out, who is told when."""
    monkeypatch.setitem(databases.PATIENCE, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(ConfigError, match="cannot use the mover's database"):
            Database(url)


def test_how_long_a_silent_server_is_waited_for(empty_postgresql):
    for more, expected in (("", "30000"), ("&tcp_user_timeout=5", "5")):
        database = Database(f"{empty_postgresql}{more}")
        assert database._write.connection.info.get_parameters()["tcp_user_timeout"] == expected
        database.close()


def test_a_cancel_while_the_end_is_told(empty_postgresql, monkeypatch):
    """Whoever comes first: the file ends once."""
    kept, other = Kept(empty_postgresql), Kept(empty_postgresql)
    try:
        job = kept.submit(*files("A", 2))
        mover = kept.mover()
        first, _ = mover.take(2)
        threads = []

        def end(*arguments):
            threads.append(threading.Thread(target=other.queue.cancel, args=([job],)))
            threads[0].start()
            threads[0].join(1.0)
            claims_end(*arguments)

        claims_end = claims.end
        monkeypatch.setattr(claims, "end", end)
        mover.finished(first, done(first))
        threads[0].join()
        row = kept.job(job)
        assert kept.file_states(job) == ["FINISHED", "CANCELED"]
        assert (row["unfinished"], row["finished"], row["canceled"]) == (0, 1, 1)
        assert row["state"] == "FINISHEDDIRTY"
    finally:
        kept.database.close()
        other.database.close()


def test_movers_that_begin_at_the_same_moment(postgresql):
    for _ in range(5):
        drop_tables(postgresql)
        with ThreadPoolExecutor(4) as pool:
            for database in pool.map(Database, [postgresql] * 4):
                database.close()


def test_a_frozen_mover_holds_up_the_others_for_a_while_only(empty_postgresql, monkeypatch):
    monkeypatch.setattr(databases, "FROZEN_SECONDS", 1)
    frozen, kept = Kept(empty_postgresql), Kept(empty_postgresql)
    thaw = threading.Event()

    def freeze(session):
        session.run(session.dialect.one_claims)
        thaw.wait(60)

    thread = threading.Thread(target=frozen.database.write, args=(freeze,))
    thread.start()
    kept.submit(*files("A", 1))
    began = time.monotonic()
    assert len(kept.mover().take(1)) == 1
    assert time.monotonic() - began < 30
    thaw.set()
    thread.join()
    frozen.database.close()
    kept.database.close()


def test_old_jobs_are_forgotten_a_few_at_a_time(kept):
    for n in range(45):
        kept.submit(*files(f"A{n}", 1))
    mover = kept.mover()
    for claim in mover.take(100):
        mover.finished(claim, done(claim))
    assert [kept.queue.forget(-60) for _ in range(3)] == [True, True, False]
    assert kept.database.read(lambda session: session.rows("SELECT id FROM files")) == []


def lanes(kept):
    return {row["source_site"] for row in kept.database.read(lambda session: session.rows("SELECT * FROM lanes"))}


def test_hosts_of_old_jobs_are_forgotten(kept):
    """Whoever submits jobs may name any."""
    for name in ("x.example", "y.example"):
        kept.submit(*files(name, 1, source=name))
    mover = kept.mover()
    [first, _] = mover.take(2)
    mover.finished(first, done(first))
    kept.queue.forget(-60)
    assert lanes(kept) == {"y.example"}
    kept.submit(*files("again", 1, source="x.example"))
    assert names(mover.take(2)) == ["again-0"]


def test_a_host_is_not_forgotten_while_somebody_submits_a_job_to_it(empty_postgresql, monkeypatch):
    kept, other = Kept(empty_postgresql), Kept(empty_postgresql)
    kept.submit(*files("A", 1))
    mover = kept.mover()
    [claim] = mover.take(1)
    mover.finished(claim, done(claim))
    found, go = threading.Event(), threading.Event()

    place = queue._Lanes.place

    def placed(*arguments):
        lane = place(*arguments)
        found.set()
        assert go.wait(30)
        return lane

    monkeypatch.setattr(queue._Lanes, "place", placed)
    with ThreadPoolExecutor() as threads:
        submitting = threads.submit(kept.submit, *files("B", 1))
        assert found.wait(30)
        other.queue.forget(-60)
        go.set()
        submitting.result()
    assert names(other.mover(name="two").take(1)) == ["B-0"]
    for each in (kept, other):
        each.database.close()


def test_tokens_go_with_the_claim_and_then_away(kept):
    tokens = {"source_tokens": ["s"], "destination_tokens": ["t"]}
    kept.submit({**files("A", 1)[0], **tokens})
    mover = kept.mover()
    [claim] = mover.take(1)
    assert (claim.wanted.sources[0].token, claim.wanted.target.token) == ("s", "t")
    assert "'s'" not in repr(claim)
    mover.finished(claim, done(claim))
    assert kept.database.read(lambda session: session.row("SELECT tokens FROM files"))["tokens"] is None
