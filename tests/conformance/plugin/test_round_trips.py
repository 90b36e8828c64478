"""How many calls each operation costs when the root is resolved and the token cached, counted at the gateway."""

from __future__ import annotations

import pytest
from rucio.common import exception

from tests.conformance.plugin.rse import pfn


@pytest.fixture
def cost(storage):
    """Run something, and say which calls it made."""
    if storage.gateway is None:
        pytest.skip("calls are counted at the embedded gateway")

    def count(operation, *arguments):
        storage.gateway.calls.clear()
        operation(*arguments)
        return [f"{call.door}:{call.method}" for call in storage.gateway.calls]

    return count


@pytest.fixture
def plugin(protocol, stored):
    return protocol()


def not_there(operation):
    def run(*arguments):
        with pytest.raises(exception.SourceNotFound):
            operation(*arguments)

    return run


def test_a_warm_connect_costs_nothing(protocol, plugin, cost):
    assert cost(protocol) == []


def test_stat_and_exists(plugin, stored, cost):
    assert cost(plugin.exists, stored) == ["grpc:Stat"]
    assert cost(plugin.stat, stored) == ["grpc:Stat"]


def test_what_is_missing_is_proved_to_be(plugin, cost):
    """Not there, but its root is, and still not there."""
    assert cost(plugin.exists, pfn("missing")) == ["grpc:Stat"] * 3
    assert cost(not_there(plugin.stat), pfn("missing")) == ["grpc:Stat"] * 3


def test_delete(plugin, stored, cost):
    assert cost(plugin.delete, stored) == ["grpc:Stat", "grpc:Delete"]
    assert cost(not_there(plugin.delete), stored) == ["grpc:Stat"] * 3


def test_get(plugin, stored, local, cost):
    assert cost(plugin.get, stored, str(local / "back")) == ["grpc:Stat", "grpc:InitiateFileDownload", "http:GET"]


PUT = ["grpc:Stat", "grpc:InitiateFileUpload", "http:PUT", "grpc:Stat"]


@pytest.fixture
def put(storage):
    """Where ids are not known, storages would make a root that is missing: so it is looked for."""
    if storage.facts.asynchronous:
        pytest.skip("it is asked until the upload has been processed")
    return PUT if storage.finds_ids else ["grpc:Stat", *PUT]


def test_put_into_a_known_folder(plugin, local, cost, put):
    assert cost(plugin.put, "file", pfn("scope/new.rucio.upload"), str(local)) == put


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_new_folder_costs_one_more_for_each_level(plugin, local, put, cost, levels):
    below = "/".join(f"level{number}" for number in range(levels))
    calls = cost(plugin.put, "file", pfn(f"{below}/new.rucio.upload"), str(local))
    assert sorted(calls) == sorted([*put, *["grpc:CreateContainer"] * levels])


def test_rename(plugin, stored, cost):
    assert cost(plugin.rename, stored, pfn("scope/renamed")) == ["grpc:Stat", "grpc:Move"]
