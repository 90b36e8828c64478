"""What rules of Rucio make the mover do."""

from __future__ import annotations

import pytest

from tests.rucio.conftest import SCOPE
from tests.rucio.two_sites.conftest import LARGE

pytestmark = pytest.mark.timeout(300)  # each plays several rounds of Rucio's daemons


def names_of(site):
    return {path.rpartition("/")[2]: content for path, content in site.stored().items()}


def test_a_rule_makes_a_file_appear_at_the_other_site(here, there, orchestra, new_name, make_file):
    here.upload(make_file("local", b"to be moved"), "--lfn", new_name)
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["OK"]
    assert names_of(there) == {new_name: b"to be moved"}
    orchestra.agree()


def test_two_hundred_files_of_mixed_sizes(here, there, orchestra, new_name):
    files = orchestra.dataset(here, new_name, 200)
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["OK"]
    assert names_of(there) == files
    orchestra.agree()


def test_a_dataset_at_three_sites(here, there, add_at, gateway, other_gateway, orchestra, new_name):
    others = [there, add_at(gateway), add_at(other_gateway)]
    files = orchestra.dataset(here, new_name, 10)
    assert orchestra.settle(orchestra.rule(new_name, *others, grouping="ALL")) == ["OK"]
    assert [names_of(site) for site in others] == [files] * len(others)
    orchestra.agree()


def test_by_way_of_another_site(here, there, add_at, gateway, orchestra, new_name):
    """Nothing joins the first and the last but the one in the middle."""
    last = add_at(gateway, joined=False)
    orchestra.link(there, last)
    orchestra.client.add_rse_attribute(there.rse, "available_for_multihop", True)
    files = orchestra.dataset(here, new_name, 5)
    assert orchestra.settle(orchestra.rule(new_name, last)) == ["OK"]
    assert names_of(last) == files
    assert all(there.replica(name)["state"] == "AVAILABLE" for name in files)
    orchestra.agree()


def test_what_is_in_the_way_is_replaced(here, there, orchestra, new_name):
    """Rucio wants it so for disks: what it does not know there is dark."""
    here.register(new_name, b"right")
    there.put(new_name, b"wrong")
    assert orchestra.settle(orchestra.rule(new_name, there)) == ["OK"]
    assert names_of(there) == {new_name: b"right"}
    orchestra.agree()


def test_a_rule_that_is_deleted_on_the_way(here, there, orchestra, new_name, client, slow_target):
    here.register(new_name, LARGE)
    rule = orchestra.rule(new_name, there)
    orchestra.play("submitter")
    orchestra.wait_for_bytes()
    client.update_replication_rule(rule, {"lifetime": 0})
    orchestra.play("cleaner")
    orchestra.mover.wait()
    assert there.stored() == {}
    assert there.replica(new_name)["state"] == "UNAVAILABLE"
    orchestra.agree()


def test_a_rule_ends_and_the_files_are_deleted_at_both_sites(here, there, orchestra, new_name, client):
    files = orchestra.dataset(here, new_name, 5)
    rules = [orchestra.rule(new_name, site) for site in (here, there)]
    assert orchestra.settle(*rules) == ["OK", "OK"]
    for rule in rules:
        client.update_replication_rule(rule, {"lifetime": 0})
    orchestra.play("cleaner")
    here.sandbox.daemon("reaper", "--rses", here.rse, there.rse, config={**here.config(), **there.config()})
    dids = [{"scope": SCOPE, "name": name} for name in files]
    assert [row for row in client.list_replicas(dids, all_states=True) if row["states"]] == []
    assert (here.stored(), there.stored()) == ({}, {})
