"""Third-party copies, as the WebDAV doors of real storages make them. `here` makes them; `dav` is the other site.

What is marked !! says that it did what it did not.
"""

from __future__ import annotations

import threading

import pytest
import urllib3

from tests.conformance.dav import NEW, OLD, D
from tests.conformance.otherside import SENT, OtherSide
from tests.conformance.wire import Endpoint, answer_of

FIRST = pytest.mark.usefixtures("first_line")
SECOND = pytest.mark.usefixtures("second_line")
DONE, SILENT = (202, b"success: Created"), (202, b"")
NOWHERE = "http://127.0.0.1:1/f"
TRANSFER = "TransferHeaderAuthorization"


@pytest.fixture
def login(dav):
    """What lets the copying site in at the other one."""
    return {TRANSFER: f"Bearer {dav.wire.token}"}


@pytest.fixture
def other_side():
    side = OtherSide()
    yield side
    side.stop()


def copy(here, path, **headers):
    reply = here("COPY", path, **headers)
    return reply.status, reply.data


def size_of(here, path):
    if here.code("PROPFIND", path, Depth="0") == 404:
        return None
    [(_, there, _)] = here.find(path)
    return int(there[f"{D}getcontentlength"])


# What works


def test_a_pull(here, dav, login, second):
    """!! On the second line what comes is an empty file."""
    assert copy(here, "/g", Source=dav.url(dav.put("/f", NEW)), **login) == DONE
    assert here.content("/g") == (b"" if second else NEW)


def test_a_push(here, dav, login, second):
    here.put("/f", NEW)
    assert copy(here, "/f", Destination=dav.url("/g"), **login) == ((500, b"") if second else DONE)
    assert dav.content("/g") == (None if second else NEW)


@pytest.fixture
def second(storage):
    return storage.facts.has_spaces


@FIRST
def test_over_what_is_there(here, dav, login):
    for door in (here, dav):
        door.put("/f", NEW)
        door.put("/g", OLD)
    assert copy(here, "/g", Source=dav.url("/f"), **login) == DONE
    assert copy(here, "/f", Destination=dav.url("/g"), **login) == DONE
    assert here.content("/g") == dav.content("/g") == NEW


def test_nothing_is_pulled_over_a_file_when_told_so(here, dav, login):
    dav.put("/f", NEW)
    here.put("/g")
    assert copy(here, "/g", Source=dav.url("/f"), Overwrite="F", **login) == (412, b"")
    assert here.code("COPY", "/g", Source=dav.url("/f"), Overwrite="X", **login) == 400
    assert here.content("/g") == OLD


@FIRST
def test_a_push_overwrites_whatever_it_is_told(here, dav, login):
    """!! Overwrite is read, and forgotten."""
    here.put("/f", NEW)
    dav.put("/g")
    assert here.code("COPY", "/f", Destination=dav.url("/g"), Overwrite="X", **login) == 400
    assert copy(here, "/f", Destination=dav.url("/g"), Overwrite="F", **login) == DONE
    assert dav.content("/g") == NEW


def test_one_header_is_passed_on(here, other_side):
    told = {TRANSFER: "Bearer x", "TransferHeaderX-Access-Token": "y", "TransferHeaderX-Own": "z", "Credential": "none"}
    here.code("COPY", "/g", Source=f"{other_side.url}/404", **told)
    [(method, _, headers, _)] = other_side.asked
    assert (method, headers["Authorization"]) == ("GET", "Bearer x")
    assert not {"X-Access-Token", "X-Own", "Credential"} & set(headers)


@FIRST
def test_a_push_tells_the_length(here, other_side):
    here.put("/f", NEW)
    assert copy(here, "/f", Destination=f"{other_side.url}/201", **{TRANSFER: "Bearer x"}) == DONE
    [(method, path, headers, size)] = other_side.asked
    assert (method, path, size, headers["Content-Length"]) == ("PUT", "/201", len(NEW), str(len(NEW)))
    assert headers["Authorization"] == "Bearer x"


@FIRST
def test_a_token_in_the_address(here, dav, other_side):
    here.put("/f")
    told = dav.url("/g").replace("://", f"://{dav.wire.token}@")
    assert copy(here, "/f", Destination=told) == DONE
    assert dav.content("/g") == OLD
    told = other_side.url.replace("://", "://in-it@")
    here.code("COPY", "/f", Destination=f"{told}/201", **{TRANSFER: "Bearer beside-it"})
    assert other_side.asked[0][2]["Authorization"] == "Bearer in-it"


@pytest.mark.breaks_storage
def test_a_source_that_has_moved(here, other_side):
    """It is looked for, with the token if it is on the same host."""
    here.code("COPY", "/g", Source=f"{other_side.url}/moved", **{TRANSFER: "Bearer x"})
    assert [asked[1] for asked in other_side.asked] == ["/moved", "/short"]
    assert other_side.asked[1][2]["Authorization"] == "Bearer x"


