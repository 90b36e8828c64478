"""Whoever one is to Rucio, and whatever the site takes: what becomes of an upload, and whose file it is.

The table in docs/logins.md names these tests.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from rucio.common.exception import Duplicate

from demo.process import BIN, run
from demo.storage import LOGIN, Gateway
from rucio_cs3 import Cs3Client
from tests.idp.idp import RUCIO, USERS
from tests.rucio.broker import Broker
from tests.rucio.kerberos import REALM

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "machine-secret-of-the-site"
CONTENT = b"some bytes\n"
FOLDER = "rse"
NO_LOGIN = dict.fromkeys([*LOGIN, "gateway"])  # takes the sandbox's own out of rucio.cfg


class Home:
    """The site, where each user has a home of his own."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def files(self) -> dict[str, set[str]]:
        return {user: {p.name for p in (self.gateway.root / user).rglob("*") if p.is_file()} for user in USERS}

    def client(self, user: str) -> Cs3Client:
        return Cs3Client(gateway=self.gateway.grpc, tls=False, username=user, password=USERS[user])


@pytest.fixture(scope="module")
def homes(idp, tmp_path_factory):
    folder = tmp_path_factory.mktemp("homes")
    secret_file(folder / "secret", SECRET)
    options = ("--behave", "reva-localhome", "--oidc-issuer", idp.url, "--machine-secret-file", str(folder / "secret"))
    with Gateway(folder, *options) as gateway:
        for user in USERS:
            (gateway.root / user / FOLDER).mkdir(parents=True)
        yield Home(gateway)


@pytest.fixture(scope="module")
def add_rse(client, homes):
    """Make an RSE in the users' homes."""

    def add(name: str, **attributes: object) -> str:
        client.add_rse(name)
        client.add_rse_attribute(name, "greedyDeletion", "True")
        client.set_local_account_limit("root", name, -1)
        protocol = homes.gateway.davs(FOLDER)
        protocol.extended_attributes["cs3"].update(attributes)
        client.add_protocol(name, {key: value for key, value in vars(protocol).items() if value is not None})
        return name

    return add


@pytest.fixture(scope="module")
def rse(add_rse):
    return add_rse("LOGINS")


@pytest.fixture(scope="module")
def broker(tmp_path_factory, homes, sandbox):
    broker = Broker(tmp_path_factory.mktemp("broker"), homes.gateway, f'host = "{sandbox.url}"')
    yield f"http://127.0.0.1:{broker.port}"
    broker.stop()


@pytest.fixture(scope="module")
def brokered(add_rse, broker):
    """An RSE whose site has a broker; its operator has said so, and its users set nothing."""
    return add_rse("BROKERED", broker=broker, auth="broker")


@pytest.fixture
def local(tmp_path) -> Path:
    file = tmp_path / f"file-{uuid.uuid4().hex}"
    file.write_bytes(CONTENT)
    return file


def secret_file(path: Path, content: str) -> str:
    path.touch(mode=0o600)
    path.write_text(content)
    return str(path)


# What stands in rucio.cfg, made from the site, the provider and a folder for secret files.
SETTINGS = {
    "basic": lambda homes, idp, folder: {
        "username": "einstein",
        "password_file": secret_file(folder / "password", USERS["einstein"]),
    },
    "appauth": lambda homes, idp, folder: {
        "username": "einstein",
        "app_password_file": secret_file(folder / "app", app_password(homes, "einstein")),
    },
    "machine": lambda homes, idp, folder: {
        "username": "einstein",
        "machine_secret_file": secret_file(folder / "machine", SECRET),
    },
    "machine, for the account": lambda homes, idp, folder: {
        "accounts": "nobody: marie, root: einstein",
        "machine_secret_file": secret_file(folder / "machine", SECRET),
    },
    "a Reva token": lambda homes, idp, folder: {"token_file": secret_file(folder / "token", reva_token(homes))},
    "an OIDC token": lambda homes, idp, folder: {"bearer_token_file": secret_file(folder / "oidc", oidc_token(idp))},
    "a command": lambda homes, idp, folder: {
        "token_command": f"cat {secret_file(folder / 'oidc', oidc_token(idp))}",
    },
    "an exchange": lambda homes, idp, folder: {
        "auth": "exchange",
        "issuer": idp.url,
        "client_id": RUCIO.id,
        "client_secret_file": secret_file(folder / "client", RUCIO.secret),
        "audience": "https://{host}",
        "scope": "openid",
        "bearer_token_file": secret_file(folder / "oidc", oidc_token(idp)),
    },
    "a refresh token": lambda homes, idp, folder: {
        "issuer": idp.url,
        "client_id": "people",
        "refresh_token_file": secret_file(folder / "refresh", idp.login("einstein")["refresh_token"]),
    },
}


