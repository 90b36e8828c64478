"""Downloads from a data server that breaks off, forgets, and lies: the right bytes, or a clear error and no file."""

from __future__ import annotations

import dataclasses
import io
import os
import random

import pytest

from rucio_cs3 import errors
from rucio_cs3.checksums import ALGORITHMS
from rucio_cs3.transfer import download
from rucio_cs3.transfer.ranges import origin_of
from tests.unit.transfer.liar import MIB, Reply, cut, described, refuses_ranges, says

K = MIB + 5  # where the first answer breaks off
OTHER = random.Random(2).randbytes(2 * MIB)


def fetched(site, path, **options):
    site.downloads.to_path("/f", str(path / "got"), **options)
    assert os.listdir(path) == ["got"]
    return (path / "got").read_bytes()


def refused(site, path, kind, **options):
    with pytest.raises(kind) as caught:
        site.downloads.to_path("/f", str(path / "got"), **options)
    assert os.listdir(path) == []
    return str(caught.value)


def with_wrong_byte(reply):
    return reply.but(body=reply.body[:9] + bytes([reply.body[9] ^ 1]) + reply.body[10:])


def in_chunks(reply):
    parts = (reply.body[:K], reply.body[K:], b"")
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return reply.but(body=body, Content_Length=None, Transfer_Encoding="chunked")


