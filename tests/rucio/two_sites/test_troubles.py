"""What goes wrong on the way: in the end Rucio's catalogue and both storages say the same."""

from __future__ import annotations

import pytest

from demo.mover import Mover, site_of
from demo.process import BIN, run
from tests.rucio.conftest import SCOPE
from tests.rucio.two_sites.conftest import LARGE
from tests.unit.mover.conftest import Served, empty_postgresql, file, postgresql, wait_for  # noqa: F401 - fixtures

pytestmark = pytest.mark.timeout(300)  # each plays several rounds of Rucio's daemons
CONTENT = bytes(range(256)) * 8192
DAMAGED = CONTENT[:-1] + b"\0"


def test_a_source_that_is_away_and_comes_back(here, there, orchestra, new_name, other_gateway):
    there.register(new_name, CONTENT)
    rule = orchestra.rule(new_name, here)
    other_gateway.kill()
    try:
        assert orchestra.settle(rule) == ["STUCK"]
        assert here.stored() == {}
    finally:
        other_gateway.start()
    assert "SOURCE [70] Communication error on send" in orchestra.why(rule)
    wait_for(lambda: orchestra.repair(rule) == ["OK"])
    orchestra.agree()


def test_a_full_destination(here, there, orchestra, new_name, other_faults):
    here.register(new_name, CONTENT)
    other_faults({"on": "http:PUT", "kind": "full"})
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["STUCK"]
    assert "DESTINATION [28] No space left on device" in orchestra.why(rule)
    assert there.stored() == {}
    other_faults()
    assert orchestra.repair(rule) == ["OK"]
    orchestra.agree()


def test_tokens_that_end_in_mid_queue(here, there, orchestra, new_name, set_faults, other_faults):
    orchestra.dataset(here, new_name, 20)
    ends = {"kind": "token_expired", "times": 1}  # a new one does
    faults = [{"on": f"{door}:*", "skip": skip, **ends} for door in ("grpc", "http") for skip in (9, 24, 39)]
    set_faults(*faults)
    other_faults(*faults)
    assert orchestra.settle(orchestra.rule(new_name, there)) == ["OK"]
    orchestra.agree()


@pytest.mark.parametrize("distances", [(1, 2), (2, 1)], ids=["nearer", "farther"])
def test_a_corrupted_source_is_passed_over(here, there, add_at, gateway, orchestra, new_name, client, distances):
    sources = [here, add_at(gateway)]
    for site, distance in zip(sources, distances):
        client.update_distance(site.rse, there.rse, {"distance": distance})
        site.register(new_name, CONTENT)
    here.put(new_name, DAMAGED)
    assert orchestra.settle(orchestra.rule(new_name, there)) == ["OK"]
    assert list(there.stored().values()) == [CONTENT]
    here.put(new_name, CONTENT)
    orchestra.agree()


def test_a_corrupted_replica_is_suspicious_declared_bad_and_repaired(
    here, there, add_at, gateway, orchestra, new_name, client
):
    for site in (bad := here, good := add_at(gateway, joined=False)):
        site.register(new_name, CONTENT)
    bad.put(new_name, DAMAGED)
    protected, wanted = orchestra.rule(new_name, bad), orchestra.rule(new_name, there)
    assert orchestra.settle(wanted) == ["STUCK"]
    assert (orchestra.suspicious(bad), orchestra.suspicious(good)) == ([new_name], [])
    client.declare_bad_file_replicas([{"scope": SCOPE, "name": new_name, "rse": bad.rse}], "its checksum is wrong")
    for site in (bad, there):
        orchestra.link(good, site)
    orchestra.play("necromancer")
    assert orchestra.states(protected) == ["REPLICATING"]
    assert orchestra.settle(protected) == ["OK"]
    assert orchestra.repair(wanted) == ["OK"]
    assert [list(site.stored().values()) for site in orchestra.sites] == [[CONTENT]] * 3
    orchestra.agree()


def test_a_lost_file_that_a_dump_does_not_have_comes_back(here, there, orchestra, new_name, client, tmp_path):
    for site in (here, there):
        site.register(new_name, CONTENT)
    rule, dump = orchestra.rule(new_name, here), tmp_path / "dump"
    here.path(new_name).unlink()
    said = run([BIN / "rucio-cs3", "dump", here.rse, "--output", dump], env=here.sandbox.user.environ)
    assert (said.returncode, dump.read_text()) == (0, ""), said.stdout
    client.declare_bad_file_replicas([{"scope": SCOPE, "name": new_name, "rse": here.rse}], "it is not in the dump")
    orchestra.play("necromancer")
    assert orchestra.states(rule) == ["REPLICATING"]
    assert orchestra.settle(rule) == ["OK"]
    assert list(here.stored().values()) == [CONTENT]
    orchestra.agree()


BAD_SOURCES = {
    "damaged": (lambda path: path.write_bytes(DAMAGED), "SOURCE [5] SOURCE CHECKSUM MISMATCH"),
    "too long": (lambda path: path.write_bytes(CONTENT + b"\0"), "SOURCE [5] Source and user-defined file size"),
    "lost": (lambda path: path.unlink(), "SOURCE [2] No such file or directory"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "SOURCE [21] Is a directory"),
}


