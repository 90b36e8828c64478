from __future__ import annotations

import hashlib
import zlib

from hypothesis import given
from hypothesis import strategies as st

from rucio_cs3.checksums import ADLER_BASE, ALGORITHMS, Adler32, normalise


@given(st.lists(st.binary(max_size=50)))
def test_adler32_in_pieces_is_adler32_of_the_whole(pieces):
    running = Adler32()
    for piece in pieces:
        running.update(memoryview(piece))
    assert running.hexdigest() == f"{zlib.adler32(b''.join(pieces)):08x}"
    assert len(running.hexdigest()) == 8


@given(st.lists(st.binary(max_size=50)), st.integers(0, 3 * ADLER_BASE))
def test_adler32_of_the_parts_is_adler32_of_the_whole(parts, zeros):
    """Long parts and those that hold nothing, too."""
    parts.append(bytes(zeros))
    whole = Adler32()
    for part in parts:
        running = Adler32()
        running.update(part)
        whole.append(running, len(part))
    assert whole.hexdigest() == f"{zlib.adler32(b''.join(parts)):08x}"


@given(st.integers(0, 2**32 - 1))
def test_leading_zeros_are_restored(value):
    assert normalise("adler32", f"{value:X}") == f"{value:08x}"


def test_algorithms_agree_with_hashlib():
    for name in ("md5", "sha1"):
        running = ALGORITHMS[name]()
        running.update(b"abc")
        assert running.hexdigest() == hashlib.new(name, b"abc").hexdigest()
