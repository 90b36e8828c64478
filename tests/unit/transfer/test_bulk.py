"""Many files at once, with what goes wrong among them, on the embedded gateway."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter

import pytest

from rucio_cs3 import Cs3Client, deadline
from rucio_cs3.errors import (
    AlreadyExists,
    InvalidName,
    InvalidRequest,
    IsDirectory,
    LocalSourceMissing,
    NotFound,
    PermissionDenied,
    Stopped,
    Unsupported,
)
from rucio_cs3.gateway import Fault, Gateway
from rucio_cs3.model import Ref
from rucio_cs3.transfer import bulk
from rucio_cs3.transfer.crew import AHEAD, GIVEN_UP, NOT_BEGUN, Run, Skip
from rucio_cs3.transfer.ends import Local, Remote
from rucio_cs3.transfer.journal import Journal

MIB = 1 << 20
ADLER32 = "00620062"  # of b"a"


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "site").mkdir()
    with Gateway(tmp_path / "site") as gateway:
        yield gateway


@pytest.fixture
def client(gateway):
    login = {"username": "einstein", "password": "relativity"}
    with Cs3Client(gateway=gateway.address, tls=False, retries=1, **login) as client:
        yield client


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def make(folder, names, size=3):
    for name in names:
        (folder / name).write_bytes(name.encode().ljust(size, b"."))
    return [(folder / name, f"/up/{name}") for name in names]


def all_of(run):
    with run:
        return list(run)


def outcomes(results):
    return Counter(result.outcome for result in results)


def left_behind(gateway):
    return [path for path in gateway.root.rglob("*.part") if ".cs3-gateway" not in path.parts]


def test_up_and_down(gateway, client, folder, tmp_path):
    pairs = make(folder, [f"f{n}" for n in range(40)])
    sent = all_of(bulk.upload(client, pairs))
    assert outcomes(sent) == {"done": 40}
    assert {result.size for result in sent} == {3}
    assert {str(result.item.target) for result in sent} == {target for _, target in pairs}
    got = all_of(bulk.download(client, [(target, tmp_path / "back" / path.name) for path, target in pairs]))
    assert outcomes(got) == {"done": 40}
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == {
        path.name: path.read_bytes() for path, _ in pairs
    }


def test_round_trips_of_a_small_file(gateway, client, folder):
    """The folder is made once, however many want it at once."""
    pairs = make(folder, [f"f{n}" for n in range(40)])
    all_of(bulk.upload(client, pairs))
    counted = Counter(call.method for call in gateway.calls)
    assert counted["CreateContainer"] == 1
    assert counted["Authenticate"] == 1
    del counted["CreateContainer"], counted["Authenticate"]
    assert counted == {"Stat": 3 * 40, "InitiateFileUpload": 40, "PUT": 40, "Move": 40}


def test_into_a_folder_beside_which_nothing_may_be_made(client, gateway, folder):
    """Some storages look at the right before the name."""
    (gateway.root / "up").mkdir()
    gateway.faults.add(Fault("grpc:CreateContainer", "status", status="PERMISSION_DENIED"))
    assert outcomes(all_of(bulk.upload(client, make(folder, ["a", "b"])))) == {"done": 2}
    assert outcomes(all_of(bulk.upload(client, [(folder / "a", "/new/a")]))) == {"failed": 1}
    with pytest.raises(PermissionDenied):
        client.files.mkdir("/new", exist_ok=True)
    assert outcomes(all_of(bulk.upload(client, [(folder / "a", "/up/deep/a")], root=Ref("/")))) == {"failed": 1}
    client.folders.forget(Ref("/up/deep"))
    assert outcomes(all_of(bulk.upload(client, [(folder / "a", "/up/c")], root=Ref("/")))) == {"done": 1}


def test_each_failure_is_its_own(client, gateway, folder):
    gateway.faults.add(Fault("http:PUT", "status", path="/up/*", status="403", times=1))
    missing = folder / "missing"
    results = all_of(bulk.upload(client, [*make(folder, ["a", "b"]), (missing, "/up/c"), (folder / "a", "relative")]))
    kinds = Counter(type(result.error) for result in results)
    assert kinds == {PermissionDenied: 1, type(None): 1, LocalSourceMissing: 1, InvalidName: 1}
    assert not left_behind(gateway)


def test_nothing_is_overwritten_unless_told(client, gateway, folder):
    (gateway.root / "up").mkdir()
    (gateway.root / "up" / "a").write_bytes(b"theirs")
    (folder / "b").write_bytes(b"mine")
    [up] = all_of(bulk.upload(client, make(folder, ["a"])))
    [down] = all_of(bulk.download(client, [("/up/a", folder / "b")]))
    assert (type(up.error), type(down.error)) == (AlreadyExists, AlreadyExists)
    assert ((gateway.root / "up" / "a").read_bytes(), (folder / "b").read_bytes()) == (b"theirs", b"mine")
    assert outcomes(all_of(bulk.download(client, [("/up/a", folder / "b")], overwrite=True))) == {"done": 1}
    assert (folder / "b").read_bytes() == b"theirs"


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_one_run_do_not_replace_each_other(client, gateway, folder, tmp_path, overwrite):
    pairs = make(folder, ["a", "b"])
    up = all_of(bulk.upload(client, [(path, "/up/same") for path, _ in pairs], overwrite=overwrite))
    assert (gateway.root / "up" / "same").read_bytes() == b"a.."
    all_of(bulk.upload(client, pairs))
    names = (tmp_path / "got" / "same", tmp_path / "got" / "." / "same")
    down = all_of(
        bulk.download(client, [(target, name) for (_, target), name in zip(pairs, names)], overwrite=overwrite)
    )
    assert (tmp_path / "got" / "same").read_bytes() == b"a.."
    for results in (up, down):
        assert outcomes(results) == {"done": 1, "failed": 1}
        assert {type(result.error) for result in results} == {type(None), AlreadyExists}


def test_stat_delete_checksum(client, gateway):
    for name in "abc":
        (gateway.root / name).write_bytes(b"a")
    (gateway.root / "d" / "e").mkdir(parents=True)
    found = {result.item: result for result in all_of(bulk.stat(client, ["/a", "/b", "/missing"]))}
    assert found["/a"].value.size == 1
    assert isinstance(found["/missing"].error, NotFound)
    [told] = all_of(bulk.checksum(client, ["/a"]))
    assert isinstance(told.error, Unsupported)  # reva-local tells none
    [read] = all_of(bulk.checksum(client, ["/a"], read=True))
    assert read.value == {"adler32": ADLER32}
    [folder] = all_of(bulk.delete(client, ["/d"]))
    assert isinstance(folder.error, IsDirectory)
    assert outcomes(all_of(bulk.delete(client, ["/a", "/b", "/d"], recursive=True))) == {"done": 3}
    assert {path.name for path in gateway.root.iterdir() if not path.name.startswith(".")} == {"c"}


def test_a_root_is_not_deleted(client):
    for target in ("/", client.files.stat("/")):
        [result] = all_of(bulk.delete(client, [target], recursive=True))
        assert isinstance(result.error, InvalidRequest)


def test_from_site_to_site(client, gateway, folder, tmp_path):
    (tmp_path / "other").mkdir()
    (gateway.root / "big").write_bytes(bytes(range(256)) * 20_000)
    with Gateway(tmp_path / "other", "reva-ceph") as there:
        login = {"username": "einstein", "password": "relativity"}
        with Cs3Client(gateway=there.address, tls=False, **login) as other:
            pair = bulk.Copy(Remote(client, "/big"), Remote(other, "/x/big"))
            [result] = all_of(bulk.copy([pair]))
        assert (result.outcome, result.size) == ("done", 256 * 20_000)
        assert (there.root / "x" / "big").read_bytes() == (gateway.root / "big").read_bytes()


# The crew


def test_items_are_taken_as_threads_get_free():
    taken, release = [], threading.Event()

    def items():
        for number in itertools.count():
            taken.append(number)
            yield number

    with Run(items(), lambda *_: release.wait(60), jobs=3) as run:
        release.set()
        next(run)
        assert len(taken) <= 3 * AHEAD + 1
        for _ in range(100):
            next(run)
        assert len(taken) <= 101 + 3 * AHEAD


def test_no_more_at_once_than_told():
    at_once, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4)

    def work(item, _):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait(60)  # so that there really are four at once
        with lock:
            at_once -= 1

    assert outcomes(all_of(Run(range(40), work, jobs=4))) == {"done": 40}
    assert most == 4


def test_slow_items_do_not_keep_results_back():
    seen = threading.Event()

    def items():
        yield 1
        yield 2
        assert seen.wait(60), "the first result was kept back until all items were there"
        yield 3

    with Run(items(), lambda item, _: item) as run:
        assert next(run).outcome == "done"
        seen.set()
        assert len(list(run)) == 2


def test_what_is_skipped_says_why():
    def work(*_):
        raise Skip("no need")

    [result] = all_of(Run([1], work))
    assert (result.outcome, result.note) == ("skipped", "no need")


def test_a_mistake_in_the_program_is_raised():
    with pytest.raises(ZeroDivisionError), Run([0], lambda item, _: 1 / item) as run:
        list(run)


def test_the_deadline_of_who_runs_it_holds_for_the_threads():
    with deadline.within(50), Run([1], lambda *_: deadline.at_most(100)) as run:
        assert next(run).value <= 50


def test_progress_counts_each_byte_once(client, gateway, folder):
    seen = []
    gateway.faults.add(Fault("http:PUT", "cut", after=100_000, times=1))
    pairs = make(folder, ["a", "b", "c"], size=2 * MIB)
    run = bulk.upload(client, pairs, progress=lambda totals: seen.append(totals.bytes_done))
    assert outcomes(all_of(run)) == {"done": 3}
    totals = run.totals
    assert (totals.found, totals.done, totals.failed, totals.bytes_done) == (3, 3, 0, 6 * MIB)
    assert seen[-1] == 6 * MIB


# Stopping


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)  # what another thread has got to has no event to wait for


@pytest.fixture
def patient(monkeypatch):
    """Who is stopped has all the time that a loaded machine needs, so that giving up is not what ends a test."""
    monkeypatch.setattr("rucio_cs3.transfer.crew.GRACE", 60)


@pytest.mark.parametrize(
    "fault", [Fault("http:PUT", "stall", after=MIB), Fault("http:PUT", "slow", rate=1000), Fault("http:PUT", "stall")]
)
def test_an_upload_that_is_stopped_leaves_nothing_under_its_name(client, gateway, folder, fault, patient):
    gateway.faults.add(fault)
    started = threading.Event()
    pairs = make(folder, ["a", "b", "c", "d"], size=8 * MIB)
    with bulk.upload(client, pairs, jobs=2, progress=lambda _: started.set()) as run:
        run._feed()
        assert started.wait(60)
        results = run.stop()
    assert outcomes(results) == {"stopped": 4}
    assert all(isinstance(result.error, Stopped) for result in results)
    assert Counter(result.note for result in results) == {"": 2, NOT_BEGUN: 2}
    gateway.faults.clear()
    # a server that was asleep commits what it got when it wakes up, and nobody is there any more to remove it
    assert [entry.name for entry in client.files.list("/up") if not entry.name.endswith(".part")] == []


def test_a_download_that_is_stopped_leaves_nothing(client, gateway, tmp_path, patient):
    (gateway.root / "f").write_bytes(bytes(8 * MIB))
    gateway.faults.add(Fault("http:GET", "stall", after=3 * MIB, seconds=600))
    with bulk.download(client, [("/f", tmp_path / "got" / "f")]) as run:
        run._feed()
        until(lambda: run.totals.bytes_done == 3 * MIB and run._stop._connections)  # it waits for more
        assert [result.note for result in run.stop()] == [""]
    assert list((tmp_path / "got").iterdir()) == []


def test_a_silent_gateway_is_not_waited_for(client, gateway, monkeypatch):
    monkeypatch.setattr("rucio_cs3.transfer.crew.GRACE", 0.1)
    gateway.faults.add(Fault("grpc:Stat", "stall"))
    with bulk.stat(client, ["/a", "/b"], jobs=2) as run:
        run._feed()
        until(lambda: sum(call.method == "Stat" for call in gateway.calls) == 2)
        results = run.stop()
    assert [(result.outcome, result.note) for result in results] == [("stopped", GIVEN_UP)] * 2


def test_a_pause_between_attempts_ends_too():
    stop, began = deadline.Stop(), threading.Event()
    ended = []

    def pausing():
        with stop.scope():
            began.set()
            try:
                deadline.sleep(3600)
            except Stopped as error:
                ended.append(error)

    thread = threading.Thread(target=pausing)
    thread.start()
    began.wait(60)
    stop.now()
    thread.join(60)
    assert ended


def test_tidying_up_is_not_stopped():
    stop = deadline.Stop()
    stop.now()
    with stop.scope():
        with deadline.apart():
            deadline.check()
        with pytest.raises(Stopped):
            deadline.check()


# The journal


@pytest.fixture
def journaled(client, tmp_path):
    def start(pairs, **options):
        with Journal(str(tmp_path / "journal"), "job") as journal:
            return all_of(bulk.upload(client, pairs, journal=journal, **options))

    return start


def puts(gateway):
    return sum(call.method == "PUT" for call in gateway.calls)


def test_what_is_done_is_not_done_again(journaled, gateway, folder):
    pairs = make(folder, ["a", "b", "c"])
    gateway.faults.add(Fault("http:PUT", "status", status="403", times=1))
    assert outcomes(journaled(pairs)) == {"done": 2, "failed": 1}
    gateway.calls.clear()
    assert outcomes(journaled(pairs)) == {"done": 1, "skipped": 2}
    assert puts(gateway) == 1
    gateway.calls.clear()
    assert outcomes(journaled(pairs, check=False)) == {"skipped": 3}
    assert len(gateway.calls) == 0


def test_a_source_that_changed_or_a_target_that_went_is_done_again(journaled, gateway, folder):
    pairs = make(folder, ["a", "b", "c"])
    journaled(pairs)
    (folder / "a").write_bytes(b"another")
    (gateway.root / "up" / "b").unlink()
    assert outcomes(journaled(pairs, overwrite=True)) == {"done": 2, "skipped": 1}
    assert (gateway.root / "up" / "a").read_bytes() == b"another"


def test_another_file_of_the_same_size_is_not_taken_for_the_one_that_was_copied(journaled, gateway, folder):
    pairs = make(folder, ["a", "b"])
    journaled(pairs)
    (gateway.root / "up" / "a").write_bytes(b"xyz")
    os.utime(gateway.root / "up" / "a", (10**9, 10**9))  # this storage tells seconds
    results = {str(result.item.target): result for result in journaled(pairs)}
    assert isinstance(results["/up/a"].error, AlreadyExists)
    assert results["/up/b"].outcome == "skipped"
    assert outcomes(journaled(pairs, overwrite=True)) == {"done": 1, "skipped": 1}


def test_where_only_the_size_was_noted_the_content_is_compared(client, gateway, folder, journaled):
    client.config = client._uploads.proof._config = client.config.but(verify="none")
    pairs = make(folder, ["a", "b"])
    journaled(pairs)
    (gateway.root / "up" / "a").write_bytes(b"xyz")
    gateway.calls.clear()
    assert outcomes(journaled(pairs, overwrite=True)) == {"done": 1, "skipped": 1}
    assert puts(gateway) == 1


def test_what_was_done_and_not_written_is_looked_at(journaled, client, gateway, folder):
    """As after a kill between the two. The same content is taken as done, any other is somebody else's."""
    pairs = make(folder, ["same", "other"])
    all_of(bulk.upload(client, pairs))
    (gateway.root / "up" / "other").write_bytes(b"OTHER")
    results = {str(result.item.target): result for result in journaled(pairs)}
    assert results["/up/same"].note == "it is there already, and the same"
    assert isinstance(results["/up/other"].error, AlreadyExists)
    assert (gateway.root / "up" / "other").read_bytes() == b"OTHER"
    gateway.calls.clear()
    assert outcomes(journaled(pairs[:1])) == {"skipped": 1}
    assert [call.method for call in gateway.calls if call.door == "http"] == []


