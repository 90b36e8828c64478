"""A run of every source, well and badly: no secret is where it must not be, and each is sent only to whom it is for."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.credentials.caller import Caller, RucioLogin
from rucio_cs3.credentials.logins import Logins
from rucio_cs3.errors import Cs3Error
from rucio_cs3.gateway import DEMO_USERS, Fault, Gateway, User
from tests.idp.idp import PEOPLE, RUCIO
from tests.unit.broker.conftest import SECRET, TOKEN, load, peer, secret_file, serve, settings
from tests.unit.credentials.evidence import Evidence, GrpcWire, HttpWire, Secret

__all__ = ["load", "peer", "secret_file", "serve", "settings"]

PASSWORD = "password-of-einstein"
PEOPLE_HERE = [
    User(username=RUCIO.id, password="-", id="service"),
    *(User(**{**vars(user), "password": PASSWORD}) if user.username == "einstein" else user for user in DEMO_USERS),
]
LOGIN = ("gateway", "Authenticate.client_secret")
ALLOWED = {
    "password": {LOGIN},
    "app password": {LOGIN},
    "machine secret": {LOGIN},
    "oidc token": {LOGIN, ("provider", "form subject_token")},
    "refresh token": {("provider", "form refresh_token")},
    "client secret": {("provider", "header authorization")},
    "rucio token": {("broker", "header x-rucio-auth-token")},
    "reva token": {
        ("gateway", "metadata x-access-token"),
        ("gateway", "WhoAmI.token"),
        ("data", "header x-access-token"),
    },
}


@pytest.fixture(scope="module")
def gateway(idp, tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    with Gateway(root, users=PEOPLE_HERE, machine_secret=SECRET, oidc_issuer=idp.url) as gateway:
        yield gateway
        gateway.faults.clear()


@pytest.fixture
def evidence(tmp_path, monkeypatch):
    for name, folder in {"XDG_DATA_HOME": "data", "XDG_RUNTIME_DIR": "run", "HOME": "home"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    found = Evidence([tmp_path / "tokens", tmp_path / "data"])
    logger = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "urllib3", "rucio_cs3")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logger.addHandler(found)
    yield found
    logger.removeHandler(found)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def wire(evidence, gateway, idp, monkeypatch):
    """All that we send passes here."""
    grpc_wire = GrpcWire(evidence, gateway.address)
    with HttpWire(evidence, {idp.url.partition("//")[2]: "provider"}) as http:
        monkeypatch.setenv("no_grpc_proxy", "127.0.0.1")
        monkeypatch.setenv("http_proxy", http.url)
        monkeypatch.setattr("rucio_cs3.web.is_loopback", lambda _: False)  # else it would not be asked
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        http.gateway = grpc_wire.address
        yield http
    grpc_wire.close()


@pytest.fixture
def parts(wire, evidence, gateway, idp, settings, serve, tmp_path, monkeypatch):
    """What the sources need."""

    class Parts:
        broker_url = ""

        def secret(self, kind, value):
            evidence.secrets.add(Secret(kind, value))
            return value

        def private(self, kind, value):
            file = tmp_path / "given"
            file.touch(0o600)
            file.write_text(self.secret(kind, value))
            return str(file)

        def oidc(self, user="einstein"):
            return self.secret("oidc token", idp.login(user)["access_token"])

        def app_password(self):
            login = {"username": "einstein", "password": PASSWORD, "cache": "off"}
            with Cs3Client(gateway=gateway.address, tls=False, **login) as client:
                return self.secret("app password", client.apps.create("test", paths="/").password)

        def rucio_client(self):
            secret = self.secret("client secret", RUCIO.secret)
            return {"issuer": idp.url, "client_id": RUCIO.id, "client_secret": secret}

        def people(self):
            return {"issuer": idp.url, "client_id": PEOPLE.id}

        def refresh_token(self):
            return self.private("refresh token", idp.login("einstein")["refresh_token"])

        def stored(self):
            """A login as `token login` keeps it, of which only the refresh token is left."""
            known = self.secret("refresh token", idp.login("einstein")["refresh_token"])
            with Cs3Client(gateway=wire.gateway, **self.people()) as client:
                Logins().keep(client._sources.provider(), {"refresh_token": known})
            return self.people()

        def command(self):
            """Writes down how it was called."""
            program = tmp_path / "program.py"
            program.write_text(
                "import os, sys\n"
                "lines = [open(f'/proc/{pid}/cmdline').read() for pid in (os.getpid(), os.getppid())]\n"
                "open(sys.argv[1], 'w').write(' '.join(lines))\n"
                "print(open(sys.argv[2]).read())\n"
            )
            token = self.private("oidc token", self.oidc())
            return f"{sys.executable} {program} {tmp_path / 'cmdline'} {token}"

        def broker(self):
            settings["sites"] = {wire.gateway: next(iter(settings["sites"].values()))}
            self.secret("machine secret", SECRET)
            self.secret("rucio token", TOKEN)
            url = f"127.0.0.1:{serve(settings).port}"
            wire.names[url] = "broker"
            return {"broker": f"http://{url}"}

        def reva(self):
            with Cs3Client(gateway=gateway.address, tls=False, username="einstein", password=PASSWORD) as client:
                return self.secret("reva token", client.tokens.get())

        def discovered(self):
            monkeypatch.setenv("BEARER_TOKEN_FILE", self.private("oidc token", self.oidc()))
            return {}

    return Parts()


# method -> settings, and the Rucio login
SOURCES = {
    "token": lambda on: ({"token": on.reva()}, None),
    "bearer": lambda on: ({"bearer_token_file": on.private("oidc token", on.oidc())}, None),
    "rucio": lambda on: ({}, on.oidc()),
    "exchange": lambda on: ({**on.rucio_client(), "audience": "cs3"}, on.oidc()),
    "wlcg": lambda on: (on.discovered(), None),
    "command": lambda on: ({"token_command": on.command()}, None),
    "client_credentials": lambda on: (on.rucio_client(), None),
    "refresh": lambda on: ({**on.people(), "refresh_token_file": on.refresh_token()}, None),
    "login": lambda on: (on.stored(), None),
    "appauth": lambda on: ({"username": "einstein", "app_password": on.app_password()}, None),
    "broker": lambda on: (on.broker(), TOKEN),
    "machine": lambda on: ({"username": "einstein", "machine_secret": on.secret("machine secret", SECRET)}, None),
    "basic": lambda on: ({"username": "einstein", "password": on.secret("password", PASSWORD)}, None),
}


@pytest.fixture
def run(wire, evidence, gateway, parts, tmp_path):
    """Does what people do, and then again with everything going wrong."""

    def run(method):
        settings, rucio = SOURCES[method](parts)
        caller = Caller("me", lambda: RucioLogin("root", rucio)) if rucio else Caller()
        fixed = {"gateway": wire.gateway, "tls": False, "auth": method, "call_timeout": 10}

        def client(cache):
            made = Cs3Client(caller=caller, **fixed, **settings, cache=cache)
            sources = made._sources.in_order()
            evidence.saw(made, made.config, made._sources, made.tokens, caller, *sources)
            return made

        with client(str(tmp_path / "tokens")) as site:
            site.whoami()
            site.upload(io.BytesIO(b"content"), f"/{method}", overwrite=True)
            site.download(f"/{method}", io.BytesIO())
            evidence.saw(site.tokens, *site.tokens.tried)
        for wrong in (refuse, echo):
            wrong(gateway, wire)
            with client(str(tmp_path / wrong.__name__)) as site:
                evidence.folders.append(tmp_path / wrong.__name__)
                try:
                    site.whoami()
                except Cs3Error as error:
                    evidence.caught(error)
                evidence.saw(*site.tokens.tried)
        for file in tmp_path.glob("cmdline"):
            evidence.texts.append(("command line", file.read_text()))

    yield run
    gateway.faults.clear()


def refuse(gateway, _):
    gateway.faults.add(Fault("grpc:Authenticate", "status", status="PERMISSION_DENIED"))


def echo(gateway, wire):
    gateway.faults.clear()
    wire.echoes = True


@pytest.mark.parametrize("method", SOURCES)
def test_a_run_of(run, evidence, method):
    run(method)
    kinds = {secret.kind for secret in evidence.secrets}
    arrived = {secret.kind for *_, text in evidence.messages for secret in evidence.secrets if secret.value in text}
    assert evidence.leaks(ALLOWED) == []
    # and it has looked at something
    assert arrived == kinds
    assert any(where == "traceback" for where, _ in evidence.texts) == (method != "token")
    assert any(where.startswith("log of") for where, _ in evidence.texts)


def leak_by_log(evidence, secret, folder):
    logging.getLogger("rucio_cs3.somewhere").debug("logging in with %s", secret)


def fail(secret):
    raise KeyError(secret)


def leak_by_trace(evidence, secret, folder):
    try:
        fail(secret)
    except KeyError:
        logging.getLogger("urllib3").debug("failed", exc_info=True)


def leak_by_end(evidence, secret, folder):
    logging.getLogger("anybody").debug("token …%s", secret[-12:])


def leak_by_cause(evidence, secret, folder):
    try:
        fail(secret)
    except KeyError as error:
        ours = Cs3Error("failed")
        ours.__cause__ = error
        evidence.caught(ours)


def leak_by_repr(evidence, secret, folder):
    evidence.saw([secret])


def leak_by_mode(evidence, secret, folder):
    (folder / "x.json").write_text("{}")
    (folder / "x.json").chmod(0o644)


def leak_by_name(evidence, secret, folder):
    (folder / secret).touch(0o600)


def leak_by_file(evidence, secret, folder):
    (folder / "x.json").touch(0o600)
    (folder / "x.json").write_text(json.dumps({"token": "t", "description": secret}))


def leak_by_header(evidence, secret, folder):
    evidence.sent("provider", **{"header x-other": secret})


def leak_by_destination(evidence, secret, folder):
    evidence.sent("data", **{"Authenticate.client_secret": secret})


def leak_by_command_line(evidence, secret, folder):
    evidence.texts.append(("command line", f"curl -u {secret}"))


LEAKS = [leak for name, leak in globals().items() if name.startswith("leak_by")]


@pytest.mark.parametrize("leak", LEAKS)
def test_it_finds_what_it_looks_for(evidence, tmp_path, leak):
    folder = tmp_path / "tokens"
    folder.mkdir(mode=0o700)
    evidence.secrets.add(Secret("password", PASSWORD))
    evidence.sent("gateway", **{"Authenticate.client_secret": PASSWORD})
    assert evidence.leaks(ALLOWED) == []
    leak(evidence, PASSWORD, folder)
    assert len(evidence.leaks(ALLOWED)) >= 1
