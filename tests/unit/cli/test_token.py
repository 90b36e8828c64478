from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
import time

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.cli.times import until
from rucio_cs3.gateway import Gateway
from tests.unit.cli.command import COMMAND, environment, refused, run

pytestmark = pytest.mark.slow
UTC = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
LOGIN = {"username": "einstein", "password": "relativity"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("site"), "reva-localhome", machine_secret="machine-secret") as gateway:
        yield gateway


@pytest.fixture
def site(gateway, tmp_path):
    return {"gateway": gateway.address, "tls": "false", "cache": tmp_path / "cache"}


def explained(*arguments, **settings):
    ran = run("token", "explain", "--json", *arguments, **settings)
    assert "Traceback" not in ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def test_an_address_is_no_name_of_a_site_and_what_is_said_of_it_helps(gateway):
    ran = run("token", "explain", f"cs3://{gateway.address}/home", **LOGIN)
    assert (ran.returncode, ran.stdout) == (2, "")
    remedy = f"give --gateway {gateway.address}, and set RUCIO_CS3_TLS=false"
    assert remedy in ran.stderr
    assert remedy in run("token", "explain", "--gateway", f"cs3://{gateway.address}", **LOGIN).stderr
    assert run("token", "explain", "--gateway", gateway.address, tls="false", **LOGIN).returncode == 0
    assert "give --gateway h:1" in run("token", "explain", "cs3s://h:1/x").stderr
    assert "give the RSE, or --gateway host:port" in run("token", "explain", "davs://h/x").stderr


def test_who_has_no_login_yet_is_told_how_to_set_one(gateway):
    said = refused("ls", f"cs3://{gateway.address}/")
    assert "are found by rucio, wlcg, login; set RUCIO_CS3_USERNAME and RUCIO_CS3_PASSWORD, or another login;" in said
    assert len(said) < 250


def outcomes(said):
    return [(each["method"], each["outcome"]) for each in said["sources"]]


def test_show_says_who_by_what_and_until_when(site):
    said = run("token", "show", **site, **LOGIN).stdout
    assert said.startswith(f"einstein (Albert Einstein) at {site['gateway']} until ")
    assert re.search(rf"{UTC} \(in 24 hours\), by basic: password of einstein$", said.strip())
    assert "kept from an earlier run" in run("token", "show", **site, **LOGIN).stdout


def test_show_raw_is_the_token_and_nothing_else(site):
    raw = run("token", "show", "--raw", **site, **LOGIN)
    assert raw.stderr == ""
    with Cs3Client(gateway=site["gateway"], tls=False, token=raw.stdout.rstrip("\n"), cache="off") as client:
        assert client.whoami().username == "einstein"
    for arguments in ([], ["--json"]):
        assert raw.stdout.strip() not in run("token", "show", *arguments, **site, **LOGIN).stdout


def test_explain_says_where_each_setting_stands(site, tmp_path, monkeypatch):
    password, file = tmp_path / "password", tmp_path / "site.toml"
    password.touch(mode=0o600)
    password.write_text(LOGIN["password"])
    file.write_text(f'username = "einstein"\npassword_file = "{password}"\ncall_timeout = 20\nretries = 4\n')
    address = site.pop("gateway")
    ran = {"config": file, "retries": "5", "app_password": "not-to-be-shown", "token_command": "echo not-to-be-shown"}
    _, said = explained("--gateway", address, **site, **ran, auth="basic?")
    settings = {each["name"]: (each["value"], each["origin"]) for each in said["settings"]}
    assert settings["gateway"] == (address, "--gateway")
    assert settings["tls"] == (False, "RUCIO_CS3_TLS")
    assert settings["retries"] == (5, "RUCIO_CS3_RETRIES")
    assert settings["call_timeout"] == (20, str(file))
    assert settings["connect_timeout"] == (10, "default")
    # a login comes from one place only: here the environment is in front
    assert {name for name in settings if "RUCIO_CS3" in settings[name][1]} >= {"auth", "app_password", "token_command"}
    assert "password_file" not in settings
    assert settings["app_password"] == (None, "RUCIO_CS3_APP_PASSWORD")
    assert settings["token_command"] == (None, "RUCIO_CS3_TOKEN_COMMAND")
    monkeypatch.setenv("COLUMNS", "250")
    shown = run("token", "explain", "--gateway", address, **site, **ran, auth="basic?").stdout
    assert re.search(r"app_password .* not shown .* RUCIO_CS3_APP_PASSWORD", shown)
    assert re.search(rf"call_timeout .* 20\.0 .* {re.escape(str(file))}", shown)
    assert "not-to-be-shown" not in shown + json.dumps(said)


def test_a_terminal_is_shown_the_token_with_a_warning(site):
    controller, terminal = pty.openpty()
    argv = [*COMMAND, "token", "show", "--raw"]
    environ = environment({**site, **LOGIN})
    ran = subprocess.run(argv, stdout=terminal, stderr=subprocess.PIPE, text=True, env=environ, check=True, timeout=60)
    assert "Whoever sees this" in ran.stderr
    assert os.read(controller, 9999).startswith(b"eyJ")
    os.close(controller)
    os.close(terminal)


