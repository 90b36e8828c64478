"""Large files over long links: several connections, each part tried again on its own, one right file at the end."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import threading

import pytest

from rucio_cs3 import deadline, errors
from rucio_cs3.checksums import ALGORITHMS, Adler32
from rucio_cs3.transfer import parallel
from rucio_cs3.transfer.landing import Landing
from tests.unit.transfer.liar import MIB, cut, described, refuses_ranges, says

CONTENT = random.Random(3).randbytes(12 * MIB + 17)
PARTS = [number * MIB for number in range(13)]
PROBE = len(CONTENT) - 1


def go_far_away(liar, monkeypatch):
    """And have a file that is large by the measure of these tests."""
    monkeypatch.setattr(parallel, "WORTH", 4 * MIB)
    monkeypatch.setattr(parallel, "CHUNK", MIB)
    liar.content = CONTENT
    liar.delay = 0.02


@pytest.fixture
def liar(liar, monkeypatch):
    go_far_away(liar, monkeypatch)
    yield liar
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rucio-cs3-part")]


def fetched(site, path, **options):
    site.downloads.to_path("/f", str(path / "got"), **options)
    assert os.listdir(path) == ["got"]
    return (path / "got").read_bytes()


def test_a_long_link_is_shared(site, liar, tmp_path):
    assert fetched(site, tmp_path) == CONTENT
    assert liar.starts[:2] == [None, PROBE]
    assert sorted(liar.starts[2:]) == PARTS
    assert 1 < liar.busiest <= 4


def test_the_server_is_probed_once(site, liar, tmp_path):
    fetched(site, tmp_path)
    liar.requests.clear()
    assert fetched(site, tmp_path) == CONTENT
    assert liar.starts.count(PROBE) == 0


def test_a_short_link_is_not_shared(site, liar, tmp_path, monkeypatch):
    monkeypatch.setattr("rucio_cs3.transfer.ranges.FAR", 60.0)  # whatever else this machine is doing
    assert fetched(site, tmp_path) == CONTENT
    assert liar.starts == [None]


def test_one_quick_answer_shows_that_the_link_is_short(site, liar, tmp_path):
    site.servers.ranges.answered(liar.url, 0.001)
    assert fetched(site, tmp_path) == CONTENT
    assert liar.starts == [None]


def test_nothing_is_shared_when_not_wanted(site, liar, tmp_path):
    assert fetched(site.again(streams=1), tmp_path) == CONTENT
    assert liar.starts == [None]


def test_a_small_file_is_not_shared(site, liar, tmp_path):
    liar.content = CONTENT[: 3 * MIB]
    site.info = described(liar.content)
    assert fetched(site, tmp_path) == liar.content
    assert liar.starts == [None]


def test_a_server_without_ranges_is_probed_once(site, liar, tmp_path):
    liar.always = refuses_ranges
    for starts in ([None, PROBE], [None]):
        liar.requests.clear()
        assert fetched(site, tmp_path) == CONTENT
        assert liar.starts == starts


@pytest.mark.parametrize("algorithms", [["adler32"], ["sha1"], ["md5", "adler32"], []])
def test_every_checksum_is_right(site, liar, tmp_path, algorithms):
    known = {name: ALGORITHMS[name]() for name in algorithms}
    for checksum in known.values():
        checksum.update(CONTENT)
    right = {name: checksum.hexdigest() for name, checksum in known.items()}
    site.info = described(CONTENT, **(right or {"unknown": "0"}))
    assert fetched(site, tmp_path, checksums=right) == CONTENT
    assert sorted(liar.starts[2:]) == PARTS


@pytest.mark.parametrize("algorithm", ["adler32", "sha1"])
def test_a_wrong_byte_in_one_part_is_found(site, liar, tmp_path, algorithm):
    checksum = ALGORITHMS[algorithm]()
    checksum.update(CONTENT)
    site.info = described(CONTENT, **{algorithm: checksum.hexdigest()})
    liar.lies = [*[lambda reply: reply] * 5, lambda reply: reply.but(body=bytes(len(reply.body)))]
    assert fetched(site, tmp_path) == CONTENT
    assert liar.starts.count(None) == 2


def once(lie, start):
    """For one part, the first time."""
    told = []

    def answer(reply):
        if reply.headers.get("Content-Range", "").startswith(f"bytes {start}-") and not told:
            told.append(start)
            return lie(reply)
        return reply

    return answer


def test_a_part_that_is_cut_goes_on_alone(site, liar, tmp_path):
    liar.always = once(cut(1000), 5 * MIB)
    assert fetched(site, tmp_path) == CONTENT
    assert sorted(liar.starts[2:]) == sorted([*PARTS, 5 * MIB + 1000])


def test_a_part_that_goes_silent_goes_on_alone(site, liar, tmp_path):
    liar.always = once(cut(1000, "stall"), 5 * MIB)
    assert fetched(site.again(stall_timeout=1.0), tmp_path) == CONTENT
    assert 5 * MIB + 1000 in liar.starts


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        (says(403), errors.PermissionDenied),
        (says(500), errors.ServerError),
        (cut(0), errors.Interrupted),
        (says(425), errors.Processing),
    ],
    ids=["403", "500", "cut", "425"],
)
def test_one_part_that_fails_for_good_ends_all(site, liar, tmp_path, lie, kind):
    liar.always = lambda reply: lie(reply) if f"bytes {3 * MIB}-" in str(reply.headers) else reply
    with pytest.raises(kind):
        site.downloads.to_path("/f", str(tmp_path / "got"))
    assert os.listdir(tmp_path) == []


def one_is_silent_and_one_refused(reply):
    told = str(reply.headers)
    if f"bytes {3 * MIB}-" in told:
        return says(403)(reply)
    return reply.but(sent=10, end="stall") if f"bytes {MIB}-" in told else reply


def woken_when_another_part_fails_for_good(site, liar, folder):
    """Who waits for bytes."""
    liar.always = one_is_silent_and_one_refused
    with pytest.raises(errors.PermissionDenied):
        site.again(stall_timeout=600).downloads.to_path("/f", str(folder / "got"))
    return os.listdir(folder) == []


@pytest.mark.timeout(60)
def test_who_waits_for_bytes_is_woken_when_another_part_fails_for_good(site, liar, tmp_path):
    assert woken_when_another_part_fails_for_good(site, liar, tmp_path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("why", ["another fails for good", "somebody interrupts"])
def test_a_part_that_waits_to_be_tried_again_is_woken_too(site, liar, tmp_path, why):
    waiting = threading.Event()

    def answer(reply):
        told = reply.headers.get("Content-Range", "")
        if told.startswith(f"bytes {MIB}-"):
            waiting.set()
            return says(503, Retry_After="250")(reply)
        if told.startswith("bytes 0-"):
            assert waiting.wait(30)
            return reply if "interrupts" in why else says(403)(reply)
        return reply

    def interrupt(*_):
        if waiting.is_set() and "interrupts" in why:
            raise KeyboardInterrupt

    liar.always = answer
    with pytest.raises((errors.PermissionDenied, KeyboardInterrupt)):
        site.downloads.to_path("/f", str(tmp_path / "got"), progress=interrupt)
    assert os.listdir(tmp_path) == []


def test_parts_of_two_versions_do_not_make_a_file(site, liar, tmp_path):
    liar.always = once(lambda reply: reply.but(ETag='"2"'), 5 * MIB)
    assert fetched(site, tmp_path) == CONTENT
    assert liar.starts.count(None) == 2


def test_a_server_that_gives_up_ranges_on_the_way(site, liar, tmp_path):
    def answer(reply):
        return refuses_ranges(reply) if len(liar.requests) > 6 else reply

    liar.always = answer
    assert fetched(site, tmp_path) == CONTENT
    assert liar.starts[-1] is None


def test_an_open_file_gets_the_bytes_where_it_stands(site, liar, tmp_path):
    with open(tmp_path / "got", "w+b") as sink:
        sink.write(b"before")
        site.downloads.to_file("/f", sink)
        assert sink.tell() == 6 + len(CONTENT)
        sink.write(b"after")
    assert (tmp_path / "got").read_bytes() == b"before" + CONTENT + b"after"
    assert sorted(liar.starts[2:]) == PARTS


SINKS = {
    "appending": lambda place: place.open("ab"),
    "packing": lambda place: gzip.GzipFile(place, "wb"),
    "write-only": lambda place: place.open("wb"),
}


class Memory(io.BytesIO):
    """Kept when it is closed."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    def close(self):
        self.place.write_bytes(self.getvalue())
        super().close()


