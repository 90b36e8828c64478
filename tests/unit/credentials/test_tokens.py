from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from rucio_cs3.credentials.sources import LARGEST, Login, Source, bearer
from rucio_cs3.credentials.store import Store
from rucio_cs3.credentials.tokens import Tokens
from rucio_cs3.errors import ConfigError, ServerError
from tests.unit.credentials.given import given, tokens_of


class Site:
    """Hands out tokens of a given life, and counts."""

    def __init__(self, life=3600.0):
        self.life = life
        self.logins = 0

    def authenticate(self, login):
        assert login == LOGIN
        self.logins += 1
        return jwt.encode({"exp": time.time() + self.life, "n": self.logins}, "k" * 32)


LOGIN = Login("basic", "einstein", "secret")


def tokens(site):
    return tokens_of(Source("basic", "test", lambda: "einstein", lambda: LOGIN), authenticate=site.authenticate)


def test_one_login_serves_many_calls():
    site = Site()
    t = tokens(site)
    assert len({t.get() for _ in range(100)}) == 1
    assert site.logins == 1


def test_one_login_serves_many_threads():
    entered = threading.Barrier(16)
    site = Site()
    t = tokens(site)

    def get(_):
        entered.wait(60)
        return t.get()

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(get, range(16)))) == 1
    assert site.logins == 1


def test_a_token_is_replaced_before_it_expires(monkeypatch):
    site = Site(life=3600)
    t = tokens(site)
    first = t.get()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3500)
    assert t.get() == first
    monkeypatch.setattr(time, "time", lambda: now + 3550)
    assert t.get() != first
    assert site.logins == t.logins == 2


def test_a_new_token_that_looks_old_is_believed_until_it_is_refused():
    """It is our clock that is wrong."""
    site = Site(life=-100)
    t = tokens(site)
    assert t.get() == t.get()
    assert site.logins == 1
    assert t.renewed(t.get()) is not None


def test_the_same_token_again_is_no_login():
    t = given("same")
    t.get()
    assert t.renewed("same") is None
    assert t.logins == 1


def test_a_refused_token_is_replaced_once_for_all_who_held_it():
    site = Site()
    t = tokens(site)
    old = t.get()
    assert t.renewed(old) == t.renewed(old)
    assert site.logins == 2


def test_a_given_token_cannot_be_renewed_until_it_changes():
    known = ["first"]
    t = given(lambda: known[0])
    assert t.get() == "first"
    assert t.renewed("first") is None
    known[0] = "second"
    assert t.renewed("first") == "second"


NO_TOKENS = [*("two\nlines", "with space", "\u00e9", "\x00", "\x7f", "end\n", ""), "x" * (LARGEST + 1)]


@pytest.mark.parametrize("value", NO_TOKENS, ids=range(len(NO_TOKENS)))
def test_what_cannot_be_sent_is_no_token_of_any_kind(value):
    why = f"it has {len(value)} bytes" if len(value) > LARGEST else "it is empty or not all printable ASCII"
    for ask in (given(value).get, lambda: bearer(value, "given")):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert str(caught.value) == f"given is no token: {why}"
    with pytest.raises(ServerError, match="answers a login with what is no token"):
        tokens_of(Source("basic", "b", str, lambda: None), authenticate=lambda _: value).get()


@pytest.mark.parametrize("value", ["!", "~" * LARGEST])
def test_what_can_be_sent_is_one(value):
    assert given(value).get() == bearer(value, "given").client_secret == value


def test_a_forgotten_token_is_obtained_anew():
    site = Site()
    t = tokens(site)
    t.forget("another one")
    refused = t.get()
    t.forget("another one")
    assert t.get() == refused
    t.forget(refused)
    t.get()
    assert site.logins == 2


def test_no_token_is_shown():
    t = tokens(Site())
    assert t.get() not in repr(t)


def test_who_shows_another_token_does_not_share_a_login_under_way():
    begun, end, shown = threading.Event(), threading.Event(), ["good"]

    def authenticate(login):
        if login.client_secret == "good":
            begun.set()
            assert end.wait(60)
        return f"token-for-{login.client_secret}"

    source = Source("rucio", "test", lambda: shown[0], lambda: Login("bearer", "", shown[0]))
    t = Tokens("h:1", lambda: [source], authenticate, Store(None), shown=lambda: shown[0])
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(t.get)
        assert begun.wait(60)
        shown[0] = "forged"
        assert t.get() == "token-for-forged"
        end.set()
        assert first.result(60) == "token-for-good"