@FIRST
def test_a_pull_from_the_site_itself(here):
    here.put("/f", NEW)
    assert copy(here, "/g", Source=here.url("/f"), **{TRANSFER: f"Bearer {here.wire.token}"}) == DONE
    assert here.content("/g") == NEW


def test_who_may(here, dav, login):
    dav.put("/f")
    for headers in ({}, {"X-Access-Token": "garbage"}):
        assert here.code("COPY", "/g", login=False, Source=dav.url("/f"), **login, **headers) == 401
    assert here.content("/g") is None


def test_a_copy_of_and_to_nowhere(here):
    here.put("/f")
    assert here.code("COPY", "/f") == 400


# Progress


@FIRST
def test_markers(here, other_side):
    """Every 5 seconds, with a field that is misspelt. Before the first one nothing comes at all."""
    connection = here.wire.open_request(
        "COPY", Endpoint("", here.url("/g"), ""), 0, Source=f"{other_side.url}/endless", **{TRANSFER: "Bearer x"}
    )
    reply = answer_of(connection)
    assert (reply.status, reply.getheader("Transfer-Encoding")) == (202, "chunked")
    marker = [reply.readline() for _ in range(7)]
    assert [line.partition(b":")[0] for line in marker] == [
        b"Perf Marker\n",
        b"Timestamp",
        b"Stripe Bytes Transferred",
        b"Strip Index",
        b"Total Stripe Count",
        b"End\n",
        b"\n",
    ]
    assert int(marker[2].split()[-1]) > 0
    assert marker[3:5] == [b"Strip Index: 0\n", b"Total Stripe Count: 1\n"]
    other_side.enough.set()
    assert reply.read().endswith(b"success: Created")
    connection.close()


# What fails, and is said to


@pytest.mark.parametrize(
    ("answer", "code"), [(401, 401), (403, 403), (404, 404), (500, 500), (501, 400), (204, 204), (206, 206)]
)
def test_a_pull_of_what_is_not_given(here, other_side, answer, code):
    here.put("/g")
    assert copy(here, "/g", Source=f"{other_side.url}/{answer}") == (code, b"")
    assert here.content("/g") == OLD


def test_a_pull_without_or_with_a_bad_token(here, dav):
    dav.put("/f")
    for headers in ({}, {TRANSFER: "Bearer garbage"}, {"TransferHeaderX-Access-Token": dav.wire.token}):
        assert copy(here, "/g", Source=dav.url("/f"), **headers) == (401, b"")
    assert here.content("/g") is None


@pytest.mark.parametrize("source", [NOWHERE, "nonsense", "http://", "://", "http://[", "file:///etc/passwd"])
def test_a_pull_from_nowhere(here, source):
    assert copy(here, "/g", Source=source) == (500, b"")


def test_a_pull_of_a_folder(here, dav, login, second):
    """!! Of the second line it is an empty file."""
    dav.code("MKCOL", "/d")
    assert copy(here, "/g", Source=dav.url("/d"), **login) == (DONE if second else (400, b""))
    assert here.content("/g") == (b"" if second else None)


def test_a_push_of_a_folder(here, dav, login):
    here.code("MKCOL", "/d")
    assert copy(here, "/d", Destination=dav.url("/g"), **login) == (400, b"")


def test_a_push_of_nothing(here, dav, login):
    """The connection is closed, without an answer."""
    with pytest.raises(urllib3.exceptions.ProtocolError):
        here("COPY", "/missing", Destination=dav.url("/g"), **login)


# What fails, and is not


@FIRST
def test_an_empty_file(here, dav, login):
    """!! It can be pulled. A push tells no length, and ends with nothing and as done."""
    for door in (here, dav):
        door.put("/f", b"")
    assert copy(here, "/g", Source=dav.url("/f"), **login) == DONE
    assert copy(here, "/f", Destination=dav.url("/g"), **login) == DONE
    assert (here.content("/g"), dav.content("/g")) == (b"", None)


@FIRST
@pytest.mark.parametrize("answer", [401, 403, 404, 409, 500, 507])
def test_a_push_that_is_refused(here, other_side, answer):
    """!! It is said to be done."""
    here.put("/f")
    assert copy(here, "/f", Destination=f"{other_side.url}/{answer}") == DONE
    assert other_side.asked[0][:2] == ("PUT", f"/{answer}")


@FIRST
def test_a_push_with_a_bad_token(here, dav):
    """!! So it is here."""
    here.put("/f")
    for headers in ({}, {TRANSFER: "Bearer garbage"}, {"TransferHeaderX-Access-Token": dav.wire.token}):
        assert copy(here, "/f", Destination=dav.url("/g"), **headers) == DONE
    assert dav.content("/g") is None


