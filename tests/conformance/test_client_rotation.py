"""Secrets of daemons' logins, exchanged while they are in use: `rucio-cs3 rse rotate`."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from rucio_cs3 import errors
from rucio_cs3.config import Config
from rucio_cs3.credentials.caller import NOBODY
from rucio_cs3.model import Ref
from rucio_cs3.operate import rotation


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secrets" / "cs3"
    file.parent.mkdir()
    file.touch(0o640)
    return file


@pytest.fixture
def rotated(storage, folder, secret):
    """What an RSE on the folder logs in by."""

    def rotated(**login):
        config = Config.of(
            {"gateway": storage.address, "tls": False, "username": storage.user, "cache": "off", **login}
        )
        return rotation.find("TEST", config, {}, NOBODY, Ref(folder))

    return rotated


@pytest.fixture
def apps(storage, client):
    if not storage.facts.has_app_passwords:
        pytest.skip("it has none")
    before = {known.handle for known in client.apps.list()}
    yield client.apps
    for known in client.apps.list():
        if known.handle not in before:
            client.apps.revoke(known)


def logs_in(storage, file, folder):
    with storage.client(password=None, app_password_file=str(file)) as daemon:
        return daemon.files.stat(folder).is_directory


def test_the_new_one_opens_what_the_old_one_did(storage, client, apps, folder, secret, rotated):
    old = apps.create("a daemon's", paths=[folder], read_only=True, expires=4e9)
    secret.write_text(old.password)
    change = rotated(app_password_file=str(secret))
    known = rotation.current(change, client)
    made = rotation.successor(change, client, known, None)
    assert logs_in(storage, secret, folder)
    assert secret.read_text().strip() == made.password != old.password
    assert secret.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in secret.parent.iterdir()] == [secret.name]
    assert (made.label, made.paths, made.read_only) == (old.label, old.paths, old.read_only)
    assert made.expires == pytest.approx(4e9, abs=3600)
    assert apps.find(old.password), "the old one goes when the new one is in its place"


def test_one_for_everything_makes_its_own_successor(storage, apps, folder, secret, rotated):
    old = apps.create("a daemon's")
    secret.write_text(old.password)
    change = rotated(app_password_file=str(secret))
    with rotation.maker_of(change, {}) as maker:
        made = rotation.successor(change, maker, rotation.current(change, maker), None)
        maker.apps.revoke(old)
    assert logs_in(storage, secret, folder)
    assert made.paths == ("/",)


def test_a_limited_one_cannot_and_says_what_to_do(apps, folder, secret, rotated):
    secret.write_text(apps.create("a daemon's", paths=[folder]).password)
    change = rotated(app_password_file=str(secret))
    with rotation.maker_of(change, {}) as maker, pytest.raises(errors.Cs3Error, match="log in as einstein"):
        rotation.current(change, maker)


def test_nothing_is_left_when_it_does_not_work(storage, client, apps, folder, secret, rotated):
    """The folder is gone, so neither password opens it."""
    old = apps.create("a daemon's", paths=[folder])
    secret.write_text(old.password)
    change = rotated(app_password_file=str(secret))
    known = rotation.current(change, client)
    before = {each.handle for each in apps.list()}
    with pytest.raises(errors.Cs3Error):
        rotation.successor(replace(change, root=Ref(f"{folder}/gone")), client, known, None)
    assert secret.read_text() == old.password
    assert {each.handle for each in apps.list()} == before
    assert [each.name for each in secret.parent.iterdir()] == [secret.name]


def test_nobody_elses_is_exchanged(storage, apps, folder, secret, rotated):
    if not storage.other_user:
        pytest.skip("nobody else to try")
    secret.write_text(apps.create("a daemon's").password)
    change = rotated(app_password_file=str(secret))
    username, password = storage.other_user
    login = {"username": username, "password": password}
    with rotation.maker_of(change, login) as maker, pytest.raises(errors.ConfigError, match="and you are marie"):
        rotation.current(change, maker)


def test_the_new_one_is_on_the_disk_before_the_old_one_goes(storage, folder, secret, rotated, monkeypatch):
    """First what is in it, and then its name."""
    secret.write_text("old")
    synced, fsync = [], os.fsync

    def heard(fd):
        fsync(fd)
        content = secret.read_text() if stat.S_ISDIR(os.fstat(fd).st_mode) else os.fstat(fd).st_size
        synced.append((os.fstat(fd).st_ino, content))

    change = rotated(password_file=str(secret))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", heard)
        rotation.exchange(change, storage.password)
    new = f"{storage.password}\n"
    assert synced == [(secret.stat().st_ino, len(new)), (secret.parent.stat().st_ino, new)]


def test_a_machine_secret_is_tried_first(storage, folder, secret, rotated):
    if not storage.machine_secret:
        pytest.skip("it is not known")
    secret.write_text("old")
    change = rotated(machine_secret_file=str(secret))
    with pytest.raises(errors.NotAuthenticated):
        rotation.exchange(change, "no-good")
    assert secret.read_text() == "old"
    rotation.exchange(change, storage.machine_secret)
    assert Path(secret).read_text().strip() == storage.machine_secret
    assert [each.name for each in secret.parent.iterdir()] == [secret.name]
