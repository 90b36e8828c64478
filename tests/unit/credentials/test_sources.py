"""Which login is used, of all those that could be: the order, and what ends the search."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import jwt
import pytest

from rucio_cs3.config import Config
from rucio_cs3.credentials.caller import NOBODY, Caller, RucioLogin
from rucio_cs3.credentials.sources import Login, RevaToken, Sources, bearer
from rucio_cs3.errors import ConfigError, Cs3Error, DeadlineExceeded, NoLogin, NotAuthenticated

SECRET = "hunter2-very-secret"
LATER = 4_102_444_800  # the year 2100: what is made when tests are collected must be the same in each process
OIDC = jwt.encode({"sub": "einstein", "exp": LATER}, "k" * 32)
PRINTS = f"{sys.executable} -c 'print(\"{OIDC}\")'"


def sources(caller=NOBODY, **settings):
    return Sources(Config("host:1", **settings), caller).in_order()


def rucio_login(token=OIDC):
    return Caller("einstein", lambda: RucioLogin("jdoe", token))


@pytest.mark.parametrize(
    ("settings", "credential"),
    [
        ({"token": SECRET}, RevaToken(SECRET)),
        ({"bearer_token": OIDC}, Login("bearer", "", OIDC)),
        ({"username": "einstein", "password": SECRET}, Login("basic", "einstein", SECRET)),
        ({"username": "einstein", "app_password": SECRET}, Login("appauth", "einstein", SECRET)),
        ({"username": "rucio", "machine_secret": SECRET}, Login("machine", "rucio", SECRET)),
        ({"username": "e", "password": SECRET, "bearer_token": OIDC}, Login("bearer", "", OIDC)),
        ({"auth": "basic", "username": "e", "password": SECRET, "token": "t"}, Login("basic", "e", SECRET)),
        ({"token_command": PRINTS}, Login("bearer", "", OIDC)),
        ({"machine_secret": SECRET, "accounts": "root: x, jdoe: einstein"}, Login("machine", "einstein", SECRET)),
        ({"broker": "https://b.example.org"}, Login("bearer", "", OIDC)),
        ({}, Login("bearer", "", OIDC)),
    ],
)
def test_what_is_set_implies_the_login(settings, credential):
    source = sources(rucio_login(), **settings)[0]
    assert source.identity()
    assert source.obtain() == credential
    assert SECRET not in repr(source) + repr(credential) + source.description


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"auth": "basic", "username": "e"}, "neither password nor password_file is set for host:1"),
        ({"auth": "basic", "password": SECRET}, "no username is set"),
        ({"auth": "machine", "username": "e"}, "neither machine_secret nor"),
        ({"auth": "machine", "machine_secret": "s", "accounts": "root:x"}, "who Rucio account jdoe is at host:1"),
        ({"auth": "token"}, "neither token nor token_file"),
        ({"auth": "bearer"}, "neither bearer_token nor"),
        ({"auth": "command"}, "token_command is not set"),
        ({"auth": "refresh"}, "issuer and client_id are not both set"),
        ({"auth": "login", "issuer": "https://i", "client_id": "c"}, "nobody has logged in at https://i"),
        ({"auth": "wlcg"}, "no BEARER_TOKEN"),
        ({"auth": "rucio"}, "the login to Rucio is not by OIDC"),
        ({"auth": "exchange", "issuer": "https://i", "client_id": "c"}, "there is no OIDC token to exchange"),
    ],
)
def test_what_is_missing_is_named(settings, words):
    with pytest.raises(NoLogin) as caught:
        sources(rucio_login("not-a-jwt"), **settings)[0].identity()
    assert words in str(caught.value)


def test_the_order_is_what_is_written():
    found = sources(auth="rucio, broker?, basic")
    assert [(source.method, source.goes_on) for source in found] == [
        ("rucio", False),
        ("broker", True),
        ("basic", False),
    ]
    with pytest.raises(ConfigError, match="auth = 'magic' is not known"):
        sources(auth="rucio, magic")


@pytest.mark.parametrize("method", ["rucio", "broker"])
def test_without_rucio_there_is_no_login_of_rucio(method):
    with pytest.raises(NoLogin, match="nobody is logged in to Rucio here"):
        sources(auth=method, broker="https://b.example.org")[0].identity()


def token(**claims):
    return jwt.encode({"sub": "einstein", **claims}, "k" * 32)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (token(exp=1_000_000_000), "bearer_token expired at 2001-09-09"),
        (token(nbf=LATER), "is not valid before 2100"),
    ],
)
def test_what_nobody_would_take_is_not_sent(value, words):
    with pytest.raises((ConfigError, NotAuthenticated)) as caught:
        bearer(value, "bearer_token")
    assert words in str(caught.value)
    assert not value or value not in str(caught.value)


def test_clocks_differ_and_not_all_tokens_tell():
    for value in (token(exp=time.time() - 30), token(nbf=time.time() + 30), token(exp="x"), "opaque"):
        assert bearer(value, "bearer_token").client_secret == value


COMMANDS = {
    "fails": ("sh -c 'echo no account configured >&2; exit 3'", "failed with status 3; run it by hand to see why"),
    "says nothing": ("false", "failed with status 1; run it by hand"),
    "is not there": ("/nowhere/oidc-token x", "cannot run token_command /nowhere/oidc-token: No such file"),
    "is empty": ("''", "cannot run token_command"),
    "is chatty": ("echo Welcome! here is your token: abc", "what token_command prints is no token"),
    "prints nothing": ("true", "is no token"),
    "prints rubbish": ("head -c 100 /dev/urandom", "is no token"),
}


@pytest.mark.parametrize(("command", "words"), COMMANDS.values(), ids=COMMANDS)
def test_a_token_command_that(command, words):
    with pytest.raises(ConfigError) as caught:
        sources(token_command=command)[0].obtain()
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_token_command_that_hangs_is_killed_with_its_children(tmp_path):
    pid = tmp_path / "pid"
    command = f"sh -c 'sleep 1000 & echo $! > {pid}; wait'"
    with pytest.raises(DeadlineExceeded, match="token_command sh does not end"):
        sources(token_command=command, call_timeout=0.5)[0].obtain()
    with contextlib.suppress(FileNotFoundError):
        state = Path("/proc", pid.read_text().strip(), "stat")
        while state.read_text().split()[2] != "Z":  # it may take a moment to die
            pass


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Where WLCG looks, but for /tmp."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def found():
    return sources(auth="wlcg")[0].obtain().client_secret


def test_wlcg_discovery_has_an_order(places, monkeypatch):
    last = places / f"bt_u{os.geteuid()}"
    last.touch(0o600)
    last.write_text(f"  {OIDC}\n")
    assert found() == OIDC
    file = places / "token"
    file.touch(0o600)
    file.write_text(f"{token(n=2)}\n")
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(file))
    assert found() == token(n=2)
    monkeypatch.setenv("BEARER_TOKEN", f"{token(n=3)}\n")
    assert found() == token(n=3)


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (OIDC.encode(), 0o644, "can be read or changed by others"),
        (b"", 0o600, "is empty"),
        (b"\xff\xfe", 0o600, "not text"),
        (b"x" * 100_001, 0o600, "longer than any secret"),
    ],
)
def test_a_token_file_that_cannot_be_used_is_named(places, monkeypatch, variable, content, mode, words):
    file = places / f"bt_u{os.geteuid()}"
    file.write_bytes(content)
    file.chmod(mode)
    if variable:
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(file))
    with pytest.raises(ConfigError) as caught:
        found()
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert OIDC not in str(caught.value)


def test_a_token_file_that_vanishes_is_named(places, monkeypatch):
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(places / "gone"))
    with pytest.raises(ConfigError, match="No such file"):
        found()


@pytest.mark.parametrize("template", ["{nonsense}", "{", "{0}"])
def test_a_template_that_cannot_be_filled_in_is_named(template):
    settings = {"auth": "client_credentials", "issuer": "https://i", "client_id": "c", "client_secret": "s"}
    with pytest.raises(Cs3Error, match="cannot be filled in"):
        sources(audience=template, **settings)[0].identity()


def test_places_that_we_may_not_look_at_hold_nothing(monkeypatch):
    """As of the user whose environment was inherited; here a path that no system call takes."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "x" * 300)
    monkeypatch.setenv("XDG_DATA_HOME", "/" + "x" * 300)
    for method in ("wlcg", "login"):
        with pytest.raises(NoLogin):
            sources(auth=method, issuer="https://i.example.org", client_id="c")[0].identity()


def test_a_pipe_is_no_secret_file(tmp_path):
    """Nobody would ever write into it."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="is not a file"):
        sources(token_file=str(tmp_path / "pipe"))[0].identity()


def test_a_stray_token_does_not_come_before_the_broker(monkeypatch):
    monkeypatch.setenv("BEARER_TOKEN", token(exp=1))
    assert [source.method for source in sources(broker="https://b.example.org")] == ["rucio", "broker", "wlcg", "login"]
