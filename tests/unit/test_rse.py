from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rucio_cs3.config import Layer
from rucio_cs3.errors import ConfigError, InvalidName
from rucio_cs3.model import Ref, ResourceId
from rucio_cs3.rse import Rse, path_to_pfn, pfn_to_path

DAVS = {
    "scheme": "davs",
    "hostname": "dav.example.org",
    "port": 443,
    "prefix": "/remote.php/webdav/rucio/",
    "extended_attributes": {
        "cs3": {"gateway": "cs3.example.org:443", "webdav_root": "/remote.php/webdav", "cs3_root": "/eos/project"}
    },
}
NATIVE = {
    "scheme": "cs3s",
    "hostname": "cs3.example.org",
    "port": 443,
    "prefix": "/eos/rucio",
    "extended_attributes": None,
}
GIVEN = {"token": "t"}

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda name: name not in {".", ".."}
)


def rse_of(entry, special, general=()):
    """Settings here for this RSE, and for all."""
    return Rse.of("R", entry, [Layer("special", special)], [Layer("general", settings) for settings in general])


def with_cs3(**cs3):
    return {**DAVS, "extended_attributes": {"cs3": {**DAVS["extended_attributes"]["cs3"], **cs3}}}


@given(st.lists(names, min_size=1, max_size=3))
def test_a_pfn_finds_its_way_back(parts):
    path = "/".join(parts)
    for entry in (DAVS, NATIVE):
        pfn = path_to_pfn(entry, f"{entry['prefix'].rstrip('/')}/{path}")
        assert pfn.isascii()
        assert not set(pfn) & set(' #?"<>\\^`{|}')
        assert pfn_to_path(pfn, entry) == path


def test_a_plain_name_is_left_as_it_is():
    assert path_to_pfn(DAVS, "/remote.php/webdav/rucio/a+b/c_d-e.f") == (
        "davs://dav.example.org:443/remote.php/webdav/rucio/a+b/c_d-e.f"
    )


@pytest.mark.parametrize(
    "pfn",
    [
        "davs://dav.example.org:443/remote.php/webdav/rucio/../secret",
        "davs://dav.example.org:443/remote.php/webdav/rucio/%2e%2e/secret",
        "davs://dav.example.org:443/remote.php/webdav/rucio/a%00b",
        "davs://dav.example.org:443/remote.php/webdav/rucio/a%ffb",
        "davs://dav.example.org:443/remote.php/webdav/other/a",
        "davs://dav.example.org:443/remote.php/webdav/ruciox/a",
        "davs://elsewhere.example.org:443/remote.php/webdav/rucio/a",
        "davs://dav.example.org:8443/remote.php/webdav/rucio/a",
        "https://dav.example.org:443/remote.php/webdav/rucio/a",
        "davs://dav.example.org:443/remote.php/webdav/rucio/" + "n" * 256,
        "davs://dav.example.org:port/remote.php/webdav/rucio/a",
        "/remote.php/webdav/rucio/a",
        "",
    ],
)
def test_what_is_outside_is_refused(pfn):
    with pytest.raises(InvalidName):
        pfn_to_path(pfn, DAVS)


def test_the_webdav_address_becomes_a_cs3_path():
    rse = rse_of(DAVS, GIVEN)
    assert rse.root == Ref("/eos/project/rucio")
    assert rse.config.gateway == "cs3.example.org:443"
    assert rse.config.tls


def test_a_space_can_be_the_root():
    rse = rse_of(with_cs3(space="st$sp!op"), GIVEN)
    assert rse.root == Ref("rucio", ResourceId("st", "op", "sp"))


