from __future__ import annotations

import concurrent.futures
import contextlib
import json
import time

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.broker.mint import Mint
from rucio_cs3.credentials import jwt
from rucio_cs3.gateway import Fault, silent_gateway
from tests.unit.broker.conftest import SECRET, TOKEN

UNSAFE_ACCOUNTS = ["mail:einstein", "a/b", "..", "", "einstein\n", "a" * 65, "-x", "é", "a b", "whoami:x", "{account}"]


def user_of(gateway, token):
    """Whom the site takes the bearer of this token for."""
    with Cs3Client(gateway=gateway.address, tls=False, token=token) as client:
        return client.whoami().username


def mints(gateway):
    return [call for call in gateway.calls if call.method == "Authenticate"]


@pytest.mark.parametrize(
    ("account", "user"),
    [("root", "einstein"), ("marie", "marie"), ("by-mail", "marie")],
    ids=["table", "template", ":"],
)
def test_a_token_that_works_as_the_mapped_user(broker, peer, gateway, account, user):
    peer.tokens[TOKEN] = account
    answer = broker.ask()
    assert (answer.status, set(answer.body)) == (200, {"token", "expires"})
    assert user_of(gateway, answer.body["token"]) == user
    assert answer.body["expires"] == jwt.expiry(answer.body["token"])
    assert 590 <= answer.body["expires"] - time.time() <= 600
    assert answer.headers["Cache-Control"] == "no-store"


def test_case_does_not_matter_in_host_names(serve, settings, gateway):
    port = gateway.address.rpartition(":")[2]
    settings["sites"] = {f"LocalHost:{port}": settings["sites"][gateway.address]}
    assert serve(settings).ask(site=f"LOCALhost:{port}").status == 200


def test_several_sites(serve, settings, gateway):
    other = {**settings["sites"][gateway.address], "accounts": {"root": "richard"}}
    port = gateway.address.rpartition(":")[2]
    settings["sites"][f"localhost:{port}"] = other
    broker = serve(settings)
    users = {site: user_of(gateway, broker.ask(site=site).body["token"]) for site in settings["sites"]}
    assert users == {gateway.address: "einstein", f"localhost:{port}": "richard"}


TOO_LARGE = json.dumps({"site": "h:1", "more": "x" * 5000})
WRONG_BODIES = ["", "{", "[]", "null", "5", '{"site": 5}', '{"site": ""}', '{"place": "h:1"}', TOO_LARGE, "[" * 4000]


@pytest.mark.parametrize("body", WRONG_BODIES, ids=range(len(WRONG_BODIES)))
def test_a_wrong_body(broker, peer, body):
    answer = broker.ask(body=body)
    assert (answer.status, answer.body["code"]) == (400, "bad_request")
    assert '{"site": "host:port"}' in answer.body["error"]
    assert peer.seen == []


def test_a_site_that_is_no_address_is_not_repeated(broker):
    answer = broker.ask(site=TOKEN)
    assert (answer.status, answer.body["code"]) == (400, "bad_request")
    assert TOKEN not in answer.text


WRONG_TOKENS = {
    "missing": None,
    "empty": "",
    "blank": "   ",
    "unknown": "root-x-client-00000000000000000000000000000000",
    "looks like a JWT": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.",
    "binary": "\xff\xfe\x80",
    "escape": "\x1b[2J",
    "60 kB": "x" * 60_000,
}


@pytest.mark.parametrize("token", WRONG_TOKENS.values(), ids=WRONG_TOKENS)
def test_a_wrong_token(broker, gateway, token):
    answer = broker.ask(token)
    assert (answer.status, answer.body["code"]) == (401, "rucio_token_refused")
    assert "log in to Rucio again" in answer.body["error"]
    assert mints(gateway) == []


def test_a_token_of_the_wrong_form_is_not_sent_to_rucio(broker, peer):
    for name in ("missing", "empty", "blank", "escape"):
        assert broker.ask(WRONG_TOKENS[name]).status == 401
    assert peer.seen == []


def test_unknown_site_is_for_those_whom_rucio_knows(broker):
    answer = broker.ask(site="elsewhere.example.org:443")
    assert (answer.status, answer.body["code"]) == (404, "unknown_site")
    assert "elsewhere.example.org:443" in answer.body["error"]
    assert broker.ask("stranger", site="elsewhere.example.org:443").status == 401


