"""`rucio-cs3 token login` with a real provider, and somebody who goes to the address that it shows."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess

import pytest

from rucio_cs3.gateway import Gateway
from tests.idp.idp import PEOPLE, RUCIO
from tests.unit.cli.command import COMMAND, SECONDS, environment, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(idp, tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("site"), "reva-localhome", oidc_issuer=idp.url) as gateway:
        yield gateway


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Where logins are kept."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "rucio-cs3" / "logins"


@pytest.fixture
def site(gateway, idp, data, tmp_path):
    oidc = {"issuer": idp.url, "client_id": PEOPLE.id, "scope": "openid profile offline_access"}
    return {"gateway": gateway.address, "tls": "false", "cache": tmp_path / "cache", **oidc}


@contextlib.contextmanager
def logging_in(*arguments, **settings):
    """The command as a process that waits."""
    environ = {**environment(settings), "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, "token", "login", *arguments], env=environ, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def test_login_show_logout(idp, site, data):
    with logging_in(**site) as process:
        address = re.fullmatch(r"Open (http://\S+)\n", process.stdout.readline())[1]
        code = re.search(r"code (\S+)\n", process.stdout.readline())[1]
        assert code in address
        assert "Ctrl-C gives up" in process.stdout.readline()
        idp.approve(address, "marie")
        said, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (0, "")
    assert said == f"Logged in: you are marie at {site['gateway']}\n"
    (kept,) = data.glob("*.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    secrets = [value for name, value in json.loads(kept.read_text()).items() if name.endswith("_token")]
    assert len(secrets) == 1

    explained = run("token", "explain", "--json", **site)
    assert [each["method"] for each in json.loads(explained.stdout)["sources"]] == ["rucio", "wlcg", "login"]
    assert json.loads(explained.stdout)["won"]["username"] == "marie"
    assert not [secret for secret in secrets if secret in said + explained.stdout]

    assert run("token", "logout", **site).stdout == "Forgotten: 1 login, 1 kept token.\n"
    assert not list(data.glob("*.json"))
    assert run("token", "show", **site).returncode == 1


def test_for_scripts(idp, site):
    with logging_in("--json", **site) as process:
        begun = json.loads(process.stdout.readline())
        assert begun["user_code"] in begun["address"]
        idp.approve(begun["address"], "einstein")
        said, _ = process.communicate(timeout=SECONDS)
    assert json.loads(said) == {"issuer": idp.url, "username": "einstein", "renewable": True, "used": True}
    gone = run("token", "logout", "--all", "--json", cache=site["cache"])
    assert json.loads(gone.stdout) == {"logins": 1, "tokens": 1}


def test_who_says_no_is_not_logged_in(idp, site, data):
    with logging_in("--json", **site) as process:
        begun = json.loads(process.stdout.readline())
        idp.approve(begun["address"], "einstein", "deny")
        said, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (1, "")
    assert re.fullmatch(r"OIDC provider \S+ refuses: .*denied.*", json.loads(said)["message"]), said
    assert not data.exists()


def test_ctrl_c_leaves_nothing(site, data):
    with logging_in("--json", **site) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert complaint.strip() == "Aborted!"
    assert not data.exists()


def test_a_login_that_is_not_used(idp, site):
    with logging_in("--json", **site, username="einstein", password="relativity") as process:
        idp.approve(json.loads(process.stdout.readline())["address"], "einstein")
        said, _ = process.communicate(timeout=SECONDS)
    assert json.loads(said)["used"] is False


def test_whom_the_site_does_not_know_is_told(idp, site):
    with logging_in(**site) as process:
        idp.approve(process.stdout.readline().split()[1], "stranger")
        _, complaint = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "refused the bearer login" in complaint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"issuer": "http://127.0.0.1:1"}, "Error: OIDC provider http://127.0.0.1:1 "),
        ({"issuer": "http://idp.example.org"}, "https://"),
        ({"client_id": "unheard-of"}, "refuses"),
        ({"client_id": ""}, "issuer and client_id are not both set"),
        ({"client_id": RUCIO.id, "client_secret": "wrong"}, "refuses"),
    ],
)
def test_a_mistake_is_one_line(site, settings, words):
    ran = run("token", "login", **{**site, **settings})
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert words in ran.stderr
    assert os.environ["XDG_DATA_HOME"] not in ran.stderr