SINKS["in memory"] = Memory


@pytest.mark.parametrize("kind", SINKS)
def test_what_takes_bytes_only_in_order_gets_them_so(site, liar, tmp_path, kind):
    """A sha1 needs the bytes in order, so what was written has to be read again."""
    site.info = described(CONTENT, sha1=hashlib.sha1(CONTENT).hexdigest())
    with SINKS[kind](tmp_path / "got") as sink:
        site.downloads.to_file("/f", sink)
    read = gzip.open if kind == "packing" else open
    with read(tmp_path / "got", "rb") as file:
        assert file.read() == CONTENT
    assert liar.starts == [None]


def test_progress_is_told_in_order(site, liar, tmp_path):
    told = []
    fetched(site, tmp_path, progress=lambda *now: told.append(now))
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_an_interrupt_ends_all(site, liar, tmp_path):
    def interrupt(done, total):
        if done > 2 * MIB:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.downloads.to_path("/f", str(tmp_path / "got"), progress=interrupt)
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyboardInterrupt):
        site.downloads.to_path("/f", str(tmp_path / "got"), progress=interrupt, resume=True)
    assert fetched(site, tmp_path, resume=True) == CONTENT


def test_what_has_to_be_read_again_and_is_gone_is_an_error(tmp_path):
    with (tmp_path / "got").open("w+b", buffering=0) as sink:
        landing = Landing(sink, ["sha1"], None)
        landing.begin(described(CONTENT))
        with pytest.raises(errors.LocalTargetError, match="became shorter"):
            landing.absorb(Adler32(), MIB)


def test_the_deadline_holds_for_all(site, liar, tmp_path):
    liar.always = lambda reply: reply.but(sent=10, end="stall") if "bytes 1048576-" in str(reply.headers) else reply
    with deadline.within(1.0), pytest.raises(errors.DeadlineExceeded):
        site.downloads.to_path("/f", str(tmp_path / "got"))
    assert os.listdir(tmp_path) == []
