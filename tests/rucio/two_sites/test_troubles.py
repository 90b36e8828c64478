"""What goes wrong on the way: in the end Rucio's catalogue and both storages say the same."""

from __future__ import annotations

import os
import signal

import pytest

from demo.storage import Gateway
from tests.rucio.two_sites.test_rules import make_dataset

CONTENT = bytes(range(256)) * 8192
DAMAGED = CONTENT[:-1] + b"\0"


@pytest.fixture
def shaky(tmp_path):
    """A site that goes and comes back at the same address: kill() and begin() it."""
    folder = tmp_path / "shaky"
    folder.mkdir()
    with Shaky(folder) as gateway:
        yield gateway


class Shaky(Gateway):
    def start(self) -> None:
        super().start()
        ports = [address.rpartition(":")[2] for address in (self.grpc, self.http)]
        self.options = ("--faults", "--port", ports[0], "--http-port", ports[1])

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.stop()

    def begin(self) -> None:
        self.start()


def test_a_source_that_is_away_and_comes_back(shaky, add_at, there, orchestra, new_name):
    source = add_at(shaky)
    source.register(new_name, CONTENT)
    shaky.stop()
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["STUCK"]
    assert there.stored() == {}
    shaky.begin()
    orchestra.repair()
    assert orchestra.settle(rule) == ["OK"]
    orchestra.agree()


def test_a_full_destination(here, there, orchestra, new_name, other_faults):
    here.register(new_name, CONTENT)
    other_faults({"on": "http:*", "kind": "full"})
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["STUCK"]
    assert "507" in orchestra.why(rule)
    assert there.stored() == {}
    other_faults()
    orchestra.repair()
    assert orchestra.settle(rule) == ["OK"]
    orchestra.agree()


def test_tokens_that_end_in_mid_queue(here, there, orchestra, new_name, client, set_faults, other_faults):
    files = make_dataset(client, here, new_name, 12)
    ends = {"on": "*:*", "kind": "token_expired", "skip": 9, "times": 1}
    set_faults(ends)
    other_faults(ends)
    assert orchestra.settle(orchestra.rule(new_name, there)) == ["OK"]
    assert len(there.stored()) == len(files)
    orchestra.agree()


def test_a_corrupted_source_is_passed_over_and_told(add_here, there, orchestra, new_name, client):
    bad, good = add_here(), add_here()
    for site in (bad, good):
        site.register(new_name, CONTENT)
    bad.put(new_name, DAMAGED)
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["OK"]
    assert list(there.stored().values()) == [CONTENT]


def test_the_only_source_is_corrupted(here, there, orchestra, new_name, client):
    here.register(new_name, CONTENT)
    here.put(new_name, DAMAGED)
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["STUCK"]
    assert "CHECKSUM" in orchestra.why(rule).upper()
    assert there.stored() == {}
    here.put(new_name, CONTENT)
    orchestra.repair()
    assert orchestra.settle(rule) == ["OK"]
    orchestra.agree()


def test_by_way_of_another_site(add_here, add_there, orchestra, new_name):
    """Nothing joins the first and the last but the one in the middle."""
    first, middle = add_here(), add_there()
    last = add_here(join=False)
    orchestra.client.add_rse_attribute(middle.rse, "available_for_multihop", "True")
    orchestra.link(middle, last)
    first.register(new_name, CONTENT)
    rule = orchestra.rule(new_name, last)
    assert orchestra.settle(rule) == ["OK"]
    assert list(last.stored().values()) == [CONTENT]
    orchestra.agree()


def test_a_dataset_at_three_sites(add_here, add_there, orchestra, new_name, client):
    source, second, third = add_here(), add_there(), add_there()
    files = make_dataset(client, source, new_name, 10)
    assert orchestra.settle(orchestra.rule(new_name, second), orchestra.rule(new_name, third)) == ["OK", "OK"]
    assert len(second.stored()) == len(third.stored()) == len(files)
    orchestra.agree()


def test_a_rule_that_is_deleted_on_the_way(here, there, orchestra, new_name, client, other_faults):
    here.register(new_name, CONTENT)
    other_faults({"on": "http:PUT", "kind": "slow", "rate": 1000})
    rule = orchestra.rule(new_name, there)
    orchestra.submit()
    orchestra.until(lambda: orchestra.mover.ask("/status.json")["active"])
    client.update_replication_rule(rule, {"lifetime": 0})
    orchestra.sandbox.daemon("judge-cleaner")
    orchestra.wait()
    assert there.stored() == {}
    orchestra.agree()


def test_a_mover_that_is_killed_in_mid_copy(here, there, own_mover, orchestra, new_name, other_faults):
    here.register(new_name, CONTENT)
    other_faults({"on": "http:PUT", "kind": "stall", "after": 1_000_000, "times": 1})
    orchestra.use(own_mover)
    rule = orchestra.rule(new_name, there)
    orchestra.submit()
    orchestra.until(lambda: own_mover.ask("/status.json")["active"])
    own_mover.kill()
    own_mover.start()
    assert orchestra.settle(rule) == ["OK"]
    assert list(there.stored().values()) == [CONTENT]
    orchestra.agree()


def test_a_gateway_that_is_killed_in_mid_copy(here, shaky, add_at, orchestra, new_name, shaky_faults):
    target = add_at(shaky)
    here.register(new_name, CONTENT)
    shaky_faults({"on": "http:PUT", "kind": "slow", "rate": 100_000, "times": 1})
    rule = orchestra.rule(new_name, target)
    orchestra.submit()
    orchestra.until(lambda: orchestra.mover.ask("/status.json")["active"])
    shaky.kill()
    shaky.begin()
    if orchestra.settle(rule) == ["STUCK"]:
        orchestra.repair()
        assert orchestra.settle(rule) == ["OK"]
    assert list(target.stored().values()) == [CONTENT]
    orchestra.agree()


def test_the_same_file_submitted_twice(here, there, orchestra, new_name, other_faults):
    """As when Rucio's submitter dies after it told the mover, and before it told the database: FTS answers 409."""
    here.register(new_name, CONTENT)
    other_faults({"on": "http:PUT", "kind": "slow", "rate": 100_000, "times": 1})
    rule = orchestra.rule(new_name, there)
    orchestra.submit()
    [job] = orchestra.mover.ask("/jobs")
    assert orchestra.mover.submit(job) == 409
    assert orchestra.settle(rule) == ["OK"]
    orchestra.agree()
