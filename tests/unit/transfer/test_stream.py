"""File objects on a data server that honours ranges, or does not."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rucio_cs3.errors import Interrupted
from rucio_cs3.model import Ref
from rucio_cs3.transfer.stream import BUFFER, reader
from tests.unit.transfer.liar import Liar, Site, cut, refuses_ranges, says

CONTENT = random.Random(1).randbytes(3 * BUFFER + 17)


@pytest.fixture(scope="module")
def shared_site():
    liar = Liar(CONTENT)
    site = Site(liar)
    yield site
    site.servers.close()
    liar.stop()


@contextlib.contextmanager
def opened(site):
    with reader(Ref("/f"), site.downloads, site.servers).detach() as file:
        yield file


def read(file, size):
    buffer = bytearray(size)
    return bytes(buffer[: file.readinto(buffer)])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) + 5), st.integers(0, 2 * BUFFER)), max_size=5))
def test_any_offset_gives_the_bytes_there(shared_site, steps):
    with opened(shared_site) as file:
        for offset, size in steps:
            file.seek(offset)
            found = read(file, size)
            assert found == CONTENT[offset : offset + len(found)]
            assert found or size == 0 or offset >= len(CONTENT)


def test_a_far_seek_asks_for_a_range_and_a_near_one_reads_on(site, liar):
    with opened(site) as file:
        assert read(file, 10) == CONTENT[:10]
        file.seek(1000)
        assert read(file, 10) == CONTENT[1000:1010]
        file.seek(2 * BUFFER + 5)
        assert read(file, 10) == CONTENT[2 * BUFFER + 5 :][:10]
    assert liar.starts == [None, 2 * BUFFER + 5]


def test_a_server_without_ranges_is_asked_for_one_once(site, liar):
    """Then it is read on from where it stands, and from the beginning when that lies behind."""
    liar.always = refuses_ranges
    far = 2 * BUFFER + 5
    for asked in ([None, far, None, None], [None, None]):
        liar.requests.clear()
        with opened(site) as file:
            for offset in (0, far, 3 * BUFFER, 7):
                file.seek(offset)
                assert read(file, 10) == CONTENT[offset : offset + 10]
        assert liar.starts == asked


@pytest.mark.parametrize("lie", [cut(BUFFER + 5), cut(0, "reset"), says(503), says(401)])
@pytest.mark.parametrize("serves_ranges", [True, False])
def test_it_is_read_on_after_a_failure(site, liar, lie, serves_ranges):
    liar.lies = [lie]
    liar.always = (lambda reply: reply) if serves_ranges else refuses_ranges
    with reader(Ref("/f"), site.downloads, site.servers) as file:
        assert file.read() == CONTENT


def test_downloads_and_file_objects_remember_together(site, liar, tmp_path):
    liar.always = refuses_ranges
    with opened(site) as file:
        file.seek(BUFFER)
        read(file, 10)
    liar.requests.clear()
    liar.lies = [lambda reply: reply.but(sent=BUFFER, end="close")]
    site.downloads.to_path("/f", str(tmp_path / "f"))
    assert liar.starts == [None, None]


def test_ranges_of_two_versions_do_not_make_a_file(site, liar):
    with opened(site) as file:
        read(file, 10)
        liar.etag = '"2"'
        for _ in range(2):
            file.seek(2 * BUFFER)
            with pytest.raises(Interrupted, match="was replaced"):
                read(file, 10)


def test_nothing_is_asked_for_beyond_the_end(site, liar):
    with opened(site) as file:
        file.seek(len(CONTENT))
        assert read(file, 10) == b""
    assert liar.requests == []


def test_what_came_before_a_cut_is_given_out_first(site, liar):
    liar.lies = [lambda reply: reply.but(sent=1000, end="close")]
    with opened(site) as file:
        assert read(file, 4000) == CONTENT[:1000]
        assert read(file, 4000) == CONTENT[1000:5000]
    assert liar.starts == [None, 1000]