def app_password(homes: Home, user: str) -> str:
    with homes.client(user) as site:
        return site.apps.create("rucio", paths=[f"/home/{FOLDER}"]).password


def reva_token(homes: Home) -> str:
    with homes.client("einstein") as site:
        site.whoami()
        return str(site.tokens.held)


def oidc_token(idp) -> str:
    return idp.login("einstein")["access_token"]


def upload(sandbox, rse: str, file: Path, settings: dict | None = None, **sections: dict) -> str:
    config = {"cs3": NO_LOGIN, f"cs3:{rse}": settings or {}, **sections}
    return sandbox.rucio("upload", "--rse", rse, "--scope", "test", file, config=config).stdout


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_user_with(sandbox, homes, idp, rse, local, tmp_path, settings):
    said = upload(sandbox, rse, local, settings(homes, idp, tmp_path))
    found = homes.files()
    assert local.name in found["einstein"], said
    assert local.name not in found["marie"]


def test_a_user_with_a_token_where_wlcg_looks(sandbox, homes, idp, rse, local, tmp_path):
    home = sandbox.user.with_config({"cs3": NO_LOGIN})
    environ = {**home.environ, "BEARER_TOKEN_FILE": secret_file(tmp_path / "bt", oidc_token(idp))}
    said = run([BIN / "rucio", "upload", "--rse", rse, "--scope", "test", local], env=environ).stdout
    assert local.name in homes.files()["einstein"], said


def test_a_password_login_and_the_broker(sandbox, homes, brokered, local):
    said = upload(sandbox, brokered, local)
    assert local.name in homes.files()["einstein"], said


def test_many_uploads_need_one_login(sandbox, homes, brokered, tmp_path):
    """The token is kept in the user's cache from one run to the next."""
    files = [tmp_path / f"file-{uuid.uuid4().hex}" for _ in range(3)]
    cache = tmp_path / "cache"
    for file in files:
        file.write_bytes(CONTENT)
        upload(sandbox, brokered, file, {"cache": str(cache)})
    assert {file.name for file in files} <= homes.files()["einstein"]
    [kept] = cache.glob("*.json")
    assert (cache.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)


def make_account(client, name: str) -> str:
    with contextlib.suppress(Duplicate):  # other tests know it as well
        client.add_account(name, "USER", f"{name}@example.org")
    with contextlib.suppress(Duplicate):
        client.add_account_attribute(name, "admin", "True")  # else nobody may say that an upload is complete
    return name


@pytest.fixture(scope="module")
def marie(client):
    return make_account(client, "marie")


