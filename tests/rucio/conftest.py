"""One real Rucio and one embedded gateway for the whole session (of each xdist worker); for each test its own RSE."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import socket
import ssl
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

pytest.importorskip("rucio", reason="pip install rucio-cs3[demo]")

from demo.process import BIN, Child
from demo.storage import LOGIN, Gateway
from tests.rucio import kerberos
from tests.rucio.kerberos import Realm
from tests.rucio.warm import WarmSandbox

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from rucio.client import Client

    from demo.sandbox import Sandbox
    from demo.storage import Protocol

HERE = Path(__file__).parent
SCOPE = "test"
numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.rucio)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway"), "--faults") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def pki(tmp_path_factory) -> Path:
    """A folder with ca.pem, site.pem and site.key for two addresses, and other.pem, somebody else's authority."""
    folder = tmp_path_factory.mktemp("pki")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = ca.issue_cert("127.0.0.1", "127.0.0.2")
    issued.private_key_pem.write_to_path(str(folder / "site.key"))
    (folder / "site.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    return folder


@pytest.fixture(scope="session")
def idpsecrets(tmp_path_factory) -> Path:
    """Where Rucio's server will look, at the first OIDC login, for the providers it knows."""
    return tmp_path_factory.mktemp("oidc") / "idpsecrets.json"


@pytest.fixture(scope="session")
def sandbox(gateway, idpsecrets) -> Iterator[Sandbox]:
    # Rucio's generic schema allows letters, digits, / . _ - in names; this policy is the generic one but for that.
    path = os.pathsep.join(filter(None, (str(HERE / "policy"), os.environ.get("PYTHONPATH"))))
    environ = {"PYTHONPATH": path, "RUCIO_POLICY_PACKAGE": "any_name"}
    config = {
        "cs3": {"gateway": gateway.grpc, **LOGIN},
        "client": {"protocol_stat_retries": 0},
        "conveyor": {"scheme": "davs", "transfertool": "fts3", "suspicious_pattern": ".*SOURCE CHECKSUM MISMATCH.*"},
        "oidc": {"idpsecrets": idpsecrets, "admin_issuer": "idp"},
    }
    with WarmSandbox(config=config, environ=environ) as sandbox:
        sandbox.client().add_scope("root", SCOPE)
        yield sandbox


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Path:
    """A folder with those of a server, of jdoe whom Rucio knows, and of a stranger, with their authority ca.pem."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    for name, issued in {
        "server": ca.issue_cert("127.0.0.1", "localhost"),
        "jdoe": ca.issue_cert("jdoe@example.org", common_name="jdoe"),
        "stranger": ca.issue_cert("x@example.org", common_name="stranger"),
    }.items():
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / f"{name}.key").chmod(0o600)  # Rucio's client insists
    return folder


@contextlib.contextmanager
def behind_tls(sandbox: Sandbox, certificates: Path, module: str, **environ: str) -> Iterator[str]:
    """The same Rucio once more, as this module of wsgi/ and TLS that asks for certificates: its https address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        tls = [
            "--certfile",
            certificates / "server.pem",
            "--keyfile",
            certificates / "server.key",
            "--ca-certs",
            certificates / "ca.pem",
        ]
        argv = [BIN / "gunicorn", "--bind", f"fd://{listening.fileno()}", *tls, "--cert-reqs", ssl.CERT_OPTIONAL]
        inherited = sandbox.operator.environ
        path = os.pathsep.join([str(HERE / "wsgi"), inherited.get("PYTHONPATH", "")])
        server = Child(
            [*map(str, argv), f"{module}:application"],
            log=certificates / f"{module}.log",
            env={**inherited, **environ, "PYTHONPATH": path},
            pass_fds=[listening.fileno()],
            cwd=certificates,
        )
        url = f"https://localhost:{listening.getsockname()[1]}"
    try:
        yield url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def secure_rucio(sandbox, certificates) -> Iterator[str]:
    """Rucio for logins by certificate."""
    with behind_tls(sandbox, certificates, "x509_rucio") as url:
        yield url


@pytest.fixture(scope="session")
def realm(tmp_path_factory) -> Iterator[Realm]:
    """A Kerberos realm in which there are marie, whom Rucio can be told of, and a stranger."""
    if why := kerberos.missing():
        pytest.skip(why)
    with Realm(tmp_path_factory.mktemp("realm"), "marie", "stranger") as realm:
        yield realm


@pytest.fixture(scope="session")
def kerberos_login(sandbox, certificates, realm) -> Iterator[dict[str, object]]:
    """Rucio for logins by Kerberos: what a client's configuration says of it."""
    with behind_tls(sandbox, certificates, "gss_rucio", **realm.server_environ) as url:
        yield {"auth_type": "gss", "rucio_host": url, "auth_host": url, "ca_cert": certificates / "ca.pem"}


@pytest.fixture(scope="session")
def client(sandbox) -> Client:
    return sandbox.client()


@dataclass
class Site:
    """An RSE and the folder that holds its files, with the commands that users and operators run on it."""

    rse: str
    folder: Path
    sandbox: Sandbox
    client: Client

    def add_protocol(self, protocol: Protocol) -> None:
        parameters = {key: value for key, value in vars(protocol).items() if value is not None}
        self.client.add_protocol(self.rse, parameters)

    def upload(self, *arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
        return self.sandbox.rucio("upload", "--rse", self.rse, "--scope", SCOPE, *arguments, **options)

    def download(self, name: str, target: Path, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        did = f"{SCOPE}:{name}"
        return self.sandbox.rucio("download", did, "--dir", target, "--no-subdir", *arguments, **options)

    def expire(self, *names: str) -> None:
        """End the life of the files' rules, so that the reaper may have them."""
        # not list_did_rules: its client asks for "a+b" when the name is "a b"
        for name in names:
            for rule in self.client.list_replication_rules({"scope": SCOPE, "name": name}):
                self.client.update_replication_rule(rule["id"], {"lifetime": 0})
        self.sandbox.daemon("judge-cleaner")

    def config(self, **options: object) -> dict[str, dict[str, object]]:
        """Return what makes the user's or the daemon's rucio.cfg say this of our RSE; None takes an option away."""
        return {"cs3": dict.fromkeys(LOGIN), f"cs3:{self.rse}": {**LOGIN, **options}}

    def reap(self, **options) -> subprocess.CompletedProcess[str]:
        return self.sandbox.daemon("reaper", "--rses", self.rse, "--delay-seconds", "0", **options)

    def replica(self, name: str) -> dict | None:
        """What the catalogue says of the file here: its state, PFN, bytes and checksum; None when it has no replica."""
        replicas = self.client.list_replicas([{"scope": SCOPE, "name": name}], all_states=True)
        found = next((replica for replica in replicas if self.rse in replica["states"]), None)
        return found and {**found, "state": found["states"][self.rse]}

    def path(self, name: str) -> Path:
        """Where a deterministic RSE keeps the file."""
        digest = hashlib.md5(f"{SCOPE}:{name}".encode()).hexdigest()
        return self.folder / SCOPE / digest[:2] / digest[2:4] / name

    def put(self, name: str, content: bytes, suffix: str = "") -> Path:
        """Place a file on the storage behind Rucio's back."""
        path = Path(f"{self.path(name)}{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def register(self, name: str, content: bytes) -> None:
        """Place a file on the storage and tell the catalogue."""
        self.put(name, content)
        self.announce(name, content)

    def announce(self, name: str, content: bytes) -> None:
        """Tell the catalogue of a file; no rule protects it from the reaper."""
        self.client.add_replica(self.rse, SCOPE, name, len(content), f"{zlib.adler32(content):08x}")
        self.client.set_tombstone([{"rse": self.rse, "scope": SCOPE, "name": name}])

    def stored(self) -> dict[str, bytes]:
        """Every file in the RSE's folder, by its path there."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
        }


@pytest.fixture
def add_site(sandbox, client, gateway) -> Callable[..., Site]:
    """Make an RSE without protocol on an empty folder of einstein's home, which its operator made beforehand."""

    def add(at: Gateway = gateway, **settings) -> Site:
        number = next(numbers)
        site = Site(f"SITE-{number}", at.home / f"site-{number}", sandbox, client)
        site.folder.mkdir()
        client.add_rse(site.rse, **settings)
        client.add_rse_attribute(site.rse, "greedyDeletion", "True")
        client.set_local_account_limit("root", site.rse, -1)
        return site

    return add


@pytest.fixture
def site(add_site, gateway) -> Site:
    site = add_site()
    site.add_protocol(gateway.davs(site.folder.name))
    return site


@contextlib.contextmanager
def faults_at(gateway: Gateway) -> Iterator[Callable[..., None]]:
    """How to make the storage do wrong, until the end."""
    url = f"http://{gateway.http}/.faults"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(method: str, *faults: dict) -> None:
        direct.open(urllib.request.Request(url, json.dumps(faults).encode(), method=method)).close()

    yield functools.partial(ask, "PUT")
    ask("DELETE")


@pytest.fixture
def set_faults(gateway) -> Iterator[Callable[..., None]]:
    """Let the storage do wrong until the test is over."""
    with faults_at(gateway) as set_faults:
        yield set_faults


@pytest.fixture
def new_name() -> str:
    return f"file-{next(numbers)}"


@pytest.fixture
def make_file(tmp_path) -> Callable[[str, bytes], Path]:
    """Write a local file to upload."""

    def make(name: str, content: bytes = b"some bytes\n") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return make
