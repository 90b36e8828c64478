"""An OIDC login to Rucio is all it takes: the storage gets the user's own token, and gives the user's own rights."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import TYPE_CHECKING

import jwt
import pytest
from rucio.common.exception import Duplicate

from demo.process import BIN, run
from demo.storage import LOGIN, Gateway
from tests.idp.idp import RUCIO, USERS, Browser
from tests.rucio.broker import Broker
from tests.rucio.front import TlsFront

if TYPE_CHECKING:
    from demo.sandbox import Home

RSE = "HOMES"
FOLDER = "rse"
CONTENT = b"some bytes\n"
LOGIN_SECONDS = 60


@pytest.fixture(scope="module")
def homes(idp, tmp_path_factory):
    """A site where each user has a home of his own, with the RSE's folder in it."""
    with Gateway(tmp_path_factory.mktemp("homes"), "--behave", "reva-localhome", "--oidc-issuer", idp.url) as gateway:
        for user in USERS:
            (gateway.root / user / FOLDER).mkdir(parents=True)
        yield gateway


@pytest.fixture(scope="module")
def rse(homes, client):
    client.add_rse(RSE)
    parameters = {key: value for key, value in vars(homes.davs(FOLDER)).items() if value is not None}
    client.add_protocol(RSE, parameters)
    return RSE


@pytest.fixture(scope="module")
def front(sandbox, pki):
    """Rucio's server as people reach it to log in by OIDC: for that it takes its own address for https."""
    with TlsFront(sandbox.url, pki / "site.pem", pki / "site.key") as front:
        yield front


@pytest.fixture(scope="module")
def oidc(idp, idpsecrets, front, client, rse):
    """Rucio knows the provider, and has an account for each of its users."""
    redirects = [f"{front.url}/auth/oidc_{page}" for page in ("code", "token")]
    known = {"client_id": RUCIO.id, "client_secret": RUCIO.secret, "issuer": idp.url, "redirect_uris": redirects}
    idpsecrets.write_text(json.dumps({"idp": {**known, "SCIM": known}}))
    for user in USERS:
        with contextlib.suppress(Duplicate):  # other tests know her as well
            client.add_account(user, "USER", f"{user}@example.org")
        client.add_identity(user, f"SUB={user}, ISS={idp.url}", "OIDC", f"{user}@example.org", default=True)
        client.add_scope(user, f"user.{user}")
        client.set_local_account_limit(user, rse, -1)
        # with Rucio's generic permissions nobody else can say that an upload is complete; it means nothing at the site
        with contextlib.suppress(Duplicate):
            client.add_account_attribute(user, "admin", "True")
    return idp


@dataclass
class Person:
    """Somebody at a command line, with no credentials set."""

    name: str
    home: Home
    environ: dict[str, str]

    @property
    def token(self) -> Path:
        """Where Rucio's client keeps the token of its last login."""
        return Path(self.home.sections["client"]["auth_token_file_path"])

    def rucio(self, *arguments: str | Path) -> str:
        return run([BIN / "rucio", *arguments], env={**self.home.environ, **self.environ}, cwd=self.home.folder).stdout

    def upload(self, file: Path) -> str:
        return self.rucio("upload", "--rse", RSE, "--scope", f"user.{self.name}", file)

    def download(self, did: str, target: Path) -> str:
        return self.rucio("download", did, "--dir", target, "--no-subdir")

    def log_in(self, ca: Path) -> str:
        """Have Rucio's client wait for a login, and do that in a browser. Returns what the client said."""
        environ = {**self.home.environ, "PYTHONUNBUFFERED": "1"}
        command = [str(BIN / "rucio"), "whoami"]
        with (
            subprocess.Popen(command, env=environ, stdout=PIPE, stderr=STDOUT, text=True) as client,
            Browser(ca) as web,
        ):
            try:
                said = []
                while not (said and said[-1].startswith("https://")):
                    said.append(client.stdout.readline().strip())
                    assert client.poll() is None, said
                web.open(said[-1])
                web.submit(username=self.name, password=USERS[self.name])
                return client.communicate(timeout=LOGIN_SECONDS)[0]
            finally:
                client.kill()


@pytest.fixture
def person(sandbox, front, pki, oidc):
    """Make a person who logs in to Rucio by OIDC."""

    def make(name: str, **environ: str) -> Person:
        server = {"auth_host": front.url, "ca_cert": pki / "ca.pem", "auth_type": "oidc", "oidc_polling": True}
        login = {"account": name, "username": None, "password": None}
        token = sandbox.folder / f"token-{uuid.uuid4()}"
        changes = {"client": {**server, **login, "auth_token_file_path": token}}
        return Person(name, sandbox.user.with_config({**changes, "cs3": dict.fromkeys([*LOGIN, "gateway"])}), environ)

    return make


