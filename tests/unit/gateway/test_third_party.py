"""Third-party copies that are honest, and those of the real ones where only we can disturb them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import trustme
import urllib3

from rucio_cs3.gateway import DEMO_USERS, CannotServe, Fault, Gateway, Tls
from tests.conformance.dav import NEW, OLD, Dav
from tests.conformance.otherside import OtherSide

KINDS = ["reva-local", "reva-localhome", "reva-ceph", "opencloud"]
DONE = (202, b"success: Created")


@pytest.fixture
def other_side():
    side = OtherSide()
    yield side
    side.stop()


@pytest.fixture
def site(serve, tmp_path):
    """Starts one of a kind, and returns its WebDAV door."""

    def start(name, behave="reva-local", **settings):
        gateway, wire = serve(behave, tmp_path / name, **settings)
        home = f"/users/{DEMO_USERS[0].id}" if gateway.behaviour.has_spaces else gateway.behaviour.mount
        wire.mkdir(f"{home.rstrip('/')}/top")
        door = Dav(SimpleNamespace(dav=gateway.webdav_url, home=home), wire, f"{home.rstrip('/')}/top")
        door.gateway = gateway
        return door

    return start


@pytest.fixture(params=KINDS)
def pair(request, site):
    """The site that makes the copies, and another one."""
    return site("here", request.param, tpc="honest"), site("there", request.param)


def copy(here, path, there=None, **headers):
    login = {"TransferHeaderAuthorization": f"Bearer {there.wire.token}"} if there else {}
    reply = here("COPY", path, **{**login, **headers})
    return reply.status, reply.data


def left(door):
    """What is in its folder, and the uploads that somebody began there."""
    uploads = list(Path(door.gateway.root).rglob(".cs3-gateway/uploads/*.info"))
    return door.hrefs()[1:], uploads


# As it should be


@pytest.mark.parametrize("content", [b"", NEW, bytes(range(256)) * 20_000], ids=["empty", "small", "large"])
def test_there_and_back(pair, content):
    here, there = pair
    there.put("/f", content)
    assert copy(here, "/g", there, Source=there.url("/f")) == DONE
    assert copy(here, "/g", there, Destination=there.url("/h")) == DONE
    assert here.content("/g") == there.content("/h") == content


def test_over_what_is_there(pair):
    here, there = pair
    for door in pair:
        door.put("/f", NEW)
        door.put("/g", OLD)
    for headers in ({"Source": there.url("/f")}, {"Destination": there.url("/g")}):
        path = "/g" if "Source" in headers else "/f"
        assert copy(here, path, there, Overwrite="F", **headers)[0] == 412
        assert here.content("/g") == there.content("/g") == OLD
        assert copy(here, path, there, **headers) == DONE
        assert (here if "Source" in headers else there).content("/g") == NEW
        here.put("/g", OLD)


def test_within_the_site_it_is_a_copy(pair):
    here, _ = pair
    here.put("/f", NEW)
    assert copy(here, "/f", Destination=here.url("/g")) == (201, b"")
    assert copy(here, "/f", Destination=urlsplit(here.url("/h")).path) == (201, b"")
    assert here.content("/g") == here.content("/h") == NEW


def test_all_headers_are_passed_on(site, other_side):
    here = site("here", tpc="honest")
    told = {"TransferHeaderAuthorization": "Bearer x", "TransferHeaderX-Own": "z"}
    copy(here, "/g", Source=f"{other_side.url}/404", **told)
    headers = other_side.asked[0][2]
    assert (headers["Authorization"], headers["X-Own"]) == ("Bearer x", "z")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{}/404", b"failure: rejected GET: 404"),
        ("{}/401", b"failure: rejected GET: 401"),
        ("{}/short", b"failure: the source broke off after 300000 of 1000000 bytes"),
        ("{}/endless", b"failure: rejected GET: 200 of no length"),
        ("http://127.0.0.1:1/f", b"failure: the source cannot be reached"),
        ("nonsense", b"failure: the source cannot be reached"),
    ],
)
@pytest.mark.parametrize("behave", KINDS)
def test_a_pull_that_fails(site, other_side, behave, source, said):
    here = site("here", behave, tpc="honest")
    code, body = copy(here, "/g", Source=source.format(other_side.url))
    assert code == 202
    assert body.startswith(said)
    assert left(here) == ([], [])


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        ("{}/401", b"failure: rejected PUT: 401"),
        ("{}/507", b"failure: rejected PUT: 507"),
        ("{}/201", b"failure: it is not there after"),
        ("http://127.0.0.1:1/f", b"failure: the destination cannot be reached"),
        ("ftp://127.0.0.1/f", b"failure: the destination cannot be reached"),
    ],
)
def test_a_push_that_fails(site, other_side, destination, said):
    here = site("here", tpc="honest")
    here.put("/f", NEW)
    code, body = copy(here, "/f", Destination=destination.format(other_side.url))
    assert (code, body[: len(said)]) == (202, said)


def test_what_cannot_be(pair):
    here, there = pair
    for door in pair:
        door.code("MKCOL", "/d")
        door.put("/f")
    cases = {("/missing/g", "Source", "/f"): 409, ("/d", "Source", "/f"): 409}
    cases |= {("/missing", "Destination", "/g"): 404, ("/d", "Destination", "/g"): 400}
    assert {case: copy(here, case[0], there, **{case[1]: there.url(case[2])})[0] for case in cases} == cases


def test_there_is_no_room(site):
    here, there = site("here", tpc="honest", quota=1000), site("there")
    there.put("/f", NEW)
    assert copy(here, "/g", there, Source=there.url("/f"))[0] == 507
    assert left(here) == ([], [])


# Trust


@pytest.fixture
def secure(tmp_path):
    """A site that speaks TLS, and the authority that vouches for it."""
    ca, root = trustme.CA(), tmp_path / "secure"
    root.mkdir()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "site.pem"))
    with Gateway(root, tls=Tls(tmp_path / "site.pem", tmp_path / "site.pem")) as gateway:
        (root / "f").write_bytes(OLD)
        yield gateway


@pytest.mark.parametrize("trusted", [True, False])
def test_the_other_side_has_to_show_a_certificate(site, secure, tmp_path, trusted):
    here = site("here", tpc="honest", ca=tmp_path / "ca.pem" if trusted else None)
    pool = urllib3.PoolManager(ca_certs=str(tmp_path / "ca.pem"))
    login = {"Authorization": "Basic " + "ZWluc3RlaW46cmVsYXRpdml0eQ=="}
    told = pool.request("PROPFIND", secure.webdav_url, headers={**login, "Depth": "0"})
    pool.clear()
    there = {"TransferHeaderAuthorization": f"Bearer {told.headers['X-Access-Token']}"}
    here.put("/h", NEW)
    said = (
        copy(here, "/g", Source=f"{secure.webdav_url}/f", **there),
        copy(here, "/h", Destination=f"{secure.webdav_url}/h", **there),
    )
    if trusted:
        assert said == (DONE, DONE)
        assert here.content("/g") == OLD
        assert (secure.root / "h").read_bytes() == NEW
    else:
        assert [(code, body.split(b":")[0]) for code, body in said] == [(202, b"failure")] * 2
        assert not (secure.root / "h").exists()


def test_authorities_that_are_not_there(tmp_path):
    with pytest.raises(CannotServe, match="no such file"):
        Gateway(tmp_path, ca=tmp_path / "missing")


def test_a_kind_that_is_not_known(tmp_path):
    with pytest.raises(CannotServe, match="one of off, as-seen, honest"):
        Gateway(tmp_path, tpc="perfect")


# Disturbed


@pytest.mark.parametrize("tpc", ["as-seen", "honest"])
@pytest.mark.parametrize("pulls", [True, False])
def test_a_door_that_closes_in_the_middle(site, tpc, pulls):
    """!! What was seen keeps the part that came, at the one that writes it."""
    here, there = site("here", tpc=tpc), site("there")
    source, target = (there, here) if pulls else (here, there)
    source.put("/f", NEW)
    here.gateway.faults.add(Fault(on="http:COPY", kind="cut", after=100_000))
    told = {"Source": there.url("/f")} if pulls else {"Destination": there.url("/g")}
    with pytest.raises(urllib3.exceptions.ProtocolError):
        copy(here, "/g" if pulls else "/f", there, **told)
    if pulls and tpc == "honest":
        assert left(here) == ([], [])
    elif pulls:
        assert target.content("/g") == NEW[:100_000]


def test_a_byte_that_is_wrong(site):
    """The length is right, so even an honest door does not see it."""
    here, there = site("here", tpc="honest"), site("there")
    content = os.urandom(1000)
    there.put("/f", content)
    here.gateway.faults.add(Fault(on="http:COPY", kind="wrong_byte", after=500))
    assert copy(here, "/g", there, Source=there.url("/f")) == DONE
    got = here.content("/g")
    assert [index for index, (one, other) in enumerate(zip(got, content)) if one != other] == [500]


def test_by_default_there_are_none(site):
    here, there = site("here"), site("there")
    there.put("/f")
    assert copy(here, "/g", there, Source=there.url("/f"))[0] == 400
