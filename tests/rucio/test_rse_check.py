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
from demo.storage import HOME, LOGIN, Protocol
from rucio_cs3 import Cs3Client
from rucio_cs3.gateway import BEHAVIOURS, Fault
from rucio_cs3.operate.entry import domains
from tests.conformance import storages
from tests.conformance.issuer import Issuer
from tests.conformance.wire import Wire
from tests.rucio.broken import BROKEN, HOPELESS, SECRET
from tests.rucio.ground import DAY, NOW, PROBES, SECONDS, Ground, asked
from tests.unit.mover.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)
LATER = 3600  # seconds
GOOD = ["reva-localhome", "opencloud", *(name for name in storages.real_names() if not name.endswith("-async"))]


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
    answer = asked(asks(sandbox, storage, site), site.rse)
    assert (answer.code, answer.having("fail"), answer.having("warn")) == (0, [], []), answer.said
    assert {"login", "write", "read", "door.file", "rename", "delete", "server.plugin"} <= set(answer.names("pass"))
    assert ("tus" in answer.names("pass")) == storage.has_tus
    assert ("checksum" in answer.names("pass")) == storage.has_checksums
    assert ("range" in answer.names("pass")) == BEHAVIOURS[storage.behaviour].serves_ranges
    assert storage.password not in answer.said
    with storage.client() as there:
        assert [entry.name for entry in there.files.list(folder)] == []


@pytest.mark.parametrize(("break_it", "check", "words"), BROKEN.values(), ids=BROKEN)
def test_the_cause_is_named_and_nothing_else(ground, break_it, check, words):
    break_it(ground)
    answer = ground.check()
    assert (answer.code, answer.names("fail")) == (1, [check]), answer.said
    [failure] = answer.having("fail")
    told = f"{failure['seen']} {failure['remedy']}"
    assert has(told, words), told
    assert failure["remedy"]
    assert SECRET not in answer.said
    left = [name for name in ground.site.stored() if PROBES in name]
    assert not left or break_it in HOPELESS


def has(told, words):
    """The words in this order; between them there may be others."""
    return re.search(".*".join(map(re.escape, words.split())), told)


def asks(sandbox, storage, *sites):
    """Environment of a user who has a login at the storage."""
    logins = {f"cs3:{site.rse}": {"username": storage.user, "password": storage.password} for site in sites}
    return sandbox.user.with_config({"cs3": dict.fromkeys(LOGIN), **logins}).environ


@pytest.mark.parametrize("name", [name for name in GOOD if not name.endswith("ceph")])
def test_copies_as_real_doors_make_them(name, fleet, add_site, sandbox, client, mover):
    """Those of the second line say that they have pulled a file, and leave an empty one; see docs/hazards.md, 19."""
    storage = fleet.get(name, copies=True)
    (here, _), (there, _) = (good_site(each, add_site) for each in (storage, fleet.get(name)))
    client.add_rse_attribute(here.rse, "fts", mover.url)
    for source, target in ((here, there), (there, here)):
        client.add_distance(source.rse, target.rse, {"distance": 1})
    answer = asked(asks(sandbox, storage, here, there), here.rse, "--with", there.rse)
    if BEHAVIOURS[storage.behaviour].has_spaces:
        assert (answer.names("fail"), answer.names("warn")) == (["copy.pull"], ["reva", "copy.push"]), answer.said
        assert "success was said, and 0 of" in answer.of("copy.pull")
    else:
        assert (answer.code, answer.having("fail"), answer.having("warn")) == (0, [], []), answer.said
        assert {"copy.pull", "copy.push"} <= set(answer.names("pass"))


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


def test_a_copy_that_a_door_makes_within_its_own_site_is_removed(ground):
    """It looks at the path of the address that it is to push to, and not at the host; see docs/hazards.md, 19."""
    other, folder = ground.own(), ground.site.folder.name
    there = ground.add_site(at=other)
    (other.home / folder).mkdir()
    there.add_protocol(other.davs(folder))
    ground.sections[f"cs3:{there.rse}"] = LOGIN
    ground.arguments += ["--with", there.rse]
    answer = ground.check()
    assert answer.of("copy.push").startswith("warn: "), answer.said
    assert ground.site.stored() == {}


def test_an_application_password_for_the_folder_is_enough(ground):
    """With it free space is not told, nor does the door take it, and transfers work all the same."""
    with Cs3Client(gateway=ground.gateway.grpc, tls=False, **LOGIN) as einstein:
        made = einstein.apps.create("daemons", paths=[f"{HOME}/{ground.site.folder.name}"])
    ground.config(auth="appauth", password=None, app_password_file=ground.file(made.password))
    answer = ground.check()
    assert (answer.code, answer.having("fail"), answer.having("warn")) == (0, [], []), answer.said
    assert {"write", "read", "rename", "delete"} <= set(answer.names("pass"))
    assert "for some paths" in answer.of("space")
    assert "for some paths" in answer.of("door.login")


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
    ground.site.put("theirs", bytes(5000))
    before = [*ground.gateway.gateway.calls]
    answer = ground.check("--read-only")
    assert (answer.code, answer.having("warn")) == (0, []), answer.said
    assert {"sample", "door.file"} <= set(answer.names("pass"))
    assert {"write", "rename", "delete", "tus"} <= set(answer.names("skip"))
    asked_for = {call.method for call in [*ground.gateway.gateway.calls][len(before) :]}
    assert not asked_for & {"PUT", "PATCH", "InitiateFileUpload", "Delete", "Move", "CreateContainer"}
    assert [*ground.site.stored().values()] == [bytes(5000)]


