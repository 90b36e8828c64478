"""`rucio-cs3 rse settings`."""

from __future__ import annotations

import json

import pytest

from tests.rucio.front import RefusingFront


def storage_usage(client, name):
    return [(each["used"], each["free"]) for each in client.get_rse_usage(name) if each["source"] == "storage"]


def test_free_space_is_what_the_reaper_reads(command, client, rse, storage, folder):
    with storage.client() as there:
        quota = there.files.quota(folder)
    if not quota.total:
        pytest.skip("it sets no quota")
    done = command("settings", rse, "--min-free", "1M")
    assert done.returncode == 0, done.stderr
    assert storage_usage(client, rse) == [(quota.used, quota.available)]
    assert client.get_rse_limits(rse)["MinFreeSpace"] == 1 << 20
    assert rse in done.stdout
    again = json.loads(command("settings", rse, "--json").stdout)
    assert (again["free"], again["total"], again["min_free"]) == (quota.available, quota.total, 1 << 20)
    assert again["notes"] == []


def test_who_sets_no_limit_is_told_that_the_reaper_makes_no_room(command, rse, storage):
    done = command("settings", rse)
    assert ("without a limit MinFreeSpace" in done.stderr) == (storage.space is None)


def test_one_that_fails_does_not_stop_the_others(command, client, rse, other, storage):
    done = command("settings", other, rse, "NOWHERE", "--json")
    assert done.returncode == 1
    said = {each["name"]: each["outcome"] for each in map(json.loads, done.stdout.splitlines())}
    assert said == {other: "failed", rse: "skipped" if storage.space else "done", "NOWHERE": "failed"}
    assert bool(storage_usage(client, rse)) == (storage.space is None)


def test_one_that_rucio_refuses_to_tell_of_does_not_stop_the_others(process, sandbox, rse, other, storage):
    """It comes first by its name."""
    login = {f"cs3:{rse}": storage.login}
    first = f"A-{rse}"
    sandbox.client().add_rse(first)
    with RefusingFront(sandbox.url, f"/rses/{first}") as front:
        config = {"client": {"rucio_host": front.url}, **login}
        done = process("settings", "--all", config=config)
        said = process("settings", "--all", "--json", config=config)
    assert (done.returncode, said.returncode) == (1, 1)
    [line] = [line for line in done.stderr.splitlines() if first in line]
    assert line.startswith(f"Error: Rucio refuses to tell of RSE {first}: ")
    assert rse in done.stdout
    outcomes = {each["name"]: each["outcome"] for each in map(json.loads, said.stdout.splitlines())}
    assert (outcomes[first], outcomes[rse]) == ("failed", "skipped" if storage.space else "done")


def test_all_are_those_with_our_protocol(command, client, rse, other):
    done = command("settings", "--all", "--json")
    outcomes = {each["name"]: each["outcome"] for each in map(json.loads, done.stdout.splitlines())}
    assert outcomes[rse] in {"done", "skipped"}
    assert other not in outcomes


def test_without_a_quota_that_is_said_and_nothing_is_set(command, client, rse, storage):
    if storage.space is None:
        pytest.skip("it sets one")
    client.set_rse_usage(rse, "storage", 1, 2)
    done = command("settings", rse)
    assert done.returncode == 0
    assert "nothing is set" in done.stdout
    assert "sets no quota" in done.stderr
    assert "Rucio still has what it was told" in done.stderr
    assert storage_usage(client, rse) == [(1, 2)]