@pytest.mark.parametrize("account", ["svc-1", "Marie", "a.b"])
def test_who_is_not_mapped_gets_nothing(broker, peer, gateway, account):
    peer.tokens[TOKEN] = account
    answer = broker.ask()
    assert (answer.status, answer.body["code"]) == (403, "account_not_mapped")
    assert account in answer.body["error"]
    assert gateway.address in answer.body["error"]
    assert mints(gateway) == []


@pytest.mark.parametrize("account", UNSAFE_ACCOUNTS)
def test_an_account_that_cannot_be_one_is_denied(serve, settings, peer, gateway, account):
    settings["sites"][gateway.address].update(only=".*")
    broker = serve(settings)
    peer.answer = lambda request: request.say(200, {"account": account, "status": "ACTIVE"})
    assert broker.ask().status in {403, 503}
    assert mints(gateway) == []


def test_an_account_of_another_vo_is_somebody_else(serve, settings, peer, gateway):
    site = settings["sites"][gateway.address]
    site["accounts"]["root@abc"] = "marie"
    broker = serve(settings)
    peer.vos["root"] = "abc"
    assert user_of(gateway, broker.ask().body["token"]) == "marie"
    peer.tokens["another"], peer.vos["root"] = "root", "xyz"
    answer = broker.ask("another")
    assert (answer.status, answer.body["code"]) == (403, "account_not_mapped")
    assert "root@xyz" in answer.body["error"]


UNSAID = {
    "nothing": (200, b""),
    "no VO": (200, b"{'account': 'root'}"),
    "no text": (200, b"{'account': 'root', 'vo': None}"),
    "not a VO": (200, b"{'account': 'root', 'vo': 'de'}"),
    "another account": (200, b"{'account': 'marie', 'vo': 'def'}"),
    "no dictionary": (200, b"['def']"),
    "not text": (200, b"\xff\x00"),
    "deep": (200, b"(" * 5000),
    "no such address": (404, b"{'account': 'root', 'vo': 'def'}"),
}


@pytest.mark.parametrize(("status", "said"), UNSAID.values(), ids=UNSAID)
def test_a_rucio_that_does_not_say_the_vo(broker, peer, gateway, status, said):
    def answer(request):
        if request.path == "/auth/validate":
            request.say(status, said)
        else:
            request.say(200, {"account": "root", "status": "ACTIVE"})

    peer.answer = answer
    refused = broker.ask()
    assert (refused.status, refused.body["code"]) == (503, "rucio_unavailable")
    assert "of which VO account root is; the broker's operator has to check auth_host" in refused.body["error"]
    assert mints(gateway) == []


def test_a_rucio_with_two_addresses(serve, settings, peer, gateway):
    """Large ones have servers of their own for logins."""
    settings["rucio"] = {"host": f"{peer.url}/", "auth_host": peer.url.replace("127.0.0.1", "localhost")}
    assert serve(settings).ask().status == 200
    settings["rucio"]["auth_host"] = "http://127.0.0.1:1"
    refused = serve(settings).ask()
    assert (refused.status, refused.body["code"]) == (503, "rucio_unavailable")
    assert "Rucio http://127.0.0.1:1 could not be asked" in refused.body["error"]


@pytest.mark.parametrize("status", ["SUSPENDED", "DELETED"])
def test_an_account_that_is_not_active_is_denied(broker, peer, gateway, status):
    peer.statuses["root"] = status
    answer = broker.ask()
    assert (answer.status, answer.body["code"]) == (403, "account_not_mapped")
    assert "not active" in answer.body["error"]
    assert mints(gateway) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/token", 405, "method_not_allowed", "POST"),
        ("PUT", "/token", 405, "method_not_allowed", "POST"),
        ("POST", "/health", 405, "method_not_allowed", "GET"),
        ("DELETE", "/metrics", 405, "method_not_allowed", "GET"),
        ("POST", "/", 404, "not_found", None),
        ("GET", "/token/x", 404, "not_found", None),
    ],
)
def test_other_addresses_and_methods(broker, method, path, status, code, allow):
    answer = broker.ask(method=method, path=path)
    assert (answer.status, answer.body["code"], answer.headers.get("Allow")) == (status, code, allow)