@pytest.mark.parametrize("kind", ["by its entry", "by its availability"])
def test_an_rse_that_is_for_reading_only(ground, kind):
    if kind == "by its entry":
        ground.protocol(domains={"wan": {"read": 1, "third_party_copy_read": 1}, "lan": {"read": 1}})
    else:
        read_only(ground.site)
        ground.protocol(domains=domains(read_only=True))
    answer = ground.check()
    assert (answer.code, answer.having("warn")) == (0, []), answer.said
    assert "write" in answer.names("skip")
    assert "rules cannot copy to it" in answer.of("server.domains")


def read_only(site):
    site.client.update_rse(site.rse, {"availability_write": False, "availability_delete": False})


def test_nothing_is_copied_from_or_to_what_is_only_read(ground):
    ground.use(ground.own(tpc="honest"))
    other = ground.own()
    read_only(ground.beside(other))
    answer = ground.check()
    assert {"copy.pull", "copy.push"} <= set(answer.names("skip")), answer.said
    assert not {call.method for call in other.gateway.calls} & {"PUT", "InitiateFileUpload"}


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
    answer = asked(environ, "--gateway", ground.gateway.grpc, "--path", place)
    assert "--webdav" in answer.of("door.dns")


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
    of_rse_add = ground.site.folder / old.replace("abc", "def")
    of_rse_add.mkdir()
    of_rse_add.joinpath("x").write_bytes(b"x")
    answer = ground.check()
    assert answer.code == 0
    assert not of_rse_add.exists()
    assert "2 that killed checks had left" in answer.of("tidy")
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
    assert "…" not in ran.stdout, "what is shown can be copied"


def test_a_remedy_can_be_copied(ground):
    """A table breaks lines, so that what is to be done stands below it in one."""
    ground.site.add_protocol(ground.entry)
    ground.site.client.set_rse_limits(ground.site.rse, "MinFreeSpace", 1 << 60)
    argv = [str(BIN / "rucio-cs3"), "rse", "check", ground.site.rse]
    environ = {**ground.environ(), "COLUMNS": "80"}
    ran = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0
    last = ran.stdout.splitlines()[-1]
    assert last.startswith("space: ")
    assert last.endswith("rucio rse limit")


def warned(ground, *arguments):
    """The one thing that is worth a warning, as the check's name, and what it says."""
    answer = ground.check(*arguments)
    [warning] = answer.having("warn")
    assert (answer.code, answer.having("fail")) == (0, []), answer.said
    return warning["check"], f"{warning['seen']} {warning['remedy']}"


def test_a_certificate_that_ends_soon(ground):
    ground.secure(not_before=NOW - DAY, not_after=NOW + 5 * DAY)
    answer = ground.check()
    assert (answer.code, answer.names("warn")) == (0, ["gateway.tls", "door.tls"]), answer.said
    assert "days" in answer.of("gateway.tls")


def test_less_free_space_than_rucio_wants(ground):
    ground.site.client.set_rse_limits(ground.site.rse, "MinFreeSpace", 1 << 60)
    check, told = warned(ground)
    assert (check, "MinFreeSpace is 1,152,921,504,606,846,976" in told) == ("space", True)


def test_an_account_without_a_limit(ground):
    ground.site.client.delete_local_account_limit("root", ground.site.rse)
    check, told = warned(ground)
    assert (check, "rucio account limit set root" in told) == ("server.limit", True)


def test_a_priority_that_forbids_nothing(ground):
    ground.domains(delete=0)
    check, told = warned(ground)
    assert (check, "does not forbid delete in wan" in told) == ("server.domains", True)


@pytest.mark.parametrize("what", ["read", "write"])
def test_what_rucio_does_not_do_for_a_while(ground, what):
    ground.site.client.update_rse(ground.site.rse, {f"availability_{what}": False})
    check, told = warned(ground)
    assert (check, f"--key availability_{what} --value True" in told) == ("rse", True)


def test_a_token_that_nobody_renews(ground):
    wire = Wire(ground.gateway.grpc).login(LOGIN["username"], LOGIN["password"])
    ground.config(auth="token", token=wire.token)
    wire.close()
    check, told = warned(ground)
    assert (check, "nobody renews it" in told) == ("token", True)


def test_a_login_that_fails_where_another_one_helps(ground):
    ground.config(auth="appauth?, basic", app_password="gone")
    check, told = warned(ground)
    assert (check, "appauth" in told) == ("login", True)
