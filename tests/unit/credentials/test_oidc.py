"""Every way to get a token from an OpenID Connect provider, on a real one, with a gateway that believes it."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

import jwt
import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.config import Config
from rucio_cs3.credentials.caller import NOBODY, RucioLogin
from rucio_cs3.credentials.caller import caller as caller_of
from rucio_cs3.credentials.logins import Logins
from rucio_cs3.credentials.sources import Sources
from rucio_cs3.errors import ConfigError, Cs3Error, NoLogin, NotAuthenticated, Unavailable
from rucio_cs3.gateway import DEMO_USERS, Fault, Gateway, User
from tests.idp.idp import PEOPLE, RUCIO
from tests.unit.broker.conftest import served
from tests.unit.credentials.wrong import KNOWN, Wrong

SERVICE = User(username=RUCIO.id, password="-", id="service", mail="service@example.org", display_name="Service")


@pytest.fixture(scope="module")
def gateway(idp, tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("site"), users=[*DEMO_USERS, SERVICE], oidc_issuer=idp.url) as gateway:
        yield gateway


@pytest.fixture
def site(gateway, idp, tmp_path):
    """A client with these settings, which knows how to ask the provider."""
    with contextlib.ExitStack() as stack:

        def connect(auth, caller=NOBODY, app=RUCIO, **settings):
            known = {"issuer": idp.url, "client_id": app.id, "client_secret": app.secret or None}
            fixed = {"gateway": gateway.address, "tls": False, "auth": auth, "cache": str(tmp_path / "tokens")}
            return stack.enter_context(Cs3Client(caller=caller, **{**fixed, **known, **settings}))

        yield connect


@pytest.fixture
def private(tmp_path):
    """Writes a file that only we can read."""

    def write(text, name="secret"):
        file = tmp_path / name
        file.touch(0o600)
        file.write_text(text)
        return str(file)

    return write


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def logins(gateway):
    return [call.method for call in gateway.calls].count("Authenticate")


def sent(client):
    """What the login would show to the gateway."""
    return jwt.decode(client._sources.in_order()[0].obtain().client_secret, options={"verify_signature": False})


def test_client_credentials(site, gateway):
    before = logins(gateway)
    assert [site("client_credentials").whoami().username for _ in range(3)] == [RUCIO.id] * 3
    assert logins(gateway) == before + 1


def test_scope_and_audience_are_asked_for(site, gateway):
    said = sent(site("client_credentials", scope="storage.read:/", audience="https://{host}/{gateway}"))
    assert (said["scope"], said["aud"]) == ("storage.read:/", f"https://127.0.0.1/{gateway.address}")


def rucio_login(token, account="jdoe"):
    return caller_of(token, lambda: RucioLogin(account, str(token)))


def test_the_oidc_login_to_rucio(site, idp):
    caller = rucio_login(idp.login("einstein")["access_token"])
    assert site("rucio", caller).whoami().username == "einstein"
    client = site(None, caller, issuer=None, client_id=None, client_secret=None)
    assert client.whoami().username == "einstein"
    assert [each.method for each in client.tokens.tried if each.outcome == "won"] == ["rucio"]


def test_a_forged_token_gets_nothing_of_whose_name_is_on_it(site, idp):
    """Who shares connections by a name that nobody has verified yet has to show the site that it is theirs."""
    good = idp.login("einstein")["access_token"]
    head, claims, _ = good.split(".")
    caller = rucio_login(good)
    client = site("rucio", caller)
    assert client.whoami().username == "einstein"
    assert rucio_login(f"{head}.{claims}.{'x' * 342}") is caller
    with pytest.raises(NotAuthenticated):
        client.whoami()
    assert rucio_login(good) is caller
    assert client.whoami().username == "einstein"


def test_exchange(site, idp, gateway):
    caller = rucio_login(idp.login("marie", "openid profile storage.read:/")["access_token"])
    client = site("exchange", caller, audience="site-of-{account}", scope="storage.read:/")
    assert client.whoami().username == "marie"
    said = sent(client)
    assert (said["sub"], said["aud"], said["scope"]) == ("marie", "site-of-jdoe", "storage.read:/")
    before = logins(gateway)
    site("exchange", caller, audience="site-of-{account}", scope="storage.read:/").whoami()
    assert logins(gateway) == before


def test_exchange_of_what_a_program_prints(site, idp, private, tmp_path):
    """Which is not run again when the token that came of it is kept."""
    runs = tmp_path / "runs"
    token = private(idp.login("marie")["access_token"])
    program = f"sh -c 'echo >> {runs}; cat {token}'"
    for _ in range(2):
        assert site("exchange", token_command=program).whoami().username == "marie"
    assert runs.read_text() == "\n"


def test_a_bearer_token_from_a_file_that_changes(site, idp, private):
    file = private(idp.login("einstein")["access_token"])
    client = site("bearer", bearer_token_file=file)
    assert client.whoami().username == "einstein"
    private(idp.login("marie")["access_token"])
    client.tokens.forget(client.tokens.held)
    assert client.whoami().username == "marie"
    assert site("bearer", bearer_token_file=file).whoami().username == "marie"


def test_wlcg_discovery(site, idp, private, monkeypatch):
    monkeypatch.setenv("BEARER_TOKEN_FILE", private(idp.login("einstein")["access_token"]))
    assert site("wlcg").whoami().username == "einstein"


def test_a_token_command(site, idp, private):
    token = private(idp.login("marie")["access_token"])
    assert site("command", token_command=f"cat {token}").whoami().username == "marie"


def test_a_refresh_token_that_stays(site, idp, gateway, private):
    known = idp.login("einstein", app=RUCIO)["refresh_token"]
    file = private(known)
    before = logins(gateway)
    for _ in range(2):
        assert site("refresh", refresh_token_file=file).whoami().username == "einstein"
    assert logins(gateway) == before + 1


def test_a_refresh_token_that_is_good_for_one_use(site, idp, gateway, private, tmp_path):
    """The file has the next one, and the token that came of it serves the next run."""
    file = tmp_path / "secret"
    first = idp.login("einstein")["refresh_token"]
    private(first)
    before = logins(gateway)
    for _ in range(3):
        assert site("refresh", app=PEOPLE, refresh_token_file=str(file)).whoami().username == "einstein"
    assert logins(gateway) == before + 1
    second = file.read_text()
    assert second != first
    assert file.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        site("refresh", app=PEOPLE, refresh_token_file=str(file), cache="off").whoami()
    assert file.read_text() not in {first, second}


def test_the_link_to_a_refresh_token_stays_one(site, idp, private, tmp_path):
    file = private(idp.login("einstein")["refresh_token"])
    link = tmp_path / "link"
    link.symlink_to(file)
    before = link.read_text()
    site("refresh", app=PEOPLE, refresh_token_file=str(link)).whoami()
    assert link.is_symlink()
    assert link.read_text() != before


@pytest.mark.parametrize("cache", ["off", None])
def test_no_refresh_token_is_burnt(site, idp, private, cache):
    """Each client is as good as a process here: they share files and nothing else."""
    file = private(idp.login("einstein")["refresh_token"])
    settings = {} if cache is None else {"cache": cache}
    clients = [site("refresh", app=PEOPLE, refresh_token_file=file, **settings) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert {user.username for user in pool.map(Cs3Client.whoami, clients)} == {"einstein"}


def test_who_comes_when_the_refresh_token_has_changed_and_nothing_is_kept_yet_waits_too(site, idp, gateway, private):
    settings = {"app": PEOPLE, "refresh_token_file": private(idp.login("einstein")["refresh_token"])}
    before = logins(gateway)
    gateway.faults.add(Fault("grpc:Authenticate", "stall", times=1))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(site("refresh", **settings).whoami)
        while logins(gateway) == before:
            assert not first.done()
        second = pool.submit(site("refresh", **settings).whoami)
        with pytest.raises(FutureTimeoutError):
            second.result(1)
        gateway.faults.release()
        assert first.result(30) == second.result(30)
    assert logins(gateway) == before + 1


def followed(home):
    return sorted((home / "rucio-cs3" / "logins").glob("*.refresh"))


def test_what_follows_a_refresh_token_given_outright_is_kept(site, idp, tmp_path):
    """Under the name of the one that was given, so that a new one wins."""
    first, second = (idp.login(name)["refresh_token"] for name in ("einstein", "marie"))

    def user(given, **settings):
        return site("refresh", app=PEOPLE, refresh_token=given, cache="off", **settings).whoami().username

    assert [user(first) for _ in range(3)] == ["einstein"] * 3
    [kept] = followed(tmp_path / "data")
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert first not in kept.read_text()
    assert user(second) == "marie"
    assert user(first, scope="openid") == "einstein"  # another site's wishes, the same login
    assert len(followed(tmp_path / "data")) == 2
    kept.unlink()
    with pytest.raises(NotAuthenticated, match="used before: log in again, or replace refresh_token"):
        user(first)


def test_a_refresh_token_given_outright_is_not_burnt_by_many(site, idp):
    given = idp.login("einstein")["refresh_token"]
    clients = [site("refresh", app=PEOPLE, refresh_token=given, cache="off") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert {user.username for user in pool.map(Cs3Client.whoami, clients)} == {"einstein"}


def test_logging_out_leaves_it_as_it_leaves_all_settings(site, idp, tmp_path):
    client = site("refresh", app=PEOPLE, refresh_token=idp.login("einstein")["refresh_token"])
    client.whoami()
    assert Logins().forget_all() == 0
    assert not Logins().forget(client._sources.provider())
    assert len(followed(tmp_path / "data")) == 1


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [("{", 0o600, "cannot read the login in .*; remove it"), ("{}", 0o640, "can be read or changed by others")],
)
def test_what_has_followed_and_went_bad_is_told(site, idp, tmp_path, content, mode, words):
    given = idp.login("einstein")["refresh_token"]
    site("refresh", app=PEOPLE, refresh_token=given).whoami()
    [kept] = followed(tmp_path / "data")
    kept.write_text(content)
    kept.chmod(mode)
    with pytest.raises(ConfigError, match=words):
        site("refresh", app=PEOPLE, refresh_token=given, cache="off").whoami()


@pytest.fixture(params=["no folder", "no home"])
def nowhere(request, tmp_path, monkeypatch):
    """Nothing can be kept for the user."""
    if request.param == "no folder":
        (tmp_path / "data").touch()
    else:
        for name in ("XDG_DATA_HOME", "HOME"):
            monkeypatch.delenv(name)
        monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)


def test_a_next_refresh_token_that_cannot_be_written_is_told(site, idp, nowhere):
    with pytest.raises(ConfigError) as caught:
        site("refresh", app=PEOPLE, refresh_token=idp.login("einstein")["refresh_token"]).whoami()
    assert "the old one cannot be replaced: " in str(caught.value)
    assert "give it as refresh_token_file" in str(caught.value)


@pytest.fixture
def person(site, idp):
    """Somebody who has logged in by the device flow, and a client of hers."""
    client = site("login", app=PEOPLE, scope="openid profile")
    provider = client._sources.provider()
    begun = provider.begin_device()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(provider.await_device, begun)
        idp.approve(begun["verification_uri_complete"], "marie")
        Logins().keep(provider, waiting.result(30))
    return client


def test_the_device_flow(person, site, gateway):
    assert person.whoami().username == "marie"
    assert Logins().path(person._sources.provider()).stat().st_mode & 0o777 == 0o600
    before = logins(gateway)
    assert site("login", app=PEOPLE, scope="openid profile").whoami().username == "marie"
    assert logins(gateway) == before


def test_a_login_that_is_kept_is_renewed(person, site, gateway):
    """By one for all, and the next run finds what came of it."""
    provider = person._sources.provider()
    path = Logins().path(provider)
    known = json.loads(path.read_text())
    Logins().keep(provider, {"refresh_token": known["refresh_token"]})
    before = logins(gateway)
    clients = [site("login", app=PEOPLE, scope="openid profile") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert {user.username for user in pool.map(Cs3Client.whoami, clients)} == {"marie"}
    assert json.loads(path.read_text())["refresh_token"] != known["refresh_token"]
    site("login", app=PEOPLE, scope="openid profile").whoami()
    assert logins(gateway) == before + 1
    assert Logins().forget(provider)
    with pytest.raises(NoLogin, match="nobody has logged in at"):
        site("login", app=PEOPLE, scope="openid profile").whoami()


@pytest.mark.parametrize("content", ["{", "[]", "7", '{"a": 1}', '{"access_token": 7}'])
def test_a_login_that_cannot_be_read_is_told(person, site, content):
    Logins().path(person._sources.provider()).write_text(content)
    with pytest.raises((ConfigError, NotAuthenticated), match="rucio-cs3 token login"):
        site("login", app=PEOPLE, scope="openid profile").whoami()


def test_a_login_that_was_revoked_is_told(person, site):
    provider = person._sources.provider()
    Logins().keep(provider, {"refresh_token": "revoked"})
    with pytest.raises(NotAuthenticated) as caught:
        site("login", app=PEOPLE, scope="openid profile").whoami()
    assert str(caught.value).startswith(f"OIDC provider {provider.issuer} refuses: ")
    assert str(caught.value).endswith("log in again: rucio-cs3 token login")


REFUSALS = {
    "a wrong secret": ({"auth": "client_credentials", "client_secret": "wrong"}, "check client_id and client_secret"),
    "an unknown client": ({"auth": "client_credentials", "client_id": "nobody"}, "check client_id"),
    "a wrong scope": ({"auth": "client_credentials", "scope": "everything"}, "check scope"),
    "a bad refresh token": ({"auth": "refresh", "refresh_token": "x" * 50}, "log in again, or replace refresh_token"),
    "nobody at the site": ({"auth": "command", "token_command": "STRANGER"}, "the token has issuer"),
    "garbage to exchange": ({"auth": "exchange", "bearer_token": "garbage-garbage"}, "refuses: "),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused_is_told_with_a_remedy(site, idp, private, case):
    settings, words = REFUSALS[case]
    if settings.get("token_command"):
        settings = {**settings, "token_command": f"cat {private(idp.login('stranger')['access_token'])}"}
    with pytest.raises(NotAuthenticated) as caught:
        site(**settings).whoami()
    told = str(caught.value)
    assert words in told
    assert len(told.splitlines()) == 1
    if "STRANGER" not in words:
        assert not {value for name, value in settings.items() if name.endswith("_token") and value in told}


def test_who_a_refused_token_is_for_is_told(site, idp):
    with pytest.raises(NotAuthenticated) as caught:
        site("bearer", bearer_token=idp.login("stranger")["access_token"]).whoami()
    told = str(caught.value)
    assert f"issuer '{idp.url}', audience 'rucio', subject 'stranger': the site must know all three" in told


HTML = "<html><body>Welcome to the captive portal</body></html>"
# what discovery and the token endpoint answer -> what is said
WRONG = {
    "HTML at first": ((200, HTML, 0), None, "does not answer as one does: it is no JSON [HTTP 200]; check its address"),
    "HTML then": (KNOWN, (200, HTML, 0), "it is no JSON [HTTP 200]"),
    "HTML and an error": (KNOWN, (503, HTML, 0), "it is no JSON [HTTP 503]"),
    "not found": ((404, HTML, 0), None, "it is no JSON [HTTP 404]; check its address"),
    "nothing": ((200, "", 0), None, "it is no JSON"),
    "a list": ((200, "[]", 0), None, "it is no JSON"),
    "much": ((200, f'"{"x" * (1 << 21)}"', 0), None, "it is no JSON"),
    "deep": ((200, "[" * 100_000, 0), None, "it is no JSON"),
    "another issuer": ((200, '{"issuer": "https://x"}', 0), None, "calls itself 'https://x'; correct issuer"),
    "no issuer": ((200, "{}", 0), None, "calls itself None"),
    "no endpoint": ((200, '{"issuer": "ME"}', 0), None, "has no token_endpoint"),
    "an endpoint elsewhere, in the clear": (
        (200, '{"issuer": "ME", "token_endpoint": "http://evil.example.org/token"}', 0),
        None,
        "is not at an https:// address: http://evil.example.org; no secret is sent in the clear",
    ),
    "no URL": ((200, '{"issuer": "ME", "token_endpoint": "https://[x"}', 0), None, "is not at an address"),
    "no token": (KNOWN, (200, "{}", 0), "answers without an access token"),
    "a token that is none": (KNOWN, (200, '{"access_token": "two words"}', 0), "is no token"),
    "a redirect": (KNOWN, (302, '{"access_token": "x"}', 0), "redirects, and secrets go only where the settings say"),
    "a failure": (KNOWN, (500, '{"error": "server_error"}', 0), "fails: server_error [HTTP 500]"),
    "a failure without words": (KNOWN, (500, "{}", 0), "fails: it does not say why"),
    "a refusal without words": (KNOWN, (400, "{}", 0), "refuses: it does not say why"),
    "too often": (KNOWN, (429, '{"error": "rate_limited"}', 0), "fails: rate_limited [HTTP 429]; wait before"),
    "what it was shown": (KNOWN, (400, '{"error": "bad: BODY"}', 0), "refuses: bad: "),
    "slow at first": ((200, "{}", None), None, "went silent; try again, or raise call_timeout"),
    "slow then": (KNOWN, (200, "{}", None), "went silent"),
}
REFRESH = "refresh-token-" + "0123456789" * 4


@pytest.mark.parametrize("case", WRONG)
def test_a_provider_that(case):
    discovery, token, words = WRONG[case]
    wrong = Wrong({"openid-configuration": discovery, "token": token})
    settings = {"issuer": wrong.url, "client_id": "c", "client_secret": "s3cret-of-the-client"}
    if "slow" in case:
        settings["call_timeout"] = 0.5
    sources = Sources(Config("host:1", auth="refresh", refresh_token=REFRESH, **settings), NOBODY)
    with served(wrong):
        with pytest.raises(Cs3Error) as caught:
            sources.in_order()[0].obtain()
        wrong.over.set()
    sources.close()
    told = str(caught.value)
    assert words in told
    assert wrong.url in told or "no token" in words
    assert len(told.splitlines()) == 1
    for secret in (REFRESH, "s3cret-of-the-client", REFRESH[10:30]):
        assert secret not in told
    if token and token[0] == 302:
        assert [path for path, *_ in wrong.seen].count("/token") == 1


def test_a_refresh_token_that_nothing_follows_needs_no_place(nowhere):
    provider = Wrong({"openid-configuration": KNOWN, "token": (200, '{"access_token": "opaque"}', 0)})
    settings = {"issuer": provider.url, "client_id": "c", "refresh_token": REFRESH}
    sources = Sources(Config("host:1", auth="refresh", **settings), NOBODY)
    with served(provider):
        assert sources.in_order()[0].obtain().client_secret == "opaque"
    sources.close()


def test_a_provider_that_is_down(site):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unavailable) as caught:
        site("client_credentials", issuer=url).whoami()
    assert str(caught.value) == f"OIDC provider {url} cannot be reached; check its address and whether it is up"


def test_a_provider_behind_a_certificate_that_nobody_knows(site, tmp_path):
    import ssl  # noqa: PLC0415

    import trustme  # noqa: PLC0415

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    wrong = Wrong({})
    wrong.socket = context.wrap_socket(wrong.socket, server_side=True, do_handshake_on_connect=False)
    url = f"https://127.0.0.1:{wrong.server_port}"
    with served(wrong), pytest.raises(Unavailable) as caught:
        site("client_credentials", issuer=url).whoami()
    assert str(caught.value).startswith(f"TLS with OIDC provider {url} failed: ")
    assert str(caught.value).endswith("check ca, and its certificate")


def test_a_chatty_token_command_is_ended(site):
    with pytest.raises(ConfigError, match="prints more than any token"):
        site("command", token_command=f"{sys.executable} -c 'while True: print(42)'").whoami()


@pytest.mark.parametrize("command", ["'unbalanced", "sh 'x", ""])
def test_a_token_command_that_is_no_command(site, command):
    with pytest.raises(ConfigError, match="token_command"):
        site("command", token_command=command).whoami()


def test_what_a_command_complains_of_is_not_shown(site):
    with pytest.raises(ConfigError, match="failed with status 1; run it by hand") as caught:
        site("command", token_command="sh -c 'echo wrong password hunter2 >&2; exit 1'").whoami()
    assert "hunter2" not in str(caught.value)


def test_what_a_command_leaves_behind_lives_on(site, idp, private, tmp_path):
    """As an agent that was started for it would."""
    token = private(idp.login("marie")["access_token"])
    pid = tmp_path / "pid"
    command = f"sh -c 'sleep 50 >&- 2>&- & echo $! > {pid}; cat {token}'"
    assert site("command", token_command=command).whoami().username == "marie"
    import os  # noqa: PLC0415

    os.kill(int(pid.read_text()), 15)
