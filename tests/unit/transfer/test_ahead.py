"""A file is read on while what came of it is sent, and either side can fail, or be stopped."""

from __future__ import annotations

import contextlib
import io
import random
import socket
import threading

import pytest

from rucio_cs3 import deadline
from rucio_cs3.errors import Cs3Error, Stopped
from rucio_cs3.gateway import Fault, Gateway
from rucio_cs3.model import Ref
from rucio_cs3.transfer.ahead import BLOCKS, Ahead
from rucio_cs3.transfer.ends import Remote
from rucio_cs3.transfer.local import BLOCK
from rucio_cs3.transfer.reading import Reading, SourceFailed

PATIENCE = 60
CONTENT = random.Random(3).randbytes(6 * BLOCK + 17)


class Numbers:
    """Gives blocks that are all of one number, as many as there are, and then fails."""

    def __init__(self, count):
        self.given = threading.Semaphore(0)
        self._numbers = iter(range(count))

    def read(self, view):
        number = next(self._numbers, None)
        if number is None:
            raise Cs3Error("no more")
        view[:] = bytes([number]) * len(view)
        self.given.release()
        return len(view)


@contextlib.contextmanager
def ahead(read, size):
    found = Ahead(read, size)
    try:
        yield found
    finally:
        found.end()


def test_it_reads_on_while_a_block_is_held():
    numbers = Numbers(BLOCKS)
    with ahead(numbers.read, BLOCKS * BLOCK) as found:
        held = found.take(BLOCK)
        for _ in range(BLOCKS):
            assert numbers.given.acquire(timeout=PATIENCE)
        assert bytes(held) == bytes(BLOCK)


def test_blocks_are_used_again_and_no_more_of_them_are_made():
    count = 4 * BLOCKS
    with ahead(Numbers(count).read, count * BLOCK) as found:
        places = set()
        for number in range(count):
            block = found.take(BLOCK)
            assert bytes(block) == bytes([number]) * BLOCK
            places.add(id(block.obj))
    assert len(places) <= BLOCKS


def test_what_came_before_a_failure_is_given_out_first():
    with ahead(Numbers(2).read, 5 * BLOCK) as found:
        assert [found.take(BLOCK)[0] for _ in range(2)] == [0, 1]
        for _ in range(2):
            with pytest.raises(Cs3Error, match="no more"):
                found.take(BLOCK)


def test_pieces_of_blocks_come_in_order():
    content = random.Random(1).randbytes(5001)
    source = io.BytesIO(content)
    with ahead(lambda view: source.readinto(view[:1000]), len(content)) as found:
        pieces = []
        while len(b"".join(pieces)) < len(content):
            pieces.append(bytes(found.take(300)))
    assert b"".join(pieces) == content


@pytest.mark.parametrize("by", ["itself", "another"])
def test_whoever_waits_for_bytes_is_woken(by):
    """By the end of it, and by a Stop around it."""
    here, there = socket.socketpair()
    waits, stop = threading.Event(), deadline.Stop()

    def read(view):
        with deadline.breaks_off(here):
            waits.set()
            count = here.recv_into(view)
        deadline.check()
        return count

    with here, there, stop.scope():
        found = Ahead(read, BLOCK)
        assert waits.wait(PATIENCE)
        if by == "another":
            threading.Thread(target=stop.now).start()
            with pytest.raises(Stopped):
                found.take(BLOCK)
        found.end()
        assert not found._thread.is_alive()


@pytest.fixture
def sites(tmp_path, login):
    """Two, of which the first has a file."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("near", "far"):
            (tmp_path / name).mkdir()
            gateway = stack.enter_context(Gateway(tmp_path / name))
            found.append((gateway, login(gateway, stall_timeout=2.0, chunk_size=300_000)))
        (tmp_path / "f").write_bytes(CONTENT)
        found[0][1].upload(tmp_path / "f", "/f")
        yield found


def sent(sites, path="/f"):
    near, far = (client for _, client in sites)
    with Reading(Remote(near, "/f")) as file:
        file.send(Remote(far, path, root=Ref("/")), overwrite=False)
    with far.open_read(path) as file:
        return file.read()


@pytest.mark.parametrize("protocol", ["simple", "tus"])
def test_what_arrives_is_what_was_read(sites, protocol, monkeypatch):
    client = sites[1][1]
    monkeypatch.setattr(client._uploads, "config", client.config.but(upload_protocol=protocol))
    assert sent(sites) == CONTENT


@pytest.mark.parametrize("after", [BLOCK // 2, 3 * BLOCK, len(CONTENT) - 1])
def test_a_target_that_fails_gets_it_all_again(sites, after):
    sites[1][0].faults.add(Fault(on="http:PUT", kind="reset", after=after, times=1))
    assert sent(sites) == CONTENT


@pytest.mark.parametrize("after", [BLOCK, 3 * BLOCK, len(CONTENT) - 1])
def test_a_source_that_is_cut_is_gone_on_with(sites, after):
    sites[0][0].faults.add(Fault(on="http:GET", kind="cut", after=after, times=1))
    assert sent(sites) == CONTENT


def test_a_source_that_goes_away_for_good_is_told_apart(sites):
    near = sites[0][0]
    near.faults.add(Fault(on="http:GET", kind="cut", after=3 * BLOCK))
    with pytest.raises(SourceFailed):
        sent(sites)
    assert [info.name for info in sites[1][1].files.list("/")] == []
    assert not [thread for thread in threading.enumerate() if thread.name == "rucio-cs3-ahead"]