def test_explain_tells_of_each_source_in_its_order(site):
    code, said = explained(**site, **LOGIN, auth="rucio, wlcg, token, appauth?, basic, machine", app_password="wrong")
    assert code == 0
    assert outcomes(said) == [
        ("rucio", "nothing"),
        ("wlcg", "nothing"),
        ("token", "nothing"),
        ("appauth", "failed"),
        ("basic", "won"),
        ("machine", "not tried"),
    ]
    reasons = {each["method"]: each["reason"] for each in said["sources"]}
    assert "nobody is logged in to Rucio" in reasons["rucio"]
    assert "no BEARER_TOKEN" in reasons["wlcg"]
    assert "refused the appauth login of einstein" in reasons["appauth"]
    assert reasons["machine"] == "basic comes before it"
    won = said["won"]
    assert (won["username"], won["method"], won["kept"]) == ("einstein", "basic", False)
    assert 86_000 < won["expires"] - time.time() <= 86_400
    code, again = explained(**site, **LOGIN)
    assert again["won"] == {**won, "kept": True}


FAILURES = {
    "a wrong password": ({**LOGIN, "password": "wrong"}, [("basic", "failed")], "wrong password"),
    "nothing set": ({}, [("rucio", "nothing"), ("wlcg", "nothing"), ("login", "nothing")], "issuer and client_id"),
    "an end of the order": (
        {**LOGIN, "auth": "appauth, basic", "app_password": "wrong"},
        [("appauth", "failed"), ("basic", "not tried")],
        "appauth failed, and the order ends there",
    ),
    "a token that the site does not take": (
        {**LOGIN, "token": "of-another-site"},
        [("token", "failed"), ("basic", "not tried")],
        "core access token is invalid",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_explain_when_nothing_wins(site, monkeypatch, case):
    settings, expected, words = FAILURES[case]
    code, said = explained(**site, **settings)
    assert (code, outcomes(said), said["won"]) == (1, expected, None)
    assert any(words in each["reason"] for each in said["sources"])
    monkeypatch.setenv("COLUMNS", "250")
    ran = run("token", "explain", **site, **settings)
    assert ran.returncode == 1
    assert f"Nobody at {site['gateway']}: no source let you in" in ran.stdout
    assert ("set RUCIO_CS3_USERNAME and RUCIO_CS3_PASSWORD" in ran.stdout) == (case == "nothing set")


def test_explain_a_site_that_is_down(site):
    code, said = explained(**{**site, "gateway": "127.0.0.1:1"}, **LOGIN)
    assert (code, outcomes(said)) == (1, [("basic", "failed")])
    assert "nothing listens there" in said["sources"][0]["reason"]


SECRETS = ("password", "app_password", "machine_secret", "token", "bearer_token", "client_secret", "refresh_token")


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("command", ["explain", "show"])
def test_no_part_of_a_secret_is_shown(site, command, form):
    secrets = {name: f"{name[::-1]}-0123456789abcdef" for name in SECRETS}
    oidc = {"issuer": "http://127.0.0.1:1", "client_id": "client"}
    order = "bearer?, refresh?, client_credentials?, appauth?, machine?, basic?, token"
    ran = run("token", command, *form, **site, **{**secrets, **oidc, "username": "einstein"}, auth=order)
    assert ran.returncode == 1
    for secret in secrets.values():
        parts = {secret[begin : begin + 8] for begin in range(len(secret) - 7)}
        assert not [part for part in parts if part in ran.stdout + ran.stderr]


def test_no_part_of_the_token_is_shown(site):
    token = run("token", "show", "--raw", **site, **LOGIN).stdout.strip()
    commands = (["show"], ["show", "--json"], ["explain"], ["explain", "--json"])
    said = "".join(run("token", *words, **site, **LOGIN).stdout for words in commands)
    assert "einstein" in said
    assert not [token[at : at + 8] for at in range(len(token) - 7) if token[at : at + 8] in said]


MISTAKES = {
    "no site": ({"gateway": ""}, [], "no site is named"),
    "no port": ({}, ["--gateway", "example.org"], "is not host:port"),
    "no RSE": ({}, ["SOMEWHERE"], "RSE SOMEWHERE"),
    "a wrong password": ({**LOGIN, "password": "wrong"}, [], "refused the basic login of einstein"),
    "no TOML": ({"config": "/nowhere"}, [], "cannot read /nowhere"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(site, case):
    settings, arguments, words = MISTAKES[case]
    for command in (["token", "show"], ["credentials"]):
        said = refused(*command, *arguments, **{**site, **settings})
        assert said.startswith("Error: ")
        assert words in said


def test_a_misspelt_variable_is_told_and_no_more(site):
    ran = run("token", "show", "--json", **site, **LOGIN, usrname="marie")
    assert json.loads(ran.stdout)["username"] == "einstein"
    assert ran.stderr.startswith("the environment has RUCIO_CS3_USRNAME")
    assert ran.stderr.count("\n") == 1


def test_two_sites_are_one_too_many(gateway):
    ran = run("token", "show", "CERNBOX", "--gateway", gateway.address)
    assert ran.returncode == 2
    assert "not both" in ran.stderr


def test_logout_forgets_the_tokens_of_this_site_only(site, tmp_path):
    (tmp_path / "other").mkdir()
    with Gateway(tmp_path / "other", "reva-localhome") as other:
        elsewhere = {**site, "gateway": other.address}
        for each in (site, elsewhere):
            run("token", "show", **each, **LOGIN)
        assert run("token", "logout", **site, **LOGIN).stdout == "Forgotten: 0 logins, 1 kept token.\n"
        assert not explained(**site, **LOGIN)[1]["won"]["kept"]
        assert explained(**elsewhere, **LOGIN)[1]["won"]["kept"]
        everything = run("token", "logout", "--all", "--json", cache=site["cache"])
        assert json.loads(everything.stdout) == {"logins": 0, "tokens": 2}
        assert not explained(**elsewhere, **LOGIN)[1]["won"]["kept"]
        assert run("token", "logout", "--all", "--gateway", other.address).returncode == 2


def app_password(*arguments, **settings):
    return run("token", "app-password", *arguments, **settings, **LOGIN)


def test_an_app_password_is_told_once_and_lets_in(site):
    made = app_password("create", "daemons", "--expires", "30d", **site)
    password = made.stdout.strip()
    assert "daemons: handle " in made.stderr
    assert "in 30 days" in made.stderr
    assert password not in made.stderr
    code, said = explained(**site, username="einstein", app_password=password)
    assert (code, said["won"]["method"], said["won"]["limited"]) == (0, "appauth", False)

    listed = json.loads(app_password("list", "--json", **site).stdout)
    (known,) = [each for each in listed if each["label"] == "daemons"]
    assert known["paths"] == ["/"]
    assert known["handle"] in app_password("list", **site).stdout
    assert password not in app_password("list", **site).stdout
    assert app_password("revoke", known["handle"], **site).stdout == f"Revoked: {known['handle']}\n"
    assert "daemons" not in app_password("list", **site).stdout
    assert explained(**{**site, "cache": "off"}, username="einstein", app_password=password)[0] == 1
    assert "no such application password" in refused("token", "app-password", "revoke", "unknown", **site, **LOGIN)


def test_an_app_password_for_one_path(site, gateway, tmp_path):
    with Cs3Client(gateway=gateway.address, tls=False, cache="off", **LOGIN) as client:
        client.files.mkdir("/home/data", exist_ok=True)
    file = tmp_path / "secret"
    made = app_password("create", "reaper", "--path", "/home/data", "--read-only", "--save", file, **site)
    assert made.stdout == f"username = einstein\napp_password_file = {file}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() not in made.stdout + made.stderr
    settings = {"username": "einstein", "app_password_file": str(file)}
    with Cs3Client(gateway=gateway.address, tls=False, cache="off", **settings) as client:
        assert client.files.stat("/home/data").is_directory
    code, said = explained(**site, **settings)
    assert (code, said["won"]["username"], said["won"]["limited"]) == (0, "einstein", True)
    assert "for some paths only" in run("token", "show", **site, **settings).stdout


def test_saving_an_app_password_overwrites_nothing_and_leaves_nothing(site, tmp_path):
    taken, new = tmp_path / "taken", tmp_path / "new"
    taken.write_text("something else")
    create = ["token", "app-password", "create", "unwanted"]
    assert "cannot make" in refused(*create, "--save", taken, **site, **LOGIN)
    assert taken.read_text() == "something else"
    refused(*create, "--save", new, "--path", "/home/missing", **site, **LOGIN)
    assert not new.exists()
    assert "unwanted" not in app_password("list", **site).stdout


@pytest.mark.parametrize("time", ["", "30", "d", "0d", "-1d", "30 days", "1y", "1.5h"])
def test_times_that_are_none(site, time):
    ran = app_password("create", "label", "--expires", time, **site)
    assert ran.returncode == 2
    assert "is not a time such as 30d" in ran.stderr


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "in 1 second"),
        (90, "in 90 seconds"),
        (120, "in 2 minutes"),
        (7_100, "in 118 minutes"),
        (86_400, "in 24 hours"),
        (30 * 86_400, "in 30 days"),
        (-300, "5 minutes ago"),
    ],
)
def test_an_end_in_words(monkeypatch, seconds, words):
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    assert until(1_800_000_000.0 + seconds).endswith(f" UTC ({words})")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("to", {"token"}),
        ("cred", {"credentials"}),
        ("token ", {"app-password", "explain", "login", "logout", "show"}),
        ("token app-password ", {"create", "list", "revoke"}),
        ("credentials --format r", {"rclone"}),
    ],
)
def test_completion(words, expected):
    code = "from rucio_cs3.cli import main; main()"
    line = f"rucio-cs3 {words}"
    environ = {"_RUCIO_CS3_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environ}
    )
    assert {entry.partition(",")[2] for entry in ran.stdout.split()} == expected


def test_a_gateway_in_the_place_of_an_rse_is_recognised():
    ran = run("token", "show", "127.0.0.1:19000")
    assert ran.returncode == 2
    assert "give --gateway 127.0.0.1:19000" in ran.stderr