def test_downloads_have_a_journal_too(client, gateway, tmp_path):
    for name in "ab":
        (gateway.root / name).write_bytes(b"12345")
    pairs = [(Ref(f"/{name}"), tmp_path / "got" / name) for name in "ab"]

    def again():
        with Journal(str(tmp_path / "journal"), "down") as journal:
            return outcomes(all_of(bulk.download(client, pairs, journal=journal)))

    assert again() == {"done": 2}
    assert again() == {"skipped": 2}
    (tmp_path / "got" / "a").unlink()
    assert again() == {"done": 1, "skipped": 1}


def test_a_download_with_a_journal_leaves_what_it_has_to_the_next_run(client, gateway, tmp_path):
    client.config = client._downloads.config = client.config.but(retries=0)
    (gateway.root / "f").write_bytes(b"a" * 4 * MIB)
    gateway.faults.add(Fault("http:GET", "cut", after=3 * MIB, times=1))
    job = [("/f", tmp_path / "got" / "f")]
    with Journal(str(tmp_path / "journal"), "down") as journal:
        assert outcomes(all_of(bulk.download(client, job, journal=journal))) == {"failed": 1}
        assert sorted(path.name for path in (tmp_path / "got").iterdir()) == [
            ".f.rucio-cs3.part",
            ".f.rucio-cs3.part.json",
        ]
        assert outcomes(all_of(bulk.download(client, job, journal=journal))) == {"done": 1}
    assert {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()} == {"f": b"a" * 4 * MIB}


def test_ends_say_what_they_are(client):
    assert str(Local("/a")) == "/a"
    assert str(Remote(client, "/x", "y")) == "/x/y"
    assert str(Remote(client, "/x", "y", label="RSE:y")) == "RSE:y"