@pytest.fixture
def bearer(oidc, person, tmp_path):
    """Make a person whose token Rucio's client discovers; it came by the device flow."""

    def make(name: str) -> Person:
        file = tmp_path / f"bt-{name}"
        file.touch(mode=0o600)
        file.write_text(oidc.login(name)["access_token"])
        return person(name, BEARER_TOKEN_FILE=str(file))

    return make


@pytest.fixture
def stored(homes):
    """Each user's files at the site, by their names."""

    def look() -> dict[str, dict[str, bytes]]:
        found = {user: (homes.root / user).rglob("*") for user in USERS}
        return {
            user: {path.name: path.read_bytes() for path in paths if path.is_file()} for user, paths in found.items()
        }

    return look


@pytest.fixture
def local(tmp_path):
    file = tmp_path / f"file-{uuid.uuid4().hex}"
    file.write_bytes(CONTENT)
    return file


def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def test_a_login_to_rucio_is_a_login_to_the_site(person, oidc, pki, stored, local, tmp_path):
    einstein = person("einstein")
    assert re.search(r"account\s*:\s*einstein", einstein.log_in(pki / "ca.pem"))
    token = claims(einstein.token.read_text())
    assert (token["iss"], token["sub"], token["client_id"]) == (oidc.url, "einstein", RUCIO.id)

    before = stored()
    einstein.upload(local)
    assert stored() == {**before, "einstein": {**before["einstein"], local.name: CONTENT}}
    einstein.download(f"user.einstein:{local.name}", tmp_path / "down")
    assert (tmp_path / "down" / local.name).read_bytes() == CONTENT


def test_what_is_set_for_the_site_comes_before_the_login_to_rucio(bearer, stored, local, tmp_path):
    einstein = bearer("einstein")
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(USERS["marie"])
    login = {f"cs3:{RSE}": {"username": "marie", "password_file": password}}
    before = stored()
    dataclasses.replace(einstein, home=einstein.home.with_config(login)).upload(local)
    assert stored() == {**before, "marie": {**before["marie"], local.name: CONTENT}}


def test_a_token_that_rucio_discovers_has_its_owners_rights_only(bearer, stored, local, tmp_path):
    einstein, marie = bearer("einstein"), bearer("marie")
    before = stored()
    marie.upload(local)
    assert stored() == {**before, "marie": {**before["marie"], local.name: CONTENT}}
    said = einstein.download(f"user.marie:{local.name}", tmp_path / "down")
    assert "not found" in said.lower(), said
    assert not (tmp_path / "down" / local.name).exists()
    marie.download(f"user.marie:{local.name}", tmp_path / "down")
    assert (tmp_path / "down" / local.name).read_bytes() == CONTENT


def test_whom_rucio_knows_but_not_the_site_is_refused(bearer, stored, local):
    before = stored()
    said = bearer("stranger").upload(local)
    assert "refused the bearer login" in said, said
    assert stored() == before


@pytest.fixture
def behind_a_broker(tmp_path, sandbox, client, oidc):
    """An RSE at a site that knows nothing of the provider, but has a broker."""
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text("machine-secret-of-the-site")
    options = ("--behave", "reva-localhome", "--machine-secret-file", str(tmp_path / "secret"))
    with Gateway(tmp_path, *options) as gateway:
        (gateway.root / "marie" / FOLDER).mkdir(parents=True)
        broker = Broker(tmp_path, gateway, f'host = "{sandbox.url}"')
        protocol = gateway.davs(FOLDER)
        protocol.extended_attributes["cs3"].update(broker=f"http://127.0.0.1:{broker.port}", auth="broker")
        client.add_rse("BEHIND-A-BROKER")
        client.add_protocol(
            "BEHIND-A-BROKER", {key: value for key, value in vars(protocol).items() if value is not None}
        )
        client.set_local_account_limit("marie", "BEHIND-A-BROKER", -1)
        try:
            yield gateway
        finally:
            broker.stop()


def test_an_oidc_login_and_the_broker(behind_a_broker, bearer, local):
    said = bearer("marie").rucio("upload", "--rse", "BEHIND-A-BROKER", "--scope", "user.marie", local)
    assert [path.name for path in (behind_a_broker.root / "marie").rglob("*") if path.is_file()] == [local.name], said
