"""kill -9 of a client at random moments, up and down: what comes after it goes on, and ends with the right bytes."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from pathlib import Path

import pytest

from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import DEMO_USERS, Gateway
from tests.conformance.storages import home_of

pytestmark = pytest.mark.endurance

TIMES = 200
GROUP = 10  # kills to a test, so that workers share them
BEHAVIOURS = ("reva-local", "opencloud")
DIRECTIONS = ("up", "down")
BLOCK = 1 << 20
SIZE = 6 * BLOCK + 17
EINSTEIN = DEMO_USERS[0]
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["rucio_cs3.client"])


def content(seed):
    return random.Random(seed).randbytes(SIZE)


def transfer(direction, settings, remote, local, told=None):
    """With `told`, the other end of a pipe hears of each block."""
    with Cs3Client(**settings) as client:
        progress = (lambda done, _: told.send(done)) if told else None
        if direction == "up":
            client.upload(local, remote, overwrite=True, progress=progress)
        else:
            client.download(remote, local, resume=True, progress=progress)
    if told:
        told.send(None)


def kill(moment, *args):
    """Let a process of its own transfer, and kill it when so many blocks have passed, or when it is done."""
    here, there = forks.Pipe(duplex=False)
    process = forks.Process(target=transfer, args=(*args, there))
    process.start()
    there.close()
    try:
        for _ in range(moment):
            if here.recv() is None:
                break
    except EOFError:
        pass
    process.kill()
    process.join()
    assert process.exitcode in {-signal.SIGKILL, 0}


@pytest.fixture(scope="module", params=BEHAVIOURS)
def gateway(request, tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("root"), request.param) as gateway:
        yield gateway


@pytest.fixture
def settings(gateway, tmp_path):
    login = {"username": EINSTEIN.username, "password": EINSTEIN.password, "tls": False}
    kept = {"tus_from": 1, "resume": str(tmp_path / "sessions")}
    return {"gateway": gateway.address, **login, **kept}


@pytest.mark.parametrize("group", range(TIMES // GROUP // len(BEHAVIOURS) // len(DIRECTIONS)))
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_was_killed_is_gone_on_with(direction, group, settings, gateway, tmp_path):
    chance = random.Random(f"{direction} {group}")
    folder = f"{home_of(gateway.behaviour, EINSTEIN).rstrip('/')}/{direction}-{group}"
    local = tmp_path / "local"
    local.mkdir()
    with Cs3Client(**settings) as client:
        for number in range(GROUP):
            data = content(f"{group} {number}")
            near, far = local / f"file{number}", f"{folder}/file{number}"
            other = tmp_path / "other"
            if direction == "up":
                near.write_bytes(data)
            else:
                other.write_bytes(data)
                client.upload(other, far)
            kill(chance.randrange(SIZE // BLOCK + 3), direction, settings, far, near)
            transfer(direction, settings, far, near)
            if direction == "up":
                client.download(far, other)
                assert other.read_bytes() == data
            else:
                assert near.read_bytes() == data
        assert sorted(entry.name for entry in client.files.list(folder)) == [f"file{n}" for n in range(GROUP)]
    assert sorted(os.listdir(local)) == [f"file{n}" for n in range(GROUP)]
    sessions = tmp_path / "sessions"
    assert list(Path(sessions).glob("*.json")) == []
