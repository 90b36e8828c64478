"""`auth = a?, b`: who is asked when one fails, for each way to fail."""

from __future__ import annotations

import os
import socket

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.credentials.sources import Source
from rucio_cs3.errors import (
    ConfigError,
    DeadlineExceeded,
    LoginRefused,
    NoLogin,
    NotAuthenticated,
    ServerError,
    Unavailable,
)
from rucio_cs3.gateway import Fault, Gateway, silent_gateway
from tests.unit.broker.conftest import served
from tests.unit.credentials.given import tokens_of
from tests.unit.credentials.test_oidc import HTML, KNOWN, Wrong

LOGIN = {"username": "einstein", "password": "relativity"}


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "root").mkdir()
    with Gateway(tmp_path / "root", machine_secret="machine-secret") as gateway:
        yield gateway


@pytest.fixture
def away():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


# method, what is set for it, and what it then fails with, and what the provider then answers
FAILS = {
    "a program fails": ("command", {"token_command": "false"}, ConfigError, None),
    "a program hangs": ("command", {"token_command": "sleep 100"}, DeadlineExceeded, None),
    "a file has gone": ("bearer", {"bearer_token_file": "/nowhere"}, ConfigError, None),
    "a token is garbage": ("bearer", {"bearer_token": "two words"}, ConfigError, None),
    "a Reva token is garbage": ("token", {"token": "two words"}, ConfigError, None),
    "the site refuses": ("machine", {"machine_secret": "wrong"}, NotAuthenticated, None),
    "the site has no such login": ("bearer", {"bearer_token": "x"}, ServerError, None),
    "the provider is down": ("client_credentials", {"issuer": "AWAY"}, Unavailable, None),
    "the provider is silent": ("client_credentials", {"issuer": "SILENT"}, DeadlineExceeded, None),
    "the provider refuses": ("client_credentials", {}, LoginRefused, (400, '{"error": "invalid_client"}', 0)),
    "the provider fails": ("client_credentials", {}, ServerError, (500, "{}", 0)),
    "the provider speaks HTML": ("client_credentials", {}, ServerError, (200, HTML, 0)),
}


@pytest.fixture
def failing(gateway, away):
    """Returns the client whose first method fails in this way, and what it fails with."""
    with silent_gateway() as silent:
        wrongs, clients = [], []

        def connect(case, order, seconds=0.5):
            """With so much time for those who hang; the others have as much as they need."""
            method, settings, kind, answer = FAILS[case]
            hangs = {"call_timeout": seconds} if kind is DeadlineExceeded else {}
            named = {"AWAY": away, "SILENT": f"http://{silent}"}
            issuer = named.get(settings.get("issuer"))
            if answer:
                wrongs.append(served(Wrong({"openid-configuration": KNOWN, "token": answer})))
                issuer = wrongs[-1].__enter__().url
            known = {"client_id": "c", "client_secret": "s", "issuer": issuer} if issuer else {}
            settings = {**LOGIN, **settings, **known, **hangs}
            clients.append(Cs3Client(gateway=gateway.address, tls=False, auth=order.format(method), **settings))
            return clients[-1], kind

        yield connect
        for client in clients:
            client.close()
        for wrong in wrongs:
            wrong.__exit__(None, None, None)


@pytest.mark.parametrize("case", FAILS)
def test_the_next_one_is_asked_where_the_order_says_so(failing, case):
    client, _ = failing(case, "{}?, basic", 3)  # which the gateway has then, too
    assert client.whoami().username == "einstein"
    first, second = client.tokens.tried
    assert (first.outcome, second.outcome) == ("failed", "won")
    assert first.reason


@pytest.mark.parametrize("case", FAILS)
def test_and_nowhere_else(failing, gateway, case):
    client, kind = failing(case, "{}, basic")
    with pytest.raises(kind) as caught:
        client.whoami()
    assert type(caught.value) is kind
    assert len(str(caught.value).splitlines()) == 1
    assert [each.outcome for each in client.tokens.tried] == ["failed", "not tried"]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("token", {}),
        ("bearer", {}),
        ("rucio", {}),
        ("exchange", {"issuer": "https://i", "client_id": "c"}),
        ("wlcg", {}),
        ("command", {}),
        ("client_credentials", {}),
        ("refresh", {}),
        ("login", {"issuer": "https://i", "client_id": "c"}),
        ("appauth", {}),
        ("broker", {"broker": "https://b"}),
        ("machine", {}),
    ],
)
def test_one_that_has_nothing_is_passed_by_always(gateway, method, settings):
    with Cs3Client(gateway=gateway.address, tls=False, auth=f"{method}, basic", **LOGIN, **settings) as client:
        assert client.whoami().username == "einstein"
        assert [each.outcome for each in client.tokens.tried] == ["nothing", "won"]


def test_when_all_fail_each_reason_is_told(failing):
    client, kind = failing("the provider is down", "wlcg, {}?")
    with pytest.raises(kind) as caught:
        client.whoami()
    told = str(caught.value)
    assert "wlcg: no BEARER_TOKEN" in told
    assert "client_credentials: OIDC provider http://127.0.0.1" in told
    assert told.endswith("rucio-cs3 token explain says what was tried")


def test_when_all_have_nothing_that_is_told(gateway):
    with Cs3Client(gateway=gateway.address, tls=False) as client, pytest.raises(NoLogin) as caught:
        client.whoami()
    told = str(caught.value)
    assert f"no credentials are set for {gateway.address}, and none are found by rucio, wlcg, login; set " in told
    assert len(told) < 200  # the reasons are for who asks for them


def test_a_site_that_fails_ends_the_search_too(gateway):
    gateway.faults.add(Fault("grpc:Authenticate", "exception", status="UNAVAILABLE"))
    settings = {"machine_secret": "machine-secret", "auth": "machine, basic"}
    with Cs3Client(gateway=gateway.address, tls=False, **LOGIN, **settings) as client, pytest.raises(Unavailable):
        client.whoami()


def test_what_was_tried_is_never_seen_half_done():
    seen = []

    def obtain():
        seen.append(list(tokens.tried))
        raise ConfigError("no")

    tokens = tokens_of(*(Source(name, name, str, obtain, goes_on=True) for name in "ab"))
    for _ in range(2):
        with pytest.raises(ConfigError):
            tokens.get()
    assert [len(tried) for tried in seen] == [0, 0, 2, 2]


def test_an_order_of_nothing_is_no_order(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert not os.environ.get("BEARER_TOKEN")
    with Cs3Client(gateway="127.0.0.1:1", tls=False, auth=" , ") as client, pytest.raises(NoLogin):
        client.whoami()
