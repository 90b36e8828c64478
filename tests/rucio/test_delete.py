from __future__ import annotations

import pytest

CONTENT = b"to be deleted\n"


def test_an_expired_file_is_deleted(site, make_file, new_name, client):
    site.upload(make_file("local"), "--lfn", new_name)
    site.expire(new_name)
    assert site.stored(), "the reaper, and nobody before it, deletes"
    site.reap()
    assert site.stored() == {}
    assert site.replica(new_name) is None
    assert list(client.list_replication_rules({"scope": "test", "name": new_name})) == []
    assert client.get_local_account_usage("root", site.rse) is not None


def test_a_protected_file_stays(site, make_file, new_name):
    site.upload(make_file("local"), "--lfn", new_name)
    site.reap()
    assert list(site.stored().values()) == [b"some bytes\n"]
    assert site.replica(new_name)["state"] == "AVAILABLE"


def test_a_rule_removed_by_its_owner(site, make_file, new_name, client):
    site.upload(make_file("local"), "--lfn", new_name)
    [rule] = client.list_did_rules("test", new_name)
    site.sandbox.rucio("rule", "remove", rule["id"], "--purge-replicas")
    [doomed] = client.list_did_rules("test", new_name)
    assert doomed["expires_at"] is not None


def test_a_dataset_expires_with_all_its_files(site, make_file, new_name):
    files = [make_file(f"{new_name}-{number}") for number in range(5)]
    site.upload(f"test:{new_name}", *files)
    site.sandbox.daemon("judge-evaluator")  # extends the dataset's rule to the files that have been attached
    site.expire(new_name)
    site.reap()
    assert site.stored() == {}
    assert [site.replica(file.name) for file in files] == [None] * len(files)


def test_a_file_that_is_already_gone_counts_as_deleted(site, new_name):
    site.register(new_name, CONTENT)
    site.path(new_name).unlink()
    site.reap()
    assert site.replica(new_name) is None


def test_only_the_file_is_deleted(site, new_name):
    site.register(new_name, CONTENT)
    neighbour = site.put(new_name, b"neighbour", suffix=".bak")
    site.reap()
    assert site.stored() == {str(neighbour.relative_to(site.folder)): b"neighbour"}


def test_a_folder_in_the_place_of_the_file_is_never_deleted(site, new_name):
    site.register(new_name, CONTENT)
    path = site.path(new_name)
    path.unlink()
    path.mkdir()
    (path / "precious").write_bytes(b"data")
    site.reap()
    assert list(site.stored().values()) == [b"data"]
    assert site.replica(new_name)["state"] == "BEING_DELETED"


# Why the storage cannot say whether the file is there. The catalogue must not forget a file for any of these.
TROUBLES = {
    "the gateway is down": {"gateway": "127.0.0.1:1"},
    "no secret is set": {"password": None},
    "the password is wrong": {"password": "wrong"},
    "the token has expired": {"auth": "token", "token": "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln"},
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_file_stays_in_the_catalogue_while_the_storage_is_in_trouble(site, new_name, trouble):
    site.register(new_name, CONTENT)
    site.reap(config=site.config(**trouble))
    assert site.replica(new_name)["state"] == "BEING_DELETED"
    assert list(site.stored().values()) == [CONTENT]

    site.reap()
    assert site.replica(new_name) is None
    assert site.stored() == {}


def test_a_file_stays_in_the_catalogue_while_the_root_folder_is_away(site, new_name):
    site.register(new_name, CONTENT)
    away = site.folder.rename(site.folder.with_suffix(".away"))  # as when a disk is not mounted
    site.reap()
    assert site.replica(new_name)["state"] == "BEING_DELETED"

    away.rename(site.folder)
    site.reap()
    assert site.replica(new_name) is None
    assert site.stored() == {}
