"""Who guesses tokens is stopped, and who is not ours does not read the metrics."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.broker.conftest import ELSEWHERE, TOKEN

BY_TLS = {"wsgi.url_scheme": "https"}
METRICS = "metrics-token-0123456789"
SAID = "rucio_cs3_broker_requests"


@pytest.fixture
def few(settings):
    settings["limits"]["refusals_per_minute"] = 3
    return settings


def test_guessing_ends_soon_and_costs_rucio_nothing_more(few, serve, peer):
    broker = serve(few)
    assert [broker.ask(f"guess-{number}").status for number in range(5)] == [401, 401, 401, 429, 429]
    assert peer.asked == 3
    refused = broker.ask()
    assert (refused.status, refused.body["code"]) == (429, "rate_limited")
    assert "too many tokens from 127.0.0.1 were refused; try again in" in refused.body["error"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 21


def test_guesses_at_the_same_time_are_not_more(few, serve, peer):
    broker = serve(few)
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda number: broker.ask(f"guess-{number}").status, range(12)))
    assert sorted(statuses) == [401] * 3 + [429] * 9
    assert peer.asked == 3


def test_who_is_known_is_not_stopped_by_who_guesses_beside_him(few, serve, peer):
    broker = serve(few)
    assert broker.ask().status == 200
    for number in range(4):
        broker.ask(f"guess-{number}")
    assert broker.ask().status == 200


def test_good_tokens_and_a_rucio_that_is_down_are_no_guesses(few, serve, peer):
    broker = serve(few)
    for number in range(5):
        peer.tokens[f"good-{number}"] = "root"
        assert broker.ask(f"good-{number}").status == 200
    peer.answer = lambda request: request.say(500, {})
    assert {broker.ask(f"other-{number}").status for number in range(5)} == {503}


def guess(broker, **headers):
    return [broker.ask(f"guess-{number}", **headers).status for number in range(4)][-1]


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        (ELSEWHERE, "192.0.2.8", 401),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", 401),
        ("2001:db8::1", "2001:db8::2", 429),
        (ELSEWHERE, f"::ffff:{ELSEWHERE}", 429),
    ],
    ids=["another address", "another network", "the same network", "the same by IPv6"],
)
def test_each_place_by_itself(few, serve_to, one, other, status):
    broker = serve_to(**BY_TLS)
    few["behind_proxy"] = True
    behind = serve_to()
    assert guess(broker, X_Forwarded_For=one) == 429  # anybody can write that, so it is no other place
    assert broker.ask("guess", X_Forwarded_For=other).status == 429
    proxied = {"X_Forwarded_Proto": "https"}
    assert guess(behind, X_Forwarded_For=one, **proxied) == 429
    assert behind.ask("guess", X_Forwarded_For=f"{one}, {other}", **proxied).status == status


@pytest.fixture
def metrics(settings, serve_to):
    """What a caller with this address and these headers gets at /metrics."""

    def ask(address, configured=None, behind_proxy=False, **headers):
        settings.update({} if configured is None else {"metrics": configured})
        settings["behind_proxy"] = behind_proxy
        return serve_to(REMOTE_ADDR=address, **BY_TLS).get("/metrics", **headers)

    return ask


@pytest.mark.parametrize(
    ("address", "configured", "open_"),
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("::ffff:127.0.0.1", None, True),
        (ELSEWHERE, None, False),
        ("", None, False),
        (ELSEWHERE, {"allow": ["192.0.2.0/24", "2001:db8::/32"]}, True),
        ("2001:db8::7", {"allow": ["192.0.2.0/24", "2001:db8::/32"]}, True),
        ("127.0.0.1", {"allow": ["192.0.2.0/24"]}, False),
        ("127.0.0.1", {"allow": []}, False),
    ],
)
def test_metrics_are_for_this_machine_unless_others_are_named(metrics, address, configured, open_):
    answer = metrics(address, configured)
    assert (answer.status, SAID in answer.text) == ((200, True) if open_ else (403, False))
    if not open_:
        assert answer.body["code"] == "stranger"


def test_behind_a_proxy_the_proxy_is_not_who_asks(metrics):
    said = {"X_Forwarded_Proto": "https"}
    assert metrics("127.0.0.1", behind_proxy=True, X_Forwarded_For=ELSEWHERE, **said).status == 403
    assert metrics("127.0.0.1", behind_proxy=True, X_Forwarded_For=f"127.0.0.1, {ELSEWHERE}", **said).status == 403
    assert metrics("127.0.0.1", behind_proxy=True, **said).status == 403
    assert metrics(ELSEWHERE, behind_proxy=True, X_Forwarded_For="127.0.0.1", **said).status == 200
    assert metrics("127.0.0.1", X_Forwarded_For=ELSEWHERE).status == 403  # by a proxy that nobody told us of


@pytest.mark.parametrize(
    "shown", [f"Bearer {METRICS}", f"Bearer {METRICS}x", f"Bearer {TOKEN}", "Bearer ", METRICS, "é"]
)
def test_metrics_for_who_shows_the_token(metrics, tmp_path, shown):
    file = tmp_path / "metrics-token"
    file.touch(mode=0o600)
    file.write_text(f"{METRICS}\n")
    answer = metrics(ELSEWHERE, {"token_file": str(file)}, Authorization=shown)
    assert answer.status == (200 if shown == f"Bearer {METRICS}" else 403)
    assert METRICS not in answer.text


def test_the_token_of_the_metrics_is_not_to_be_guessed_either(few, serve_to, tmp_path):
    (tmp_path / "broker.toml").touch(mode=0o600)
    few["metrics"] = {"token": METRICS}
    broker = serve_to(REMOTE_ADDR=ELSEWHERE, **BY_TLS)
    assert [broker.get("/metrics", Authorization="Bearer x").status for _ in range(4)] == [403, 403, 403, 429]


def test_health_is_for_everybody(serve_to):
    assert serve_to(REMOTE_ADDR=ELSEWHERE).get("/health").status == 200
