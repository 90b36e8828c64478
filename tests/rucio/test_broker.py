"""A real Rucio, the real broker beside it, and a gateway that trusts the broker alone."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import sys
import uuid
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

import pytest
import sqlalchemy
import trustme
from rucio.common.exception import Duplicate

from demo.process import BIN, run
from demo.sandbox import PASSWORD, USERNAME
from demo.storage import LOGIN, Gateway
from rucio_cs3 import Cs3Client
from tests.rucio.broker import Broker

SECRET = "machine-secret-of-the-site"
DN = "CN=jdoe"
CONTENT = b"some bytes\n"


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("storage")
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    with Gateway(folder, "--machine-secret-file", str(folder / "secret")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def start_broker(tmp_path_factory, storage):
    with contextlib.ExitStack() as stack:

        def start(rucio, more=""):
            broker = Broker(tmp_path_factory.mktemp("broker"), storage, rucio, more)
            stack.callback(broker.stop)
            return broker

        yield start


@pytest.fixture(scope="module")
def broker(start_broker, sandbox):
    return start_broker(f'host = "{sandbox.url}"', "requests_per_minute = 600")


@pytest.fixture(scope="module")
def accounts(client):
    """Accounts that the operator of Rucio has made, each with a password of its own."""
    for account in ("marie", "ghost", "unmapped", "suspended"):
        with contextlib.suppress(Duplicate):  # other tests know her as well
            client.add_account(account, "USER", f"{account}@example.org")
        client.add_identity(account, account, "USERPASS", f"{account}@example.org", password=f"{account}-password")
    with contextlib.suppress(Duplicate):
        client.add_identity("marie", DN, "X509", "marie@example.org")


def get(url, headers, **options):
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    with contextlib.closing(kind(parts.hostname, parts.port, timeout=60, **options)) as connection:
        connection.request("GET", parts.path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def password_login(sandbox, account):
    """A new token of Rucio."""
    name, password = (USERNAME, PASSWORD) if account == "root" else (account, f"{account}-password")
    headers = {"X-Rucio-Account": account, "X-Rucio-Username": name, "X-Rucio-Password": password}
    status, body, answered = get(f"{sandbox.url}/auth/userpass", headers)
    assert status == 200, body
    return answered["X-Rucio-Auth-Token"]


def works_as(storage, token):
    """Whom the site takes the bearer for, after a file has really been stored and read with the token."""
    with Cs3Client(gateway=storage.grpc, tls=False, token=token) as site:
        site.files.mkdir("/home/from-broker", exist_ok=True)
        with site.open_write("/home/from-broker/file", overwrite=True) as file:
            file.write(CONTENT)
        with site.open_read("/home/from-broker/file") as file:
            assert file.read() == CONTENT
        return site.whoami().username


@pytest.mark.parametrize(("account", "user"), [("root", "einstein"), ("marie", "marie")])
def test_a_password_login_becomes_a_reva_token(broker, sandbox, storage, accounts, account, user):
    status, answer = broker.ask(password_login(sandbox, account))
    assert status == 200, answer
    assert works_as(storage, answer["token"]) == user
    assert answer["expires"] > datetime.now(timezone.utc).timestamp()


def test_the_token_of_rucios_own_client(broker, client, storage):
    status, answer = broker.ask(client.auth_token)
    assert status == 200, answer
    assert works_as(storage, answer["token"]) == "einstein"


def test_a_certificate_login_becomes_a_reva_token(start_broker, sandbox, secure_rucio, certificates, storage, accounts):
    """By Rucio's own command, to a Rucio over TLS, which the broker too asks over TLS."""
    token_file = certificates / "token"
    files = {
        "ca_cert": certificates / "ca.pem",
        "client_cert": certificates / "jdoe.pem",
        "client_key": certificates / "jdoe.key",
    }
    login = {"auth_type": "x509", "account": "marie", "auth_token_file_path": token_file, **files}
    hosts = {"rucio_host": secure_rucio, "auth_host": secure_rucio}
    said = sandbox.rucio("whoami", config={"client": {**hosts, **login}}).stdout
    assert "ACTIVE" in said, said
    broker = start_broker(f'host = "{secure_rucio}"\nca = "{certificates / "ca.pem"}"')
    status, answer = broker.ask(token_file.read_text())
    assert status == 200, answer
    assert works_as(storage, answer["token"]) == "marie"


def test_a_certificate_that_rucio_does_not_know_gets_no_token(secure_rucio, certificates, accounts):
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "stranger.pem", certificates / "stranger.key")
    assert get(f"{secure_rucio}/auth/x509", {"X-Rucio-Account": "marie"}, context=context)[0] == 401


def test_a_rucio_whose_certificate_nobody_signed(start_broker, secure_rucio, tmp_path, accounts, sandbox):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    broker = start_broker(f'host = "{secure_rucio}"\nca = "{tmp_path / "other.pem"}"')
    status, answer = broker.ask(password_login(sandbox, "root"))
    assert (status, answer["code"]) == (503, "rucio_unavailable")
    assert "certificate is not trusted" in answer["error"]


def test_who_is_not_mapped(broker, sandbox, accounts):
    status, answer = broker.ask(password_login(sandbox, "unmapped"))
    assert (status, answer["code"]) == (403, "account_not_mapped")
    assert "unmapped" in answer["error"]


def test_who_is_unknown_at_the_site(broker, sandbox, accounts):
    status, answer = broker.ask(password_login(sandbox, "ghost"))
    assert (status, answer["code"]) == (502, "site_refused")