@pytest.mark.parametrize(("scheme", "tls"), [("cs3s", True), ("cs3", False)])
def test_a_native_entry_names_the_gateway_itself(scheme, tls):
    rse = rse_of({**NATIVE, "scheme": scheme}, {**GIVEN, "tls": str(tls)})
    assert (rse.config.gateway, rse.config.tls, rse.root) == ("cs3.example.org:443", tls, Ref("/eos/rucio"))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({**DAVS, "extended_attributes": "{not json"}, 'not of the form {"cs3": {...}}'),
        ({**DAVS, "extended_attributes": {"cs3": "x"}}, "not of the form"),
        ({**DAVS, "extended_attributes": {"cs3": {"webdav_root": "/", "cs3_root": "/"}}}, "no gateway"),
        (with_cs3(gateway="nonsense"), "not host:port"),
        (with_cs3(webdav_root="/elsewhere"), "not below webdav_root"),
        (with_cs3(password="x"), "extended_attributes hold password"),
        (with_cs3(password_file="/home/user/.ssh/id_rsa"), "extended_attributes hold password_file"),
        (with_cs3(client_key="x"), "extended_attributes hold client_key"),
        (with_cs3(token_command="sh x"), "extended_attributes hold token_command"),
        (with_cs3(accounts="root: einstein"), "extended_attributes hold accounts"),
        (with_cs3(client_secret="x"), "extended_attributes hold client_secret"),
        (with_cs3(refresh_token_file="x"), "extended_attributes hold refresh_token_file"),
        (with_cs3(cache="/tmp/everybodys"), "extended_attributes hold cache"),
        (with_cs3(broker="http://broker.example.org"), "not an https:// address"),
        (with_cs3(issuer="http://login.example.org"), "not an https:// address"),
        (with_cs3(gatewy="x:1"), "did you mean 'gateway'"),
        (with_cs3(webdav_root=7), "webdav_root"),
        (with_cs3(space="nonsense"), "resource id"),
    ],
)
def test_a_wrong_entry_is_named(entry, words):
    with pytest.raises((ConfigError, InvalidName)) as caught:
        rse_of(entry, GIVEN)
    assert words in str(caught.value)


@pytest.mark.parametrize("entry", [with_cs3(tls=False), with_cs3(tls="off"), {**NATIVE, "scheme": "cs3"}])
def test_an_rse_alone_cannot_make_us_send_a_login_in_the_clear(entry):
    for settings in ({}, {"tls": "true"}):
        with pytest.raises(ConfigError, match=r"asks for plaintext to cs3\.example\.org:443"):
            rse_of(entry, GIVEN, (settings,))
    assert not rse_of(entry, GIVEN, ({"tls": "false"},)).config.tls
    assert not rse_of(entry, {**GIVEN, "tls": "no"}).config.tls


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_on_this_machine_it_may(host):
    assert not rse_of(with_cs3(gateway=f"{host}:19000", tls=False), GIVEN).config.tls


@pytest.mark.parametrize("special", [{"machine_secret": "s"}, {"machine_secret_file": "/s"}, {"accounts": "root: svc"}])
def test_an_rse_does_not_say_as_whom_a_machine_secret_logs_in(special):
    with pytest.raises(ConfigError, match="a machine secret is not used for whom an RSE names"):
        rse_of(with_cs3(username="victim"), special)
    assert rse_of(with_cs3(username="victim"), {**special, "username": "svc"}).config.username == "svc"


def test_settings_here_win_over_the_entry():
    assert rse_of(with_cs3(call_timeout=5), GIVEN, ({"call_timeout": "7"},)).config.call_timeout == 5
    assert rse_of(with_cs3(call_timeout=5), {**GIVEN, "call_timeout": "7"}).config.call_timeout == 7


def test_a_credential_for_all_goes_only_to_the_gateway_it_names():
    elsewhere = {"gateway": "evil.example.org:1", "username": "e", "password": "p", "ca": "/ca.pem"}
    here = {**elsewhere, "gateway": "cs3.example.org:443"}
    nowhere = {key: value for key, value in elsewhere.items() if key != "gateway"}
    assert rse_of(DAVS, {}, (elsewhere,)).config.password is None
    assert rse_of(DAVS, {}, (nowhere,)).config.password is None
    assert rse_of(DAVS, {}, (nowhere,)).config.ca == "/ca.pem"
    assert rse_of(DAVS, {}, (here,)).config.password == "p"


LOGIN = {"username": "e", "password": "p"}
HERE = "cs3.example.org:443"


