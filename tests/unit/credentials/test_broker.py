"""The broker as a source of tokens: a real one before a real gateway, and each of its refusals in its words."""

from __future__ import annotations

import json
import socket
import time

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.config import Config
from rucio_cs3.credentials.ask import REMEDIES
from rucio_cs3.credentials.caller import Caller, RucioLogin
from rucio_cs3.errors import ConfigError, Cs3Error, DeadlineExceeded, LoginRefused, NoLogin, Unavailable
from rucio_cs3.gateway import Fault, silent_gateway
from tests.unit.broker.conftest import TOKEN, broker, gateway, load, peer, secret_file, serve, served, settings
from tests.unit.credentials.test_oidc import HTML, Wrong

__all__ = ["broker", "gateway", "load", "peer", "secret_file", "serve", "settings"]


def logged_in(token=TOKEN, renew=None, server="https://rucio.example.org"):
    return Caller("me", lambda: RucioLogin("root", token, server, renew))


@pytest.fixture
def site(gateway, tmp_path):
    """A client that asks the broker at a port, or at a URL."""
    made = []

    def connect(where, caller=None, **settings):
        url = where if isinstance(where, str) else f"http://127.0.0.1:{where.port}/"
        fixed = {"gateway": gateway.address, "tls": False, "auth": "broker", "broker": url}
        kept = {"cache": str(tmp_path / "tokens")}
        made.append(Cs3Client(caller=caller or logged_in(), **{**fixed, **kept, **settings}))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def refused(client, kind=Cs3Error):
    with pytest.raises(kind) as caught:
        client.whoami()
    told = str(caught.value)
    assert len(told.splitlines()) == 1
    assert TOKEN not in told
    return caught.value, told


def test_a_rucio_login_of_any_kind_becomes_a_token(site, broker, peer, gateway):
    for _ in range(3):
        assert site(broker).whoami().username == "einstein"
    assert peer.asked == 1
    assert [call.method for call in gateway.calls].count("Authenticate") == 1  # the broker's


def test_it_is_found_by_the_order_that_nobody_wrote(site, broker):
    client = site(broker, auth=None)
    client.whoami()
    assert {each.method: each.outcome for each in client.tokens.tried} == {
        "rucio": "nothing",
        "broker": "won",
        "wlcg": "not tried",
        "login": "not tried",
    }


def test_the_same_account_of_another_rucio_is_somebody_else(site, broker):
    site(broker).whoami()
    refused(site(broker, logged_in("another's", server="https://other.example.org")), LoginRefused)
    assert site(broker, logged_in("whatever it is by now")).whoami().username == "einstein"


def test_a_token_that_anybody_could_have_written_opens_nothing_that_is_kept(site, broker, peer):
    """Its claims are not verified here: the broker has to see it."""
    import jwt  # noqa: PLC0415

    good, forged = (jwt.encode({"sub": "root", "iss": "i"}, key * 32) for key in "kx")
    peer.tokens[good] = "root"

    def caller(token):
        made = Caller("root of i")
        made.update(token)
        return made

    assert site(broker, caller(good)).whoami().username == "einstein"
    refused(site(broker, caller(forged)), LoginRefused)


def test_the_rucio_token_is_renewed_first(site, broker, peer):
    peer.tokens["newer"] = "root"
    client = site(broker, logged_in("over", lambda: "newer"))
    assert client.whoami().username == "einstein"


def test_a_token_is_kept_as_long_as_the_broker_says(site, broker, gateway, tmp_path):
    site(broker).whoami()
    kept = json.loads(next((tmp_path / "tokens").glob("*.json")).read_text())
    assert 500 < kept["expires"] - time.time() <= 600
    assert kept["renew"] < kept["expires"]


def wrong_token(settings, peer, gateway):
    peer.tokens.clear()


def not_mapped(settings, peer, gateway):
    peer.tokens[TOKEN] = "svc-1"


def unknown_site(settings, peer, gateway):
    settings["sites"] = {"elsewhere.example.org:443": settings["sites"].popitem()[1]}


def rucio_fails(settings, peer, gateway):
    peer.answer = lambda request: request.say(500, b"")


