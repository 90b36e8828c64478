"""Storages of both lines, and `rucio-cs3 rse` on them with a real Rucio."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from demo.process import BIN
from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import DEMO_USERS, Gateway
from tests.unit.cli.command import called

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
    quota = None if request.param == "opencloud" else 10**9
    with Gateway(root, request.param, tpc="as-seen", quota=quota, machine_secret="old-secret") as gateway:
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


class Done(NamedTuple):
    """As subprocess has it."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(client, storage, monkeypatch, capfd):
    """Run `rucio-cs3 rse` in this process, which the sandbox's client has made a user's; the login is in variables."""

    def call(*arguments, stdin=b"", **settings):
        login = {"gateway": storage.gateway.address, **storage.login, **settings}
        with monkeypatch.context() as patch:
            for key, value in login.items():
                if value is not None:
                    patch.setenv(f"RUCIO_CS3_{key.upper()}", str(value))
            return Done(*called(patch, capfd, "rse", *arguments, stdin=stdin))

    return call


@pytest.fixture
def process(sandbox):
    """The same in a process of its own, with these sections in rucio.cfg."""

    def call(*arguments, config):
        environ = sandbox.user.with_config(config).environ
        pipes = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        argv = [str(word) for word in (BIN / "rucio-cs3", "rse", *arguments)]
        return subprocess.run(argv, env=environ, timeout=120, check=False, **pipes)

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
    settings = {key: value for key, value in client.get_rse(name).items() if key not in {"id", "rse"}}
    attributes = {key: value for key, value in client.list_rse_attributes(name).items() if key != name}
    ways = [way for other in others for way in ((name, other), (other, name))]
    return settings, attributes, [client.get_distance(*way)[0]["distance"] for way in ways]


@pytest.fixture
def rse(command, name, options):
    """One that has been made."""
    told(command("add", name, *options, "--no-probe", "--yes", "--json"))
    return name


@pytest.fixture
def other(client):
    """Another RSE, to have a distance to."""
    name = f"OTHER-{next(numbers)}"
    client.add_rse(name)
    return name