# What the server does to each request, and where the ranges begin that are asked for.
WAYS = {
    "nothing": ([], [None]),
    "the connection is cut": ([cut(K)], [None, K]),
    "twice": ([cut(K), cut(MIB)], [None, K, K + MIB]),
    "at the last byte": ([cut(3 * MIB + 16)], [None, 3 * MIB + 16]),
    "before the first byte": ([cut(0)], [None, None]),
    "before the answer": ([says(503), cut(K)], [None, None, K]),
    "the server is restarting": ([cut(K), says(503)], [None, K, K]),
    "it cannot find the file for a moment": ([cut(K), says(404)], [None, K, K]),
    "no length, and cut": ([lambda r: r.but(Content_Length=None, sent=K, end="close")], [None, K]),
    "no length, and whole": ([lambda r: r.but(Content_Length=None, end="close")], [None]),
    "in chunks": ([in_chunks], [None]),
    "in chunks, and cut": ([lambda r: in_chunks(r).but(sent=2 * MIB, end="close")], [None, MIB]),
    "ranges are refused": ([cut(K), refuses_ranges], [None, K, None]),
    "ranges are ignored": ([cut(K), lambda r: r.but(status=200, Content_Range=None)], [None, K, None]),
    "many ranges": (
        [cut(K), lambda r: r.but(Content_Range=None, Content_Type="multipart/byteranges")],
        [None, K, None],
    ),
    "not said which range": ([cut(K), lambda r: r.but(Content_Range=None)], [None, K, None]),
    "another range": ([cut(K), lambda r: r.but(Content_Range=f"bytes 0-{MIB}/{3 * MIB + 17}")], [None, K, None]),
    "another end": ([cut(K), lambda r: r.but(Content_Range=f"bytes {K}-{K + 5}/{3 * MIB + 17}")], [None, K, None]),
    "another length": ([cut(K), lambda r: r.but(Content_Length=5, sent=5)], [None, K, None]),
    "another size": ([cut(K), lambda r: r.but(Content_Range=f"bytes {K}-{3 * MIB + 16}/9")], [None, K, None]),
    "another version": ([cut(K), lambda r: r.but(ETag='"2"')], [None, K, None]),
    "If-Match is honoured": ([cut(K), says(412)], [None, K, None]),
    "a wrong byte after the cut": ([cut(K), with_wrong_byte], [None, K, None]),
    "a wrong byte": ([with_wrong_byte], [None, None]),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_in_the_right_bytes(site, liar, tmp_path, way):
    liar.lies, starts = list(WAYS[way][0]), WAYS[way][1]
    assert fetched(site, tmp_path) == liar.content
    assert liar.starts == starts


SHIFTED = {
    "start": lambda r: r.but(Content_Range=f"bytes 0-{2 * MIB + 11}/{3 * MIB + 17}", body=bytes(2 * MIB + 12)),
    "end": lambda r: r.but(Content_Range=f"bytes {K}-{K + 9}/{3 * MIB + 17}", Content_Length=10, body=bytes(10)),
    "version": lambda r: r.but(ETag='"2"', body=bytes(len(r.body))),
}


@pytest.mark.parametrize("what", SHIFTED)
def test_other_bytes_than_asked_for_are_not_taken_where_no_checksum_would_tell(site, liar, tmp_path, what):
    site.info = dataclasses.replace(site.info, checksums={})
    liar.lies = [cut(K), SHIFTED[what]]
    assert fetched(site, tmp_path) == liar.content


# The same to every request.
ENDS = {
    "shorter": (lambda r: r.but(Content_Length=K, sent=K), errors.SizeMismatch, "has 1048581 bytes instead of 3145745"),
    "longer": (lambda r: r.but(Content_Length=3 * MIB + 18), errors.SizeMismatch, "has 3145746 bytes"),
    "longer than it says": (
        lambda r: r.but(Content_Length=None, body=r.body + b"x", end="close"),
        errors.SizeMismatch,
        "sends more than the 3145745 bytes",
    ),
    "processing": (says(425), errors.Processing, "HTTP 425"),
    "part of it unasked": (says(206, Content_Range="bytes 0-0/1"), errors.Interrupted, "HTTP 206"),
    "wrong": (with_wrong_byte, errors.ChecksumMismatch, "adler32 is"),
    "not there": (says(404), errors.Unavailable, "does not find what the storage has just shown"),
    "not HTTP": (lambda r: Reply("nonsense", {}, b"", end="close"), errors.Interrupted, "broke"),
}


@pytest.mark.parametrize("way", ENDS)
def test_it_ends_in_a_clear_error_and_no_file(site, liar, tmp_path, way):
    liar.always, kind, words = ENDS[way]
    assert words in refused(site, tmp_path, kind)


@pytest.mark.parametrize(
    "url",
    ["http://[::1/S3CRET", "http://h:99999999/S3CRET", "ftp://h/S3CRET", "http:///S3CRET", "/S3CRET", "S3CRET", ""],
)
def test_an_address_that_is_none_is_told_and_not_shown(site, liar, tmp_path, url):
    liar.url = url
    said = refused(site, tmp_path, errors.Unsupported)
    assert "S3CRET" not in said
    assert "S3CRET" not in origin_of(url)


def test_a_file_of_which_only_the_beginning_is_stored(site, liar, tmp_path):
    """The second line of Reva shows the size that was announced; that it ends earlier says nothing about ranges."""
    ended = says(416, Content_Range="bytes */50")
    liar.always = lambda reply: ended(reply) if reply.status == 206 else reply.but(sent=50, end="close")
    refused(site, tmp_path, errors.Interrupted)
    assert site.servers.ranges.honours(liar.url) is None


def test_it_goes_on_after_a_reset(site, liar, tmp_path):
    liar.lies = [cut(K, "reset")]
    assert fetched(site, tmp_path) == liar.content
    assert len(liar.requests) == 2


def test_it_goes_on_after_a_silence(site, liar, tmp_path):
    site = site.again(stall_timeout=1.0)
    liar.lies = [cut(K, "stall")]
    assert fetched(site, tmp_path) == liar.content
    assert K in liar.starts


def test_a_server_that_stays_silent(site, liar, tmp_path):
    site = site.again(stall_timeout=1.0, retries=1)
    liar.always = cut(0, "stall")
    assert "went silent" in refused(site, tmp_path, errors.DeadlineExceeded)
    assert len(liar.requests) == 2


def test_a_server_without_ranges_is_asked_for_one_once(site, liar, tmp_path):
    liar.always = refuses_ranges
    for starts in ([None, K, None], [None, None]):
        liar.lies = [cut(K)]
        liar.requests.clear()
        assert fetched(site, tmp_path) == liar.content
        assert liar.starts == starts


def test_a_file_that_is_replaced_begins_anew(site, liar, tmp_path):
    def replace(reply):
        site.replace(OTHER, 2)
        return reply.but(sent=K, end="close")

    liar.lies = [replace]
    assert fetched(site, tmp_path) == OTHER
    assert liar.starts == [None, None]


def test_the_same_size_and_no_etag_is_looked_at_again(site, liar, tmp_path):
    """Where the answers cannot tell two versions apart, the storage can."""
    second = bytes(len(liar.content))

    def replace(reply):
        site.replace(second, 2)
        site.info = dataclasses.replace(site.info, checksums={})
        return reply.but(ETag=None, body=second[K:])

    liar.always = lambda reply: reply.but(ETag=None)
    liar.lies = [lambda reply: reply.but(ETag=None, sent=K, end="close"), replace]
    site.info = dataclasses.replace(site.info, checksums={})
    assert fetched(site, tmp_path) == second
    assert liar.starts == [None, K, None]


def test_what_gets_on_is_not_given_up(site, liar, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "STEP", MIB // 2)
    site = site.again(retries=1)
    liar.always = cut(MIB // 2)
    assert fetched(site, tmp_path) == liar.content
    assert len(liar.requests) == 7


def test_what_begins_anew_each_time_is(site, liar, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "STEP", MIB // 2)
    liar.always = lambda reply: refuses_ranges(reply) if reply.status == 206 else reply.but(sent=MIB, end="close")
    refused(site, tmp_path, errors.Interrupted)
    assert liar.starts == [None, MIB, None, None]


def test_without_retries_the_first_failure_is_the_last(site, liar, tmp_path):
    liar.lies = [cut(K)]
    refused(site.again(retries=0), tmp_path, errors.Interrupted)
    assert liar.starts == [None]


@pytest.mark.parametrize("algorithm", ["adler32", "md5", "sha1"])
def test_the_checksum_goes_on_over_a_cut(site, liar, tmp_path, algorithm):
    checksum = ALGORITHMS[algorithm]()
    checksum.update(liar.content)
    site.info = described(liar.content, **{algorithm: checksum.hexdigest()})
    liar.lies = [cut(K)]
    assert fetched(site, tmp_path) == liar.content
    assert liar.starts == [None, K]


class Stream(io.RawIOBase):
    """A sink that cannot go back."""

    def __init__(self):
        self.taken = b""

    def writable(self):
        return True

    def seekable(self):
        return False

    def write(self, data):
        self.taken += bytes(data)
        return len(data)


def test_a_stream_is_gone_on_with(site, liar):
    liar.lies = [cut(K)]
    sink = Stream()
    site.downloads.to_file("/f", sink)
    assert sink.taken == liar.content


def test_a_stream_cannot_begin_anew(site, liar):
    liar.always = refuses_ranges
    liar.lies = [cut(K)]
    sink = Stream()
    with pytest.raises(errors.Interrupted, match="broke"):
        site.downloads.to_file("/f", sink)
    assert sink.taken == liar.content[:K]


def test_a_file_that_is_open_for_appending_is_gone_on_with(site, liar, tmp_path):
    (tmp_path / "log").write_bytes(b"before")
    liar.lies = [cut(K)]
    with (tmp_path / "log").open("ab") as sink:
        site.downloads.to_file("/f", sink)
    assert (tmp_path / "log").read_bytes() == b"before" + liar.content


def test_a_file_that_is_open_for_appending_cannot_begin_anew(site, liar, tmp_path):
    """Whoever goes back in it writes at its end all the same."""
    liar.always = refuses_ranges
    liar.lies = [cut(K)]
    with (tmp_path / "log").open("ab") as sink, pytest.raises(errors.Interrupted, match="broke"):
        site.downloads.to_file("/f", sink)
    assert (tmp_path / "log").read_bytes() == liar.content[:K]


def test_progress_goes_on_over_a_cut(site, liar, tmp_path):
    told = []
    liar.lies = [cut(K)]
    fetched(site, tmp_path, progress=lambda *now: told.append(now))
    assert told == sorted(told)
    assert told[-1] == (len(liar.content),) * 2


def test_the_etag_is_sent_along_where_it_can_be(site, liar, tmp_path):
    for etag, sent in (('"1"', '"1"'), ('W/"1"', None)):  # a weak one never matches
        liar.etag = etag
        liar.lies = [cut(K)]
        fetched(site, tmp_path)
        assert liar.requests[-1].headers.get("If-Match") == sent