@FIRST
def test_into_a_folder_that_is_missing(storage, here, dav, login):
    """!! And here, in both directions."""
    makes = storage.facts.makes_parents
    dav.put("/f")
    here.put("/f")
    assert copy(here, "/missing/g", Source=dav.url("/f"), **login) == DONE
    assert copy(here, "/f", Destination=dav.url("/missing/g"), **login) == DONE
    assert here.content("/missing/g") == dav.content("/missing/g") == (OLD if makes else None)


@FIRST
def test_a_push_to_nowhere(here):
    here.put("/f")
    for destination in (NOWHERE, "nonsense", "/nonsense", "://", "http://["):
        assert copy(here, "/f", Destination=destination) == SILENT


@FIRST
@pytest.mark.breaks_storage
def test_a_pull_from_a_source_that_breaks_off(here, other_side):
    """!! A part is left, over a good file too, and nothing is said of it."""
    here.put("/g")
    assert copy(here, "/g", Source=f"{other_side.url}/short") == SILENT
    assert size_of(here, "/g") == SENT


@FIRST
def test_a_pull_onto_a_folder(storage, here, dav, login):
    """!! The file takes the place of the tree."""
    here.code("MKCOL", "/d")
    here.put("/d/f")
    dav.put("/f", NEW)
    assert copy(here, "/d", Source=dav.url("/f"), Overwrite="F", **login) == (412, b"")
    assert copy(here, "/d", Source=dav.url("/f"), **login) == DONE
    replaced = storage.facts.replaces_folders
    assert here.content("/d") == (NEW if replaced else None)
    assert here.content("/d/f") == (None if replaced else OLD)


@FIRST
def test_a_copy_within_the_site(here):
    """!! It is taken for a push to another one, where nobody lets us in without a token."""
    here.put("/f")
    assert copy(here, "/f", Destination=here.url("/g")) == DONE
    assert here.content("/g") is None
    assert copy(here, "/f", Destination=here.url("/g"), **{TRANSFER: f"Bearer {here.wire.token}"}) == DONE
    assert here.content("/g") == OLD


# The second line


@SECOND
def test_a_copy_is_a_push_and_fails(here):
    here.put("/f")
    for destination in (here.url("/g"), NOWHERE):
        assert copy(here, "/f", Destination=destination) == (500, b"")
    assert here.content("/g") is None


@SECOND
@pytest.mark.parametrize("path", ["/missing/g", "/d"])
def test_a_pull_to_where_it_cannot_be(here, dav, login, path):
    here.code("MKCOL", "/d")
    dav.put("/f")
    assert copy(here, path, Source=dav.url("/f"), **login) == (500, b"")


@SECOND
def test_a_pull_empties_what_is_there(here, dav, login):
    """!!"""
    dav.put("/f", NEW)
    here.put("/g")
    assert copy(here, "/g", Source=dav.url("/f"), **login) == DONE
    assert here.content("/g") == b""


@SECOND
def test_the_doors_of_spaces_make_none(here, dav, login, copier):
    """!! A pull is refused; what is meant to go to another site is copied within this one."""
    here.put("/f", NEW)
    dav.put("/f")
    root = here.wire.stat(copier.home).id
    base = f"/dav/spaces/{root.storage_id}${root.space_id}"
    assert here.code("COPY", url=here.url("/g", base), Source=dav.url("/f"), **login) == 400
    there = f"http://elsewhere.example.org{here.url('/g', base)[len(here.site) :]}"
    assert here.code("COPY", url=here.url("/f", base), Destination=there, **login) == 201
    assert here.content("/g") == NEW


# Who goes away


@FIRST
@pytest.mark.breaks_storage
def test_a_client_that_goes_away(here, other_side):
    """The copy is given up. !! What has come stays."""
    connection = here.wire.open_request("COPY", Endpoint("", here.url("/g"), ""), 0, Source=f"{other_side.url}/endless")
    assert other_side.under_way.wait(30)
    connection.close()
    assert other_side.given_up.wait(30)
    for _ in range(500):
        if size_of(here, "/g"):
            break
        threading.Event().wait(0.02)
    assert size_of(here, "/g")


@FIRST
def test_a_client_that_goes_away_from_a_push(here, other_side):
    """The copy is given up. !! What has been sent is at the other end, as after any PUT that is cut."""
    here.put("/f", bytes(32 << 20))
    destination = f"{other_side.url}/endless"
    connection = here.wire.open_request("COPY", Endpoint("", here.url("/f"), ""), 0, Destination=destination)
    assert other_side.under_way.wait(30)
    connection.close()
    assert other_side.given_up.wait(30)