@pytest.mark.parametrize(("spoil", "told"), BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_the_only_source_is(here, there, orchestra, new_name, spoil, told):
    here.register(new_name, CONTENT)
    spoil(here.path(new_name))
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["STUCK"]
    assert told in orchestra.why(rule)
    assert there.stored() == {}
    if here.path(new_name).is_dir():
        here.path(new_name).rmdir()
    here.put(new_name, CONTENT)
    assert orchestra.repair(rule) == ["OK"]
    orchestra.agree()


def test_of_two_bad_sources_each_is_told_by_its_own_failure(here, there, add_at, gateway, orchestra, new_name, client):
    """Rucio looks at the last: a replica that is away must not be suspicious for another that is damaged."""
    damaged, lost = here, add_at(gateway)
    client.update_distance(lost.rse, there.rse, {"distance": 2})
    for site in (damaged, lost):
        site.register(new_name, CONTENT)
    damaged.put(new_name, DAMAGED)
    lost.path(new_name).unlink()
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["STUCK"]
    assert orchestra.suspicious(lost) == []
    for site in (damaged, lost):
        site.put(new_name, CONTENT)
    assert orchestra.repair(rule) == ["OK"]
    orchestra.agree()


def test_a_site_that_the_mover_does_not_know(here, add_at, other_gateway, orchestra, new_name, tmp_path):
    """The mover is told of it, begun anew, and the rule goes on."""
    here.register(new_name, CONTENT)
    there = add_at(other_gateway)
    with Mover(tmp_path, {"here": orchestra.mover.sites["here"]}, orchestra.mover.settings) as mover:
        orchestra.use(mover)
        rule = orchestra.rule(new_name, there)
        assert orchestra.settle(rule) == ["STUCK"]
        assert "DESTINATION [22] Invalid argument" in orchestra.why(rule)
        mover.stop()
        mover.sites = {**mover.sites, "there": site_of(other_gateway)}
        mover.start()
        assert orchestra.repair(rule) == ["OK"]
    orchestra.agree()


def test_a_mover_that_is_killed_in_mid_copy(here, there, orchestra, new_name, slow_target):
    """What nobody can take back is left: an upload that ended with the mover."""
    here.register(new_name, LARGE)
    rule = orchestra.rule(new_name, there)
    orchestra.play("submitter")
    orchestra.wait_for_bytes()
    orchestra.mover.kill()
    orchestra.play("poller", "finisher")
    assert orchestra.states(rule) == ["REPLICATING"]
    slow_target()
    orchestra.mover.start()
    orchestra.mover.wait()
    orchestra.play("poller", "finisher")
    assert orchestra.states(rule) == ["OK"]
    orchestra.agree(debris=1)


def test_a_gateway_that_is_killed_in_mid_copy(here, there, orchestra, new_name, slow_target, other_gateway):
    here.register(new_name, LARGE)
    rule = orchestra.rule(new_name, there)
    orchestra.play("submitter")
    orchestra.wait_for_bytes()
    other_gateway.kill()
    other_gateway.start()  # and knows of no fault
    if orchestra.settle(rule) == ["STUCK"]:
        wait_for(lambda: orchestra.repair(rule) == ["OK"])
    orchestra.agree()


def test_the_same_file_submitted_twice(here, there, orchestra, new_name, other_faults):
    """As when Rucio's submitter dies after it told the mover, and before it told the database: FTS answers 409."""
    here.register(new_name, CONTENT)
    other_faults({"on": "http:PUT", "kind": "stall", "after": 1000, "path": f"*{there.folder.name}*"})
    rule = orchestra.rule(new_name, there)
    source, target = (
        orchestra.client.lfns2pfns(site.rse, [f"{SCOPE}:{new_name}"]).popitem()[1] for site in (here, there)
    )
    fts = Served(None, orchestra.mover.url)
    with fts.session:
        fts.submit(file(source, target))
        assert fts.ask("POST", "/jobs", json={"files": [file(source, target)]}).status_code == 409
    assert "The submission is duplicated" in orchestra.play("submitter")
    other_faults()
    orchestra.mover.wait()
    orchestra.play("finisher")
    assert orchestra.settle(rule) == ["OK"]
    orchestra.agree()


@pytest.fixture
def two_movers(tmp_path, mover, empty_postgresql):  # noqa: F811
    settings = f'database = "{empty_postgresql}"\n[limits]\ncopies = 4\nlease = 3.0\n'
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Mover(tmp_path / "one", mover.sites, settings) as one, Mover(tmp_path / "two", mover.sites, settings) as two:
        yield one, two


def test_two_movers_share_the_work_and_one_dies(here, there, two_movers, orchestra, new_name, other_faults):
    one, two = two_movers
    other_faults({"on": "http:PUT", "kind": "slow", "rate": 50_000, "path": f"*{there.folder.name}*"})
    orchestra.dataset(here, new_name, 30)
    rule = orchestra.rule(new_name, there)
    orchestra.use(one)
    orchestra.play("submitter")
    for mover in two_movers:
        wait_for(lambda mover=mover: any(copy["bytes"] for copy in mover.ask("/status.json")["running"]))
    one.kill()
    other_faults()
    orchestra.mover = two
    orchestra.mover.wait()
    one.start()
    orchestra.play("poller", "finisher")
    assert orchestra.states(rule) == ["OK"]
    orchestra.agree(debris=4)
