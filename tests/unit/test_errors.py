from __future__ import annotations

import pickle

import pytest
from cs3.rpc.v1beta1 import code_pb2

from rucio_cs3 import errors


def kinds(base=errors.Cs3Error):
    return {base}.union(*(kinds(sub) for sub in base.__subclasses__()))


def test_every_cs3_status_has_an_error():
    ours = {name.replace("CODE_", "", 1) for name, _ in code_pb2.Code.items()} - {"INVALID", "OK"}
    assert set(errors.CS3_STATUS) == ours


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    drawn = {line.strip("│├└─ ").split(" ")[0] for line in errors.__doc__.splitlines() if "──" in line}
    assert drawn | {"Cs3Error"} == {kind.__name__ for kind in kinds()}


def test_codes_are_stable_and_unique():
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))
    assert errors.NotFound.code == "not_found"


@pytest.mark.parametrize("kind", sorted(kinds(), key=lambda k: k.__name__))
def test_message_is_one_line_that_names_what_where_and_what_to_do(kind):
    error = kind("it broke\nbadly", path="/a/b", status="INTERNAL", hint="do this")
    assert str(error) == "/a/b: it broke badly [INTERNAL]; do this"


def test_what_a_server_says_gives_no_orders_to_a_terminal():
    error = errors.from_cs3("INTERNAL", "\x1b]0;title\x07 \u202egnp.exe \udcff", path="/a\x9b31m")
    assert str(error).startswith(r"/a\x9b31m: \x1b]0;title\x07 \u202egnp.exe \udcff [INTERNAL]")


@pytest.mark.parametrize("kind", sorted(kinds(), key=lambda k: k.__name__))
def test_an_error_survives_pickling(kind):
    error = pickle.loads(pickle.dumps(kind("it broke", path="/a", status="X", hint="mend it")))
    assert (type(error), str(error)) == (kind, "/a: it broke [X]; mend it")


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("NOT_FOUND", "", errors.NotFound),
        ("PERMISSION_DENIED", "not yours", errors.PermissionDenied),
        ("PERMISSION_DENIED", "auth: core access token is invalid", errors.TokenRejected),
        ("UNAUTHENTICATED", "auth: core access token not found", errors.TokenRejected),
        ("UNAUTHENTICATED", "error authenticating user", errors.NotAuthenticated),
        ("INTERNAL", "user not found in context", errors.TokenRejected),
        ("INTERNAL", "grpc: received message larger than max (11 vs. 10)", errors.ListingTooLarge),
        ("A_CODE_OF_THE_FUTURE", "what", errors.ServerError),
    ],
)
def test_cs3_status_becomes_our_error(status, message, kind):
    assert type(errors.from_cs3(status, message)) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (206, errors.Interrupted),
        (302, errors.Unsupported),
        (401, errors.TokenRejected),
        (418, errors.InvalidRequest),
        (419, errors.ChecksumMismatch),
        (507, errors.StorageFull),
        (599, errors.ServerError),
    ],
)
def test_http_status_becomes_our_error(status, kind):
    error = errors.from_http(status, "", path="/f")
    assert type(error) is kind
    assert error.status == f"HTTP {status}"


@pytest.mark.parametrize("whole", [True, False])
def test_a_token_that_a_site_repeats_is_not_told(whole):
    token = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyIjoiZWluc3RlaW4ifQ.c2lnbmF0dXJl"
    said = f"{token} is not valid" if whole else token[:40]  # what servers say is cut off
    for error in (errors.from_cs3("INTERNAL", said), errors.from_http(500, said)):
        assert error.message == ("… is not valid" if whole else "…")


def test_stdlib_handlers_catch_ours():
    with pytest.raises(FileNotFoundError):
        raise errors.NotFound("gone")
    with pytest.raises(TimeoutError):
        raise errors.DeadlineExceeded("late")
