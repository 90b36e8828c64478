"""`rucio-cs3 rse add`, `show`, `settings` and `rotate`, on a real Rucio and storages of both lines."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
from dataclasses import dataclass, field

import pytest

from demo.process import BIN
from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import DEMO_USERS, Gateway
from tests.rucio.conftest import SCOPE

numbers = itertools.count(1)
EINSTEIN = DEMO_USERS[0]
BEHAVIOURS = ("reva-localhome", "opencloud")
LOGIN = {"username": EINSTEIN.username, "password": EINSTEIN.password}


@dataclass
class Storage:
    """A gateway, and a folder of a user's there."""

    gateway: Gateway
    home: str
    space: str | None
    login: dict[str, str] = field(default_factory=lambda: dict(LOGIN))

    def client(self, **settings):
        return Cs3Client(gateway=self.gateway.address, tls=False, **{**self.login, **settings})

    def names(self, path):
        with self.client() as client:
            return sorted(entry.name for entry in client.files.list(path))


@pytest.fixture(scope="module", params=BEHAVIOURS)
def storage(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    with Gateway(root, request.param, tpc="as-seen", quota=10**9, machine_secret="old-secret") as gateway:
        with Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as client:
            home = client.files.home()
            spaces = client.spaces.list() if gateway.behaviour.has_spaces else []
        yield Storage(gateway, home, spaces[0].id.space if spaces else None)


@pytest.fixture
def folder(storage):
    """A new one, which an operator has made to be an RSE."""
    path = f"{storage.home}/rse-{next(numbers)}"
    with storage.client() as client:
        client.files.mkdir(path)
    return path


@pytest.fixture
def name():
    return f"NEW-{next(numbers)}"


@pytest.fixture
def command(sandbox, storage, name):
    """Run rucio-cs3 as the operator, who has a login at the storage."""

    def call(*arguments, config=None, stdin=""):
        sections = config or {f"cs3:{name}": storage.login}
        environ = sandbox.user.with_config(sections).environ
        pipes = {"capture_output": True, "text": True, "input": stdin}
        argv = [str(word) for word in (BIN / "rucio-cs3", "rse", *arguments)]
        done = subprocess.run(argv, env=environ, timeout=120, check=False, **pipes)
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.fixture
def options(storage, folder):
    """What an operator types for the folder."""
    gateway = ["--gateway", storage.gateway.address, "--no-tls"]
    return [*gateway, "--path", folder, "--webdav", storage.gateway.webdav_url]


def told(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def found(said):
    return {each["what"]: each for each in said["found"]}


def states(said):
    return {step["what"].split(" = ")[0]: step["state"] for step in said["steps"]}


def in_rucio(client, name, others=()):
    """All that Rucio knows of an RSE, but for what is its own."""
    settings = client.get_rse(name)
    own = ("id", "rse")
    distances = {other: [client.get_distance(*way)[0]["distance"] for way in ((name, other), (other, name))] for other in others}
    attributes = {key: value for key, value in client.list_rse_attributes(name).items() if key != name}
    return {key: value for key, value in settings.items() if key not in own}, attributes, distances


def test_without_yes_nothing_changes(command, client, name, options, storage, folder):
    done = command("add", name, *options)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
    assert name not in [each["rse"] for each in client.list_rses()]
    assert storage.names(folder) == []
