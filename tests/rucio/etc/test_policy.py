"""rucio_cs3.policy, as etc/rucio/server.cfg names it: RSEs of scheme cs3s are to Rucio what others are."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from demo.mover import Mover
from demo.process import BIN, Child, run
from demo.sandbox import APPLICATION, Home, get, merged
from demo.storage import LOGIN, Gateway, Protocol
from tests.rucio.conftest import SCOPE
from tests.rucio.etc.described import cfg
from tests.rucio.two_sites.conftest import Orchestra

pytestmark = pytest.mark.timeout(300)  # several rounds of Rucio's daemons
CONTENT = b"some bytes\n"
POLICY = {"policy": cfg("server", everything=True)["policy"]}
# What Rucio decides by, in a process of its own.
LOADED = """
from rucio.common import constants, schema
from rucio.core import permission
from rucio.transfertool.fts3 import FTS3Transfertool
print(schema.schema_modules["def"].__name__, permission.permission_modules["def"].__name__)
print(constants.SUPPORTED_PROTOCOLS.count("cs3s"), "cs3s" in FTS3Transfertool.supported_schemes)
"""


@pytest.fixture(scope="module")
def secure(tmp_path_factory, pki):
    options = ("--tls-cert", str(pki / "site.pem"), "--tls-key", str(pki / "site.key"))
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(Gateway(tmp_path_factory.mktemp(name), *options)) for name in ("secure", "secure-too")
        ]


def without_package(home, changes=None):
    """A home like this one, but what rucio.cfg says of policies counts."""
    environ = {name: value for name, value in home.extra_environ.items() if name != "RUCIO_POLICY_PACKAGE"}
    folder = Path(tempfile.mkdtemp(dir=home.folder.parent))
    return Home(folder, merged(home.sections, changes or {}), environ)


@pytest.fixture(scope="module", params=["stock", "with the package"])
def rucio(request, sandbox, pki):
    """The same Rucio once more: its server, daemons and clients, with the package or as it comes."""
    added = POLICY if request.param == "with the package" else {}
    other = sandbox.cold()
    other.operator = without_package(sandbox.operator, {**added, "conveyor": {"scheme": "davs,cs3s"}})
    other.has_package = bool(added)
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listening:
        other.cleanup = stack
        other.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = Child(
            [str(BIN / "gunicorn"), "--bind", f"fd://{listening.fileno()}", "--workers=1", APPLICATION],
            log=other.operator.folder / "server.log",
            env=other.operator.environ,
            pass_fds=[listening.fileno()],
            cwd=other.operator.folder,
        )
        stack.callback(server.stop)
        get(f"{other.url}/ping", timeout=60)
        client = {
            "rucio_host": other.url,
            "auth_host": other.url,
            "auth_token_file_path": other.operator.folder / "token",
        }
        other.user = without_package(sandbox.user, {"client": client, "cs3": dict.fromkeys([*LOGIN, "gateway"])})
        yield other


@pytest.fixture
def add(add_site, secure, pki, rucio):
    """An RSE of scheme cs3s, and nothing else, at one of the gateways."""

    def add(gateway):
        site = add_site(at=gateway)
        host, _, port = gateway.grpc.rpartition(":")
        site.add_protocol(Protocol("cs3s", host, int(port), f"/home/{site.folder.name}/"))
        site.sandbox = rucio
        return site

    return add


def login(site, pki):
    return {f"cs3:{site.rse}": {**LOGIN, "ca": pki / "ca.pem"}}


def table(site, gateway, pki):
    return {"gateway": gateway.grpc, "ca": str(pki / "ca.pem"), "cs3_root": f"/home/{site.folder.name}", **LOGIN}


def test_replicas_are_listed_and_files_come(rucio, add, secure, pki, make_file, new_name, tmp_path):
    site = add(secure[0])
    config = login(site, pki)
    site.upload(make_file("local", CONTENT), "--lfn", new_name, config=config)
    assert site.path(new_name).read_bytes() == CONTENT
    said = rucio.rucio("replica", "list", "file", f"{SCOPE}:{new_name}", "--metalink").stdout
    assert (f"cs3s://{secure[0].grpc}/home/{site.folder.name}/" in said) == rucio.has_package, said
    said = site.download(new_name, tmp_path / "down", config=config).stdout
    assert (tmp_path / "down" / new_name).exists() == rucio.has_package, said
    assert ("No available source" in said) != rucio.has_package


def test_a_rule_moves_a_file(rucio, add, secure, pki, client, new_name, tmp_path):
    here, there = map(add, secure)
    here.register(new_name, CONTENT)
    tables = {site.rse: table(site, gateway, pki) for site, gateway in zip((here, there), secure)}
    with Mover(tmp_path, tables) as mover:
        orchestra = Orchestra(rucio, client, mover)
        for site in (here, there):
            orchestra.add(site)
        rule = orchestra.rule(new_name, there)
        became = orchestra.settle(rule)
    if rucio.has_package:
        assert became == ["OK"]
        assert list(there.stored().values()) == [CONTENT]
        orchestra.agree()
    else:
        assert became != ["OK"]
        assert there.stored() == {}


def test_nothing_else_changes(rucio):
    ran = run([sys.executable, "-c", LOADED], env=rucio.operator.environ)
    *_, modules, scheme = ran.stdout.strip().splitlines()
    assert modules == "rucio.common.schema.generic rucio.core.permission.generic", ran.stdout
    assert scheme == f"{int(rucio.has_package)} {rucio.has_package}"


def test_a_policy_package_of_ones_own_lists_it_too(sandbox, tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "__init__.py").write_text("import rucio_cs3.policy\n")
    home = without_package(sandbox.operator, {"policy": {"package": "ours"}})
    path = os.pathsep.join([str(tmp_path), home.environ.get("PYTHONPATH", "")])
    ran = run([sys.executable, "-c", LOADED], env={**home.environ, "PYTHONPATH": path})
    assert ran.stdout.strip().splitlines()[-1] == "1 True", ran.stdout
