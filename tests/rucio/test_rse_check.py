"""`rucio-cs3 rse check`: nothing to find where all is well, and where one thing is broken, that one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from demo.mover import Mover
from demo.process import BIN
from demo.storage import LOGIN, Protocol
from rucio_cs3.gateway import BEHAVIOURS, Fault
from tests.conformance import storages
from tests.conformance.issuer import Issuer
from tests.rucio.broken import DAY, NOW, PROBES, SECONDS, Ground, asked
from tests.unit.mover.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)
LATER = 3600  # seconds
GOOD = ["reva-localhome", "opencloud", *(name for name in storages.real_names() if not name.endswith("-async"))]
SECRET = LOGIN["password"]


@pytest.fixture(scope="module")
def fleet() -> Iterator[storages.Fleet]:
    issuer = Issuer()
    with storages.Fleet(issuer) as fleet:
        yield fleet
    issuer.stop()


@pytest.fixture(scope="module")
def mover(tmp_path_factory) -> Iterator[Mover]:
    """Somebody who answers as FTS does."""
    site = {"gateway": "127.0.0.1:1", "tls": False, **LOGIN}
    with Mover(tmp_path_factory.mktemp("mover"), {"nowhere": site}) as mover:
        yield mover


@pytest.fixture
def ground(request, add_site, gateway, tmp_path) -> Ground:
    return Ground(request, add_site, gateway, tmp_path)


def good_site(storage, add_site):
    """An RSE at a storage that may be a real one."""
    site = add_site()
    folder = site.folder.name
    place = storage.wire().mkdir(f"{storage.home.rstrip('/')}/{folder}")
    host, _, rest = storage.dav.partition("//")[2].partition(":")
    port, _, root = rest.partition("/")
    attributes = {"gateway": storage.address, "tls": False, "webdav_root": f"/{root}", "cs3_root": storage.home}
    site.add_protocol(Protocol("davs", host, int(port), f"/{root}/{folder}/", extended_attributes={"cs3": attributes}))
    return site, place


@pytest.mark.parametrize("name", GOOD)
def test_all_is_well(name, fleet, add_site, sandbox):
    storage = fleet.get(name)
    site, folder = good_site(storage, add_site)
    config = {f"cs3:{site.rse}": {"username": storage.user, "password": storage.password}}
    answer = asked(sandbox.user.with_config({"cs3": dict.fromkeys(LOGIN), **config}).environ, site.rse)
    assert (answer.code, answer.having("fail"), answer.having("warn")) == (0, [], []), answer.said
    assert {"login", "write", "read", "door.file", "rename", "delete", "server.plugin"} <= set(answer.names("pass"))
    assert ("tus" in answer.names("pass")) == storage.has_tus
    assert ("checksum" in answer.names("pass")) == storage.has_checksums
    assert ("range" in answer.names("pass")) == BEHAVIOURS[storage.behaviour].serves_ranges
    assert storage.password not in answer.said
    with storage.client() as there:
        assert [entry.name for entry in there.files.list(folder)] == []


# How it is broken -> the check that has to say so, and words of what it says, or of what it says is to be done.
BROKEN = {
    "RSE unknown in Rucio": (lambda g: g.arguments.insert(0, "--read-only"), "rse", "knows no RSE NOWHERE"),
    "protocol of another plugin": (
        lambda g: g.protocol(impl="rucio.rse.protocols.posix.Default"),
        "rse",
        "no protocol with impl rucio_cs3",
    ),
    "Rucio is down": (
        lambda g: g.sections.update(client={"rucio_host": "http://127.0.0.1:1", "auth_host": "http://127.0.0.1:1"}),
        "rucio",
        "rucio whoami",
    ),
    "login to Rucio refused": (
        lambda g: g.sections.update(client={"password": "wrong", "auth_token_file_path": g.folder / "token"}),
        "rucio",
        "rucio whoami",
    ),
    "unknown setting": (lambda g: g.config(pasword="x"), "settings", "of rucio.cfg: unknown setting 'pasword'"),
    "unknown attribute": (
        lambda g: g.attributes(cs3_rot="/home"),
        "settings",
        "unknown setting 'cs3_rot' did you mean 'cs3_root'",
    ),
    "no number": (lambda g: g.config(retries="many"), "settings", "retries: 'many' is not a whole number"),
    "secret in extended attributes": (lambda g: g.attributes(password=SECRET), "settings", "everybody can read those"),
    "prefix not below webdav_root": (
        lambda g: g.protocol(prefix="/elsewhere/"),
        "settings",
        "prefix /elsewhere/ is not below webdav_root",
    ),
    "secret file that others can read": (
        lambda g: g.config(password=None, password_file=g.file(SECRET, 0o644)),
        "secrets",
        "can be read or changed by others chmod o-rwx",
    ),
    "secret file missing": (
        lambda g: g.config(password=None, password_file=g.folder / "nowhere"),
        "secrets",
        "No such file or directory correct password_file in section",
    ),
    "secret file empty": (lambda g: g.config(password=None, password_file=g.file("")), "secrets", "is empty"),
    "host unknown": (lambda g: g.attributes(gateway="cs3.invalid:443", tls=True), "gateway.dns", "has no address"),
    "nothing listens": (lambda g: g.attributes(gateway="127.0.0.1:1"), "gateway.tcp", "nothing listens at 127.0.0.1:1"),
    "port of something else": (lambda g: g.attributes(gateway=g.gateway.http), "gateway.tls", "speaks HTTP"),
    "TLS to a plaintext port": (lambda g: g.attributes(tls=True), "gateway.tls", "in plaintext, and tls is true"),
    "plaintext to a TLS port": (
        lambda g: (g.secure(ca=False), g.attributes(tls=False)),
        "gateway.tls",
        "speaks TLS, and tls is false",
    ),
    "unknown CA": (lambda g: g.secure(ca=False), "gateway.tls", "unable to get local issuer set ca to a file"),
    "self-signed certificate": (lambda g: g.secure(ca=False, self_signed=True), "gateway.tls", "self-signed name it"),
    "wrong host name": (lambda g: g.secure("cs3.example.org"), "gateway.tls", "mismatch use a name that is in"),
    "expired certificate": (
        lambda g: g.secure(not_before=NOW - 9 * DAY, not_after=NOW - DAY),
        "gateway.tls",
        "expired operator has to renew",
    ),
    "certificate of tomorrow": (
        lambda g: g.secure(not_before=NOW + DAY, not_after=NOW + 9 * DAY),
        "gateway.tls",
        "not yet valid clock",
    ),
    "no CA file": (lambda g: (g.secure(), g.config(ca="/nowhere.pem")), "gateway.tls", "/nowhere.pem check ca"),
    "door closed": (lambda g: g.protocol(port=1), "door.tcp", "127.0.0.1:1, where the WebDAV door should be"),
    "door is the gateway": (
        lambda g: g.protocol(port=int(g.gateway.grpc.rpartition(":")[2])),
        "door.tls",
        "speaks gRPC without TLS, and the WebDAV door speaks HTTP",
    ),
    "clock skew": (lambda g: g.skew(LATER), "clock", "s ahead of ours NTP"),
    "wrong password": (lambda g: g.config(password="wrong"), "login", "refused the basic login of einstein"),
    "unknown user": (lambda g: g.config(username="nobody"), "login", "refused the basic login of nobody"),
    "no login at all": (
        lambda g: g.config(auth=None, username=None, password=None),
        "login",
        "no credentials are set token explain",
    ),
    "expired Reva token": (
        lambda g: g.config(auth="token", token=g.reva_token(exp=time.time() - LATER)),
        "login",
        "the token expired at get another one",
    ),
    "forged Reva token": (
        lambda g: g.config(auth="token", token=g.reva_token(exp=time.time() + LATER)[:-4] + "AAAA"),
        "login",
        "made for another site",
    ),
    "expired OIDC token": (
        lambda g: g.config(auth="bearer", bearer_token=g.reva_token(exp=time.time() - LATER)),
        "login",
        "bearer_token expired at get a new one",
    ),
    "misspelt cs3_root": (lambda g: g.attributes(cs3_root="/hom"), "root", "did you mean home? check cs3_root"),
    "no root folder": (lambda g: g.move_root(), "root", "cannot be seen make the folder"),
    "root is a file": (lambda g: (g.move_root(), g.site.folder.write_text("x")), "root", "is not a folder"),
    "quota full": (lambda g: g.use(g.own(quota=1000)), "space", "of 1,000 bytes are free raise the quota"),
    "quota full, and not told": (
        lambda g: g.faults({"on": "grpc:InitiateFileUpload", "kind": "full"}),
        "write",
        "INSUFFICIENT_STORAGE free space or raise",
    ),
    "root not writable": (
        lambda g: g.faults({"on": "grpc:InitiateFileUpload", "kind": "no_permission"}),
        "write",
        "PERMISSION_DENIED ask the owner of the folder",
    ),
    "storage that keeps nothing": (
        lambda g: g.faults(
            {"on": "http:PUT", "kind": "cut", "after": 100},
            {"on": "grpc:Stat", "kind": "status", "status": "NOT_FOUND"},
        ),
        "write",
        "",
    ),
    "storage that loses the end": (
        lambda g: g.faults({"on": "http:PUT", "kind": "short", "after": 1000}),
        "write",
        "bytes were written, and the storage has 1000",
    ),
    "storage that corrupts a byte": (
        lambda g: g.faults({"on": "http:PUT", "kind": "wrong_byte", "after": 12345}),
        "read",
        "other bytes came back than were sent, from byte 12345 on",
    ),
    "data server that fails": (
        lambda g: g.faults({"on": "http:GET", "kind": "status", "status": "500"}),
        "read",
        "HTTP 500",
    ),
    "checksum lies": (lambda g: g.lie_about_checksums(), "checksum", "the storage says adler32 00000001"),
    "door of another site": (
        lambda g: g.protocol(port=int(g.own().http.rpartition(":")[2])),
        "door.login",
        "does not take tokens of gateway is it the door of another site?",
    ),
    "wrong webdav_root": (
        lambda g: (
            g.attributes(webdav_root="/remote.php", cs3_root="/home"),
            (g.gateway.home / "webdav" / g.site.folder.name).mkdir(parents=True),
        ),
        "door.file",
        "the door opens on another folder webdav_root",
    ),
    "storage that does not rename": (
        lambda g: g.faults({"on": "grpc:Move", "kind": "status", "status": "UNIMPLEMENTED"}),
        "rename",
        "Rucio renames every file",
    ),
    "storage that does not delete": (
        lambda g: g.faults({"on": "grpc:Delete", "kind": "status", "status": "INTERNAL"}),
        "delete",
        "reaper would not get rid of files",
    ),
    "plugin not importable at the server": (lambda g: g.without_plugin(), "server.plugin", "install rucio-cs3 where"),
    "scheme not allowed": (
        lambda g: g.__setattr__("entry", g.gateway.native(g.site.folder.name)),
        "server.scheme",
        "does not know scheme cs3 use davs",
    ),
    "no priority for reading": (lambda g: g.domains(read=None), "server.domains", "no protocol entry is for read"),
    "fts points nowhere": (
        lambda g: g.fts("http://127.0.0.1:1"),
        "server.fts",
        "fts = http://127.0.0.1:1 does not answer",
    ),
    "fts is something else": (lambda g: g.fts(f"http://{g.gateway.http}"), "server.fts", "not as FTS does"),
    "no distance": (
        lambda g: (g.use(g.own(tpc="honest")), g.beside(g.own(), joined=False)),
        "distance",
        "no distance is set rucio rse distance set",
    ),
    "other RSE without login": (
        lambda g: (g.use(g.own(tpc="honest")), g.sections.__setitem__(f"cs3:{g.beside(g.own()).rse}", {})),
        "other",
        "no credentials",
    ),
    "door that says 201 and writes nothing": (
        lambda g: g.liar(),
        "copy.push",
        "success was said, and nothing is there",
    ),
}


@pytest.mark.parametrize(("break_it", "check", "words"), BROKEN.values(), ids=BROKEN)
def test_the_cause_is_named_and_nothing_else(ground, break_it, check, words):
    break_it(ground)
    answer = ground.check(name="NOWHERE" if check == "rse" and "NOWHERE" in words else None)
    assert (answer.code, answer.names("fail")) == (1, [check]), answer.said
    [failure] = answer.having("fail")
    told = f"{failure['seen']} {failure['remedy']}"
    assert has(told, words), told
    assert failure["remedy"]
    assert SECRET not in answer.said


def has(told, words):
    """The words in this order; between them there may be others."""
    return re.search(".*".join(map(re.escape, words.split())), told)


def test_what_comes_after_the_cause_is_not_reached(ground):
    ground.config(password="wrong")
    answer = ground.check()
    for name in ("token", "root", "write", "delete", "door.file"):
        assert answer.of(name) == "skip: not reached: login"
    assert answer.of("server.plugin").startswith("pass")


def test_copies_between_two_sites(ground):
    ground.use(ground.own(tpc="honest"))
    there = ground.beside(ground.own())
    answer = ground.check()
    assert (answer.code, answer.having("fail"), answer.having("warn")) == (0, [], []), answer.said
    assert {"copy.pull", "copy.push", "distance", "server.fts"} <= set(answer.names("pass"))
    assert (ground.site.stored(), there.stored()) == ({}, {})


def test_doors_that_do_not_copy_are_worth_a_warning(ground):
    ground.beside(ground.own())
    answer = ground.check()
    assert (answer.code, answer.names("warn")) == (0, ["copy.pull", "copy.push"]), answer.said
    assert "rucio-cs3 mover carries such files itself" in answer.said


def test_at_a_daemons_place(ground, sandbox):
    ground.site.add_protocol(ground.entry)
    rse_id = ground.site.client.get_rse(ground.site.rse)["id"]
    home = sandbox.operator.with_config({"cs3": {"gateway": None, **dict.fromkeys(LOGIN)}})
    accounts = home.config.with_name("rse-accounts.cfg")
    accounts.touch(0o600)
    accounts.write_text(json.dumps({rse_id: {"cs3": LOGIN}}))
    answer = asked(home.environ, ground.site.rse, "--as", "daemon")
    assert (answer.code, answer.having("fail"), answer.having("warn")) == (0, [], []), answer.said
    assert "by basic" in answer.of("login")
    assert "Rucio's database" in answer.of("rucio")
    accounts.chmod(0o644)
    answer = asked(home.environ, ground.site.rse, "--as", "daemon")
    assert answer.names("warn") == ["rucio.cfg"]
    accounts.unlink()
    answer = asked(home.environ, ground.site.rse, "--as", "daemon")
    assert answer.names("fail") == ["login"]


def test_nothing_is_written_where_nothing_may_be(ground):
    ground.use(ground.own())
    ground.site.folder.joinpath("theirs").write_bytes(bytes(5000))
    before = [*ground.gateway.gateway.calls]
    answer = ground.check("--read-only")
    assert (answer.code, answer.having("warn")) == (0, []), answer.said
    assert {"sample", "door.file"} <= set(answer.names("pass"))
    assert {"write", "rename", "delete", "tus"} <= set(answer.names("skip"))
    asked_for = {call.method for call in [*ground.gateway.gateway.calls][len(before) :]}
    assert not asked_for & {"PUT", "PATCH", "InitiateFileUpload", "Delete", "Move", "CreateContainer"}
    assert ground.site.stored() == {"theirs": bytes(5000)}


def test_a_plain_site_without_a_rucio(ground, tmp_path):
    ground.use(ground.own())
    login = {f"RUCIO_CS3_{name.upper()}": value for name, value in LOGIN.items()}
    environ = {**os.environ, **login, "RUCIO_CS3_TLS": "false", "RUCIO_CONFIG": str(tmp_path / "nowhere")}
    place = f"/home/{ground.site.folder.name}"
    door = f"http://{ground.gateway.http}/remote.php/webdav/{ground.site.folder.name}"
    answer = asked(environ, "--gateway", ground.gateway.grpc, "--path", place, "--webdav", door)
    assert (answer.code, answer.having("fail"), answer.having("warn")) == (0, [], []), answer.said
    assert {"write", "door.file", "delete"} <= set(answer.names("pass"))
    assert answer.of("rse") == "skip: no RSE is named"


def test_ctrl_c_leaves_nothing(ground):
    ground.use(ground.own())
    ground.gateway.gateway.faults.add(Fault(on="http:GET", kind="stall", path=f"*{PROBES}*"))
    ground.site.add_protocol(ground.entry)
    argv = [str(BIN / "rucio-cs3"), "rse", "check", ground.site.rse]
    with subprocess.Popen(argv, env=ground.environ(), stderr=subprocess.PIPE, text=True) as running:
        wait_for(lambda: any(call.method == "GET" for call in ground.gateway.gateway.calls))
        assert any(PROBES in name for name in ground.site.stored())
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=SECONDS)[1]
    assert (running.returncode, said) == (130, "Interrupted. Left at the site: nothing.\n")
    assert ground.site.stored() == {}


def test_what_a_killed_check_has_left_is_removed(ground):
    old, young = (f"{PROBES}{int(time.time() - age):x}-abc.part" for age in (2 * LATER, 60))
    for name in (old, young, f"{PROBES}somebody-elses"):
        ground.site.folder.joinpath(name).write_bytes(b"x")
    answer = ground.check()
    assert answer.code == 0
    assert "1 that killed checks had left" in answer.of("tidy")
    assert set(ground.site.stored()) == {young, f"{PROBES}somebody-elses"}


def test_a_section_that_was_meant_for_it(ground):
    ground.options = dict.fromkeys(LOGIN)
    ground.sections[f"cs3:{ground.site.rse}X"] = LOGIN
    answer = ground.check()
    assert answer.names("fail") == ["login"]
    [warning] = answer.having("warn")
    assert f"did you mean [cs3:{ground.site.rse}]" in warning["remedy"]


def test_for_people(ground):
    ground.site.add_protocol(ground.entry)
    argv = [str(BIN / "rucio-cs3"), "rse", "doctor", ground.site.rse]
    environ = ground.environ()
    ran = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"{ground.site.rse}: pass" in ran.stdout.splitlines()[-1]
