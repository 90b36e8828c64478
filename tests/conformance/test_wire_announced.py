"""What is checked of an upload when it is announced, on the second line."""

from __future__ import annotations

import pytest

from tests.conformance.sending import OLD, begin, offset_of, sums, sums_of

NEW = b"new"
MTIME = 1_600_000_000

pytestmark = pytest.mark.usefixtures("checking")


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (0, "OK"),
        (None, "OK"),
        ("+3", "OK"),
        ("007", "OK"),
        (-5, "INSUFFICIENT_STORAGE"),
        (100 << 40, "INSUFFICIENT_STORAGE"),
        (1 << 70, "INTERNAL"),
        ("abc", "INTERNAL"),
        ("1.5", "INTERNAL"),
    ],
)
def test_the_length_that_is_announced(wire, folder, length, code):
    """!! To announce no bytes, or not to say how many, is to upload an empty file."""
    assert begin(wire, f"{folder}/f", length) == code
    assert wire.exists(f"{folder}/f") == (not length)


@pytest.mark.parametrize("length", [0, None])
def test_nothing_is_announced_over_a_good_file(wire, old, length):
    """!! The content is gone, and a PUT that follows is an error."""
    endpoints = wire.uploads(old, length)
    assert wire.stat(old).size == 0
    assert sums_of(wire, old) == sums(b"")
    assert offset_of(wire, endpoints) is None
    assert wire.request("PUT", endpoints["simple"], b"").status == 400
    assert wire.request("PUT", endpoints["simple"], NEW).status == 500
    assert wire.content(old) == b""


@pytest.mark.parametrize(
    ("where", "some", "none"),
    [
        ("missing/f", "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
        ("missing/deep/f", "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
        (".", "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
        ("f/below", "OK", "INTERNAL"),
        ("n" * 256, "INTERNAL", "INTERNAL"),
    ],
    ids=lambda value: value[:20],
)
def test_where_no_file_can_be(wire, folder, old, where, some, none):
    place = f"{folder}/{where}" if where != "." else folder
    assert begin(wire, place) == some
    assert begin(wire, place, 0) == none
    assert wire.content(old) == OLD
    assert wire.names(folder) == ["f"]


def test_the_root_is_no_file(storage, wire):
    assert begin(wire, storage.home) == "INTERNAL"


CONDITIONS = {  # of a file that is there, with the answers for it, and for a missing one
    "if_not_exist": (lambda _: {"if_not_exist": True}, "ALREADY_EXISTS", "OK"),
    "if_match": (lambda info: {"if_match": info.etag}, "OK", "FAILED_PRECONDITION"),
    "if_match wrong": (lambda _: {"if_match": '"wrong"'}, "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
    "if_match bare": (lambda info: {"if_match": info.etag.strip('"')}, "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
    "if_match any": (lambda _: {"if_match": "*"}, "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
    "if_unmodified_since past": (
        lambda _: {"if_unmodified_since": {"seconds": MTIME}},
        "FAILED_PRECONDITION",
        "OK",
    ),
    "if_unmodified_since future": (
        lambda info: {"if_unmodified_since": {"seconds": info.mtime.seconds + 9}},
        "OK",
        "OK",
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions(wire, folder, old, name):
    make, there, missing = CONDITIONS[name]
    conditions = make(wire.stat(old))
    assert begin(wire, old, **conditions) == there
    assert begin(wire, f"{folder}/missing", **conditions) == missing


@pytest.mark.parametrize("told", ["ADLER32 0400019b", "crc32 00", "sha256 00", "adler32", "adler32:0400019b", ""])
def test_a_checksum_that_is_not_understood(wire, folder, told):
    assert begin(wire, f"{folder}/f", opaque={"Upload-Checksum": told}) == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("told", "code"), [("adler32 00000001", "OK"), ("adler32 00000002", "INVALID_ARGUMENT")])
def test_the_checksum_of_nothing(wire, folder, told, code):
    assert begin(wire, f"{folder}/f", 0, opaque={"Upload-Checksum": told}) == code
    assert wire.exists(f"{folder}/f") == (code == "OK")