@pytest.mark.parametrize(
    ("special", "general", "won"),
    [
        (LOGIN, [{"gateway": HERE, "token": "t"}], "password"),
        ({}, [{"gateway": HERE, "token": "t"}, {"gateway": HERE, **LOGIN}], "token"),
        ({}, [{"gateway": HERE, "token_file": "/t"}, {"gateway": HERE, **LOGIN}], "token_file"),
        ({}, [{"call_timeout": "7"}, {"gateway": HERE, **LOGIN}], "password"),
    ],
)
def test_a_login_comes_from_the_strongest_place_only(special, general, won):
    config = rse_of(DAVS, special, general).config
    logins = ("password", "token", "token_file")
    assert [name for name in logins if getattr(config, name)] == [won]


ISSUER, EVIL = "https://login.example.org", "https://evil.example.org"


@pytest.mark.parametrize("secret", ["client_secret", "client_secret_file", "refresh_token", "refresh_token_file"])
def test_our_secret_goes_to_no_provider_because_an_rse_names_it(secret):
    """Neither to one where we name none, nor to one that stands in front of ours."""
    entry = with_cs3(issuer=EVIL, client_id="c")
    words = f"RSE R says that issuer is {EVIL}: {secret} is not sent there because an RSE says so; if you mean it"
    for special, general in [
        ({secret: "x"}, ()),
        ({}, [{"gateway": HERE, secret: "x"}]),
        ({}, [{"gateway": HERE, secret: "x", "issuer": ISSUER, "client_id": "c"}]),
    ]:
        with pytest.raises(ConfigError) as caught:
            rse_of(entry, special, general)
        assert words in str(caught.value)
    assert rse_of(entry, {secret: "x", "issuer": ISSUER}).config.issuer == ISSUER
    assert rse_of(entry, {secret: "x", "issuer": EVIL}).config.issuer == EVIL
    assert rse_of(with_cs3(issuer=ISSUER), {}, [{"gateway": HERE, secret: "x", "issuer": ISSUER}])
    assert rse_of(entry, {}, [{"gateway": "elsewhere:1", secret: "x", "issuer": ISSUER}]).config.issuer == EVIL


def test_an_rse_may_name_a_provider_to_whom_we_show_no_secret():
    assert rse_of(with_cs3(issuer=ISSUER, client_id="c", audience="{host}"), {}).config.issuer == ISSUER


def test_an_rse_may_name_a_broker():
    assert rse_of(with_cs3(broker="https://broker.example.org"), {}).config.broker == "https://broker.example.org"
    assert rse_of(with_cs3(broker="http://127.0.0.1:8080"), {}).config.broker == "http://127.0.0.1:8080"


def test_a_wrong_setting_is_named_with_where_it_stands():
    """Who reads it has rucio.cfg, rse-accounts.cfg, and attributes to look at."""
    for settings, words in (
        ({"pasword": "p"}, "RSE R, special: unknown setting 'pasword'; did you mean 'password'?"),
        ({"retries": "many"}, "RSE R, special: retries: 'many' is not a whole number"),
    ):
        with pytest.raises(ConfigError, match=re.escape(words)):
            rse_of(with_cs3(gateway="g:1"), settings)


def test_where_each_setting_stands():
    entry = with_cs3(call_timeout=5, retries=1)
    section = Layer("section", {"retries": "3"})
    account = Layer("account", {"retries": "4", "username": "svc"})
    general = [
        Layer("general", {"gateway": "elsewhere:1", "password": "p", "verify": "readback", "stall_timeout": "9"})
    ]
    general += [Layer("weaker", {"stall_timeout": "8", "ca": "/ca.pem"})]
    rse = Rse.of("R", entry, [section, account], general)
    assert (rse.config.retries, rse.config.stall_timeout, rse.config.password) == (3, 9, None)
    assert rse.origins == {
        "gateway": "extended_attributes of the RSE",
        "tls": "scheme of the RSE",
        "call_timeout": "extended_attributes of the RSE",
        "retries": "section",
        "username": "account",
        "verify": "general",
        "stall_timeout": "general",
        "ca": "weaker",
    }
    assert rse_of(NATIVE, {}).origins["gateway"] == "hostname and port of the RSE"