def test_a_suspended_account(broker, sandbox, client, accounts):
    token = password_login(sandbox, "suspended")
    client.update_account("suspended", "status", "SUSPENDED")
    status, answer = broker.ask(token)
    assert (status, answer["code"]) == (403, "account_not_mapped")
    assert "not active" in answer["error"]


def test_an_expired_token(broker, sandbox, accounts):
    token = password_login(sandbox, "root")
    engine = sqlalchemy.create_engine(sandbox.operator.sections["database"]["default"])
    with engine.begin() as database:
        past = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(minutes=1)
        statement = sqlalchemy.text("UPDATE tokens SET expired_at = :past WHERE token = :token")
        assert database.execute(statement, {"past": past, "token": token}).rowcount == 1
    engine.dispose()
    status, answer = broker.ask(token)
    assert (status, answer["code"]) == (401, "rucio_token_refused")


FOREIGN = {
    "of another Rucio": "root-operator-unknown-0123456789abcdef0123456789abcdef",
    "garbage": "garbage",
    "looks like a JWT": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290IiwiaXNzIjoiaHR0cHM6Ly9leGFtcGxlLm9yZyJ9.c2ln",
    "two dots": "root-a.b.c",
    "binary": "\xff\xfe",
    "quotes": "' OR 1=1 --",
    "challenge": "challenge-0123",
    "20 kB": "x" * 20_000,
}


@pytest.mark.parametrize("token", FOREIGN.values(), ids=FOREIGN)
def test_a_token_that_is_not_of_this_rucio(broker, token):
    status, answer = broker.ask(token)
    assert (status, answer["code"]) == (401, "rucio_token_refused"), answer


def test_rucio_is_down(start_broker, client):
    status, answer = start_broker('host = "http://127.0.0.1:1"').ask(client.auth_token)
    assert (status, answer["code"]) == (503, "rucio_unavailable")


def test_the_site_is_down_or_unknown(broker, client):
    status, answer = broker.ask(client.auth_token, "127.0.0.1:1")
    assert (status, answer["code"]) == (503, "site_unavailable")
    status, answer = broker.ask(client.auth_token, "127.0.0.1:2")
    assert (status, answer["code"]) == (404, "unknown_site")


def test_the_rate_of_an_account(start_broker, sandbox, client):
    broker = start_broker(f'host = "{sandbox.url}"', "requests_per_minute = 2")
    assert [broker.ask(client.auth_token)[0] for _ in range(3)] == [200, 200, 429]


def test_the_audit_log_says_who_and_no_secret(start_broker, sandbox, accounts):
    broker = start_broker(f'host = "{sandbox.url}"')
    token = password_login(sandbox, "marie")
    _, answer = broker.ask(token)
    broker.ask("stranger")
    broker.stop()
    text = broker.audit.read_text()
    granted, refused = map(json.loads, text.splitlines())
    assert (granted["account"], granted["user"], granted["site"]) == ("marie", "marie", broker.site)
    assert (refused["code"], refused["account"]) == ("rucio_token_refused", None)
    for secret in (token[-32:], answer["token"], SECRET):
        assert secret not in text


@pytest.fixture
def brokered(broker, sandbox, storage, client):
    """An RSE that names the broker, and Rucio's user with a password and no credentials for the site."""
    (storage.home / "rse").mkdir(exist_ok=True)
    name = f"BROKERED-{uuid.uuid4().hex[:8]}".upper()
    client.add_rse(name)
    entry = storage.davs("rse")
    entry.extended_attributes["cs3"]["broker"] = f"http://127.0.0.1:{broker.port}"
    client.add_protocol(name, {key: value for key, value in vars(entry).items() if value is not None})
    client.set_local_account_limit("root", name, -1)
    token = sandbox.folder / f"token-{uuid.uuid4()}"
    changes = {"client": {"auth_token_file_path": token}, "cs3": dict.fromkeys([*LOGIN, "gateway"])}
    return name, sandbox.user.with_config(changes), token


def test_a_password_login_to_rucio_leads_to_an_upload(brokered, storage, tmp_path):
    rse, home, _ = brokered
    file = tmp_path / f"file-{uuid.uuid4().hex}"
    file.write_bytes(CONTENT)
    said = run([BIN / "rucio", "upload", "--rse", rse, "--scope", "test", file], env=home.environ, cwd=tmp_path).stdout
    found = list(storage.root.rglob(file.name))
    assert [path.read_bytes() for path in found] == [CONTENT], said


def test_a_rucio_token_that_is_over_is_renewed_for_the_broker(brokered):
    _, home, token = brokered
    ask = "from rucio_cs3.protocol import rucio_login as l; x = l(); print(x.account, x.token, x.renew() != x.token)"
    token.write_text("over")
    done = subprocess.run([sys.executable, "-c", ask], env=home.environ, capture_output=True, text=True, check=False)
    assert done.stdout == "root over True\n", done.stderr


def test_a_rucio_that_has_gone_is_told(brokered):
    _, home, token = brokered
    token.write_text("token")
    gone = {"client": {"rucio_host": "http://127.0.0.1:1", "request_retries": 1}}
    ask = (
        "from rucio_cs3.protocol import rucio_login, errors\n"
        "try:\n rucio_login().renew()\n"
        "except errors.Unavailable as error:\n print(error)"
    )
    environ = home.with_config(gone).environ
    done = subprocess.run([sys.executable, "-c", ask], env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Rucio at http://127.0.0.1:1 does not renew the login: "), done.stderr
    assert len(done.stdout.splitlines()) == 1