def site_fails(settings, peer, gateway):
    gateway.faults.add(Fault("grpc:Authenticate", "exception", status="UNAVAILABLE"))


def site_refuses(settings, peer, gateway):
    gateway.faults.add(Fault("grpc:Authenticate", "status", status="PERMISSION_DENIED"))


def too_often(settings, peer, gateway):
    settings["limits"]["requests_per_minute"] = 1


REFUSALS = {
    wrong_token: ("rucio_token_refused", LoginRefused),
    not_mapped: ("account_not_mapped", LoginRefused),
    unknown_site: ("unknown_site", LoginRefused),
    rucio_fails: ("rucio_unavailable", Unavailable),
    site_fails: ("site_unavailable", Unavailable),
    site_refuses: ("site_refused", Unavailable),
    too_often: ("rate_limited", Unavailable),
}


@pytest.mark.parametrize("way", REFUSALS)
def test_what_the_broker_refuses_is_told_in_its_words(site, serve, settings, peer, gateway, way):
    code, kind = REFUSALS[way]
    way(settings, peer, gateway)
    broker = serve(settings)
    answers = [broker.ask() for _ in range(2)]
    error, told = refused(site(broker, call_timeout=20), kind)
    assert answers[-1].body["code"] == code
    words = answers[-1].body["error"].partition("try again in")[0]
    assert words[:150] in told
    assert told.startswith(f"broker http://127.0.0.1:{broker.port} ")
    assert f"[HTTP {answers[-1].status}]" in told
    assert error.hint == REMEDIES.get(code, kind.default_hint)
    assert error.hint


def test_a_broker_that_is_down(site):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    _, told = refused(site(url), Unavailable)
    assert told == f"broker {url} cannot be reached; check its address and whether it is up"


def test_a_broker_that_is_silent(site):
    with silent_gateway() as address:
        _, told = refused(site(f"http://{address}", call_timeout=0.5), DeadlineExceeded)
    assert told == f"broker http://{address} went silent; try again, or raise call_timeout"


WRONG = {
    "HTML": ((200, HTML, 0), "does not answer as one does: it is no JSON"),
    "no token": ((200, "{}", 0), "is no token: it is empty"),
    "a token that cannot be sent": ((200, '{"token": "a b"}', 0), "is no token"),
    "a token that is none": ((200, '{"token": {"a": "b"}}', 0), "is no token"),
    "a token in a list": ((200, '{"token": ["a"]}', 0), "is no token"),
    "an odd time": ((200, '{"token": "x", "expires": "soon"}', 0), "core access token is invalid"),
    "a later time than there is": ((200, '{"token": "x", "expires": 1e400}', 0), "core access token is invalid"),
    "a redirect": ((307, "{}", 0), "redirects, and secrets go only where the settings say"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_broker(site, case):
    answer, words = WRONG[case]
    wrong = Wrong({"token": answer})
    with served(wrong):
        _, told = refused(site(wrong.url))
    assert words in told
    assert {headers["X-Rucio-Auth-Token"] for _, headers, _ in wrong.seen} == {TOKEN}
    assert {body for *_, body in wrong.seen} == {json.dumps({"site": site(wrong.url).config.gateway})}


@pytest.mark.parametrize(
    "url", ["http://broker.example.org", "http://10.0.0.1:80", "ftp://127.0.0.1", "broker", "http://"]
)
def test_a_broker_in_the_clear_is_refused(url):
    with pytest.raises(ConfigError, match="is not an https:// address, and no secret is sent in the clear"):
        Config("host:1", broker=url)
    with pytest.raises(ConfigError, match="is not an https:// address"):
        Config("host:1", issuer=url)


@pytest.mark.parametrize("url", ["https://me:secret@broker.example.org", "https://secret@broker.example.org"])
def test_an_address_with_a_secret_is_refused(url):
    with pytest.raises(ConfigError, match="holds a user name or a password") as caught:
        Config("host:1", broker=url)
    assert "secret" not in str(caught.value)


def test_nobody_is_logged_in(site, broker):
    client = site(broker, Caller())
    assert "nobody is logged in to Rucio here" in refused(client, NoLogin)[1]