@pytest.fixture
def by_ssh(client, marie, tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    client.add_identity(marie, f"{public} {marie}", "SSH", "marie@example.org")
    return {"auth_type": "ssh", "ssh_private_key": secret_file(tmp_path / "id_rsa", private)}


@pytest.fixture
def by_certificate(client, marie, certificates, secure_rucio):
    with contextlib.suppress(Duplicate):
        client.add_identity(marie, "CN=jdoe", "X509", "marie@example.org")
    files = {"ca_cert": "ca.pem", "client_cert": "jdoe.pem", "client_key": "jdoe.key"}
    paths = {name: certificates / file for name, file in files.items()}
    return {"auth_type": "x509", "rucio_host": secure_rucio, "auth_host": secure_rucio, **paths}


@pytest.fixture
def by_kerberos(client, marie, kerberos_login, realm, tmp_path, monkeypatch):
    """As after kinit: where the ticket is, stands in the environment."""
    with contextlib.suppress(Duplicate):
        client.add_identity(marie, f"marie@{REALM}", "GSS", "marie@example.org")
    for name, value in realm.ticket("marie", tmp_path).items():
        monkeypatch.setenv(name, value)
    return kerberos_login


@pytest.fixture(params=["by_ssh", "by_certificate", "by_kerberos"])
def another_login(request, tmp_path):
    """What makes rucio.cfg log marie in without a password."""
    settings = request.getfixturevalue(request.param)
    own = {"account": "marie", "username": None, "password": None, "auth_token_file_path": tmp_path / "rucio-token"}
    return {**settings, **own}


def test_another_login_and_the_broker(sandbox, homes, brokered, local, tmp_path, another_login):
    said = upload(sandbox, brokered, local, client=another_login)
    assert local.name in homes.files()["marie"], said
    assert local.name not in homes.files()["einstein"]
    config = {"cs3": NO_LOGIN, "client": another_login}
    argv = ["download", f"test:{local.name}", "--dir", tmp_path / "down", "--no-subdir"]
    said = sandbox.rucio(*argv, config=config).stdout
    assert (tmp_path / "down" / local.name).read_bytes() == CONTENT, said


@pytest.mark.parametrize("settings", ["basic", "an OIDC token"])
def test_another_login_and_what_is_set_for_the_site(sandbox, homes, idp, rse, local, tmp_path, another_login, settings):
    """Who one is to Rucio says nothing of who one is to the site."""
    said = upload(sandbox, rse, local, SETTINGS[settings](homes, idp, tmp_path), client=another_login)
    found = homes.files()
    assert local.name in found["einstein"], said
    assert local.name not in found["marie"]


def test_an_account_that_the_broker_does_not_map(sandbox, homes, brokered, local, client, tmp_path):
    make_account(client, "unknown")
    client.add_identity("unknown", "unknown", "USERPASS", "u@example.org", password="p-of-unknown")
    own = {"account": "unknown", "username": "unknown", "password": "p-of-unknown"}
    said = upload(sandbox, brokered, local, client={**own, "auth_token_file_path": tmp_path / "rucio-token"})
    assert "unknown" in said
    assert "refuses" in said
    assert "Traceback" not in said
    assert not any(local.name in names for names in homes.files().values())


@pytest.fixture
def doomed(client, sandbox, homes, local):
    """A file on RSEs, uploaded by their users, whose time is over."""

    def make(*rses: str) -> None:
        for number, rse in enumerate(rses):
            name = f"{local.name}-{number}"
            settings = {"username": "einstein", "password": USERS["einstein"]}
            config = {"cs3": NO_LOGIN, f"cs3:{rse}": settings}
            sandbox.rucio("upload", "--rse", rse, "--scope", "test", "--lfn", name, local, config=config)
            for rule in client.list_replication_rules({"scope": "test", "name": name}):
                client.update_replication_rule(rule["id"], {"lifetime": 0})
        sandbox.daemon("judge-cleaner")

    return make


def reap(sandbox, *rses: str, **config: dict) -> str:
    return sandbox.daemon("reaper", "--rses", *rses, "--delay-seconds", "0", config={"cs3": NO_LOGIN, **config}).stdout


@pytest.mark.parametrize("method", ["machine", "appauth", "an OIDC token"])
def test_the_reaper_with(sandbox, homes, idp, rse, local, doomed, tmp_path, method):
    doomed(rse)
    assert any(name.startswith(local.name) for name in homes.files()["einstein"])
    said = reap(sandbox, rse, **{f"cs3:{rse}": SETTINGS[method](homes, idp, tmp_path)})
    assert not any(name.startswith(local.name) for name in homes.files()["einstein"]), said


@pytest.mark.parametrize("method", ["machine", "appauth"])
def test_the_dark_reaper_with(sandbox, homes, idp, rse, client, tmp_path, method):
    """It deletes what nobody has registered. Rucio 41 cannot be told for which RSEs: --rses ends in a TypeError."""
    name = f"dark-{uuid.uuid4().hex}"
    dark = homes.gateway.root / "einstein" / FOLDER / "lost" / name
    dark.parent.mkdir(exist_ok=True)
    dark.write_bytes(CONTENT)
    client.quarantine_replicas([{"path": f"/lost/{name}", "scope": "test", "name": name}], rse=rse)
    login = {f"cs3:{rse}": SETTINGS[method](homes, idp, tmp_path)}
    said = sandbox.daemon("dark-reaper", config={"cs3": NO_LOGIN, **login}).stdout
    assert not dark.exists(), said


def test_the_reaper_with_rse_accounts_for_two_sites(sandbox, homes, idp, add_rse, local, doomed, client, tmp_path):
    """Each RSE has its own login, in the file where Rucio's daemons look for such."""
    rses = add_rse("ONE"), add_rse("TWO")
    doomed(*rses)
    assert sum(name.startswith(local.name) for name in homes.files()["einstein"]) == 2
    logins = [SETTINGS[method](homes, idp, tmp_path) for method in ("machine", "appauth")]
    accounts = {client.get_rse(rse)["id"]: {"cs3": login} for rse, login in zip(rses, logins)}
    file = sandbox.operator.folder / "etc" / "rse-accounts.cfg"
    file.parent.mkdir(exist_ok=True)
    secret_file(file, json.dumps(accounts))
    try:
        said = sandbox.daemon("reaper", "--rses", *rses, "--delay-seconds", "0").stdout
    finally:
        file.unlink()
    assert not any(name.startswith(local.name) for name in homes.files()["einstein"]), said