def test_too_many_requests(serve, settings, peer):
    settings["limits"]["requests_per_minute"] = 3
    broker = serve(settings)
    assert [broker.ask().status for _ in range(3)] == [200] * 3
    answer = broker.ask()
    assert (answer.status, answer.body["code"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 21
    peer.tokens["marie's"] = "marie"
    assert broker.ask("marie's").status == 200


def test_the_limit_counts_refusals_too(serve, settings):
    settings["limits"]["requests_per_minute"] = 2
    broker = serve(settings)
    assert [broker.ask(site="h:1").status for _ in range(3)] == [404, 404, 429]


def test_a_user_whom_the_site_does_not_know(broker, peer):
    peer.tokens[TOKEN] = "nobody"
    answer = broker.ask()
    assert (answer.status, answer.body["code"]) == (502, "site_refused")
    assert "does not know the user" in answer.body["error"]


def test_a_machine_secret_that_the_site_refuses_and_a_new_one_in_the_file(broker, secret_file, gateway):
    secret_file.write_text("yesterday's")
    answer = broker.ask()
    assert (answer.status, answer.body["code"]) == (502, "site_refused")
    assert gateway.address in answer.body["error"]
    assert "machine secret" in answer.body["error"]
    assert "yesterday's" not in answer.text
    secret_file.write_text(SECRET)
    assert broker.ask().status == 200


@pytest.mark.parametrize("harm", ["gone", "empty", "public"])
def test_a_secret_file_that_goes_bad_is_for_the_operator(broker, secret_file, harm, caplog):
    {
        "gone": secret_file.unlink,
        "empty": lambda: secret_file.write_text(""),
        "public": lambda: secret_file.chmod(0o644),
    }[harm]()
    answer = broker.ask()
    assert (answer.status, answer.body["code"]) == (503, "site_unavailable")
    assert str(secret_file) not in answer.text
    assert str(secret_file) in caplog.text


def test_a_site_that_is_down(broker, gateway):
    gateway.stop()
    answer = broker.ask()
    assert (answer.status, answer.body["code"]) == (503, "site_unavailable")
    assert gateway.address in answer.body["error"]


def test_a_site_that_comes_back(broker, gateway):
    gateway.faults.add(Fault(on="grpc:Authenticate", kind="status", status="INTERNAL", times=1))
    assert [broker.ask().status for _ in range(2)] == [503, 200]


def test_a_site_that_does_not_take_the_machine_login(serve, settings, gateway):
    gateway.faults.add(Fault(on="grpc:Authenticate", kind="exception", status="UNIMPLEMENTED"))
    assert serve(settings).ask().body["code"] == "site_unavailable"


def test_a_site_that_says_nothing(serve, settings, gateway, monkeypatch):
    """Rucio, which is asked first, has all the time that it needs."""
    monkeypatch.setattr("rucio_cs3.broker.app.Mint", lambda gateway, site, _: Mint(gateway, site, 0.5))
    with silent_gateway() as silent:
        settings["sites"][silent] = settings["sites"][gateway.address]
        answer = serve(settings).ask(site=silent)
    assert (answer.status, answer.body["code"]) == (504, "site_unavailable")


def test_rucio_is_down(serve, settings, gateway):
    settings["rucio"]["host"] = "http://127.0.0.1:1"
    answer = serve(settings).ask()
    assert (answer.status, answer.body["code"]) == (503, "rucio_unavailable")
    assert "http://127.0.0.1:1" in answer.body["error"]
    assert mints(gateway) == []


def drip(request):
    """Send headers a byte at a time, for ever: no single wait is long."""
    with contextlib.suppress(OSError):
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not request.server_peer.hold.wait(0.05):
            request.wfile.write(b"x")


def silence(request):
    request.server_peer.hold.wait()


@pytest.mark.parametrize("way", [silence, drip])
def test_rucio_says_nothing_or_never_ends(serve, settings, peer, way):
    def answer_with(request):
        request.server_peer = peer
        request.close_connection = True
        way(request)

    settings["limits"]["timeout"] = 0.5
    peer.answer = answer_with
    answer = serve(settings).ask()
    assert (answer.status, answer.body["code"]) == (504, "rucio_unavailable")


def hang_up(request):
    request.close_connection = True


def other_than_asked(request):
    if request.path == "/accounts/whoami":
        request.say(303, b"", Location="root")
    else:
        request.say(200, {"account": "marie", "status": "ACTIVE"})


ODD_ANSWERS = {
    "HTML": lambda request: request.say(200, b"<html>Welcome</html>"),
    "another object": lambda request: request.say(200, {"user": "root"}),
    "a list": lambda request: request.say(200, ["root"]),
    "no status": lambda request: request.say(200, {"account": 5}),
    "endless": lambda request: request.say(200, b" " * 200_000),
    "error": lambda request: request.say(500, b"oops " + TOKEN.encode()),
    "not there": lambda request: request.say(404, b"no such page"),
    "redirect elsewhere": lambda request: request.say(302, b"", Location="http://127.0.0.1:1/login"),
    "see nothing": lambda request: request.say(303, b""),
    "see what cannot be": lambda request: request.say(303, b"", Location="a%20b"),
    "see another": other_than_asked,
    "hang up": hang_up,
}


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
def test_rucio_answers_oddly(broker, peer, gateway, answer):
    peer.answer = answer
    said = broker.ask()
    assert (said.status, said.body["code"]) == (503, "rucio_unavailable")
    assert TOKEN not in said.text
    assert mints(gateway) == []


def test_the_token_follows_no_redirect_to_another_host(broker, peer):
    def elsewhere(request):
        if request.path == "/accounts/whoami":
            request.say(303, b"", Location="http://127.0.0.1:1/accounts/root")
        else:  # to /auth/validate as well
            request.say(200, {"account": "root", "status": "ACTIVE", "vo": "def"})

    peer.answer = elsewhere
    assert broker.ask().status == 200
    assert [path for path, _ in peer.seen] == ["/accounts/whoami", "/accounts/root", "/auth/validate"]


def test_a_burst_asks_rucio_once_and_a_refusal_is_not_remembered(broker, peer, gateway):
    assert broker.ask("later").status == 401
    peer.tokens["later"] = "marie"
    assert [broker.ask("later").status for _ in range(5)] == [200] * 5
    assert peer.asked == 2
    assert len(mints(gateway)) == 5


def test_what_is_remembered_ends(broker, peer, monkeypatch):
    assert broker.ask().status == 200
    del peer.tokens[TOKEN]
    assert broker.ask().status == 200
    real = time.monotonic
    monkeypatch.setattr("rucio_cs3.broker.rucio.time.monotonic", lambda: real() + 31)
    assert broker.ask().status == 401


def test_many_threads(serve, settings, peer, gateway):
    settings["limits"]["requests_per_minute"] = 1000
    broker = serve(settings)
    peer.tokens.update({f"token-of-{user}": user for user in ("einstein", "marie", "richard")})

    def once(number):
        user = ("einstein", "marie", "richard")[number % 3]
        return user, broker.ask(f"token-of-{user}").body["token"]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        got = list(pool.map(once, range(96)))
    assert {(user, user_of(gateway, token)) for user, token in got} == {
        (u, u) for u in ("einstein", "marie", "richard")
    }


def test_health_asks_nobody(broker, peer, gateway):
    gateway.stop()
    answer = broker.get("/health")
    assert (answer.status, answer.body) == (200, {"status": "ok"})
    assert peer.seen == []


def test_metrics(broker, peer, gateway):
    broker.ask()
    broker.ask("stranger")
    peer.tokens[TOKEN] = "root"
    text = broker.get("/metrics").text
    assert f'rucio_cs3_broker_requests_total{{outcome="ok",site="{gateway.address}"}} 1.0' in text
    assert 'rucio_cs3_broker_requests_total{outcome="rucio_token_refused",site=""} 1.0' in text
    assert f'rucio_cs3_broker_mints_total{{site="{gateway.address}"}} 1.0' in text
    assert 'rucio_cs3_broker_request_seconds_count{endpoint="token"} 2.0' in text
    assert "root" not in text
    assert "einstein" not in text


def test_what_only_a_mistake_of_ours_can_cause_is_told_without_its_text(broker, peer, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError(SECRET)

    monkeypatch.setattr("rucio_cs3.credentials.jwt.expiry", fail)
    answer = broker.ask()
    assert (answer.status, answer.body["code"]) == (500, "internal_error")
    assert answer.headers["X-Request-Id"] in answer.body["error"]
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text + answer.text
