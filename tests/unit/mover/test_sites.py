from __future__ import annotations

import pytest

from rucio_cs3.errors import ConfigError, InvalidName, Locked, NoLogin, NotAuthenticated, Unavailable, Untrusted
from rucio_cs3.mover import sites
from rucio_cs3.mover.addresses import identity
from rucio_cs3.mover.model import Failed, Place, Side
from rucio_cs3.mover.site import Site
from rucio_cs3.mover.sites import Sites

TABLES = {
    "CERNBOX": {
        "gateway": "cs3.example.org:443",
        "doors": ["davs://box.example.org/remote.php/webdav", "https://box.example.org:8443/dav%20files/"],
        "cs3_root": "/eos/project/r",
        "machine_secret_file": "/nowhere/secret",
        "username": "mover",
    },
    "DEEPER": {
        "gateway": "cs3.example.org:443",
        "doors": ["davs://box.example.org/remote.php/webdav/deep"],
        "cs3_root": "/eos/project/d",
    },
    "OCIS": {
        "gateway": "127.0.0.1:9142",
        "tls": False,
        "doors": ["http://localhost:9200"],
        "webdav_root": "/dav/spaces/a$b",
        "space": "a$b",
        "tpc": "off",
    },
}

FOUND = [
    ("davs://box.example.org/remote.php/webdav/x", "CERNBOX", "x"),
    ("davs://box.example.org:443/remote.php/webdav/a/b%20c%23d", "CERNBOX", "a/b c#d"),
    ("https://BOX.example.org:0443//remote.php//webdav/x?y#z", "CERNBOX", "x?y#z"),
    ("davs://box.example.org:8443/dav%20files/x", "CERNBOX", "x"),
    ("davs://box.example.org/remote.php/webdav/deep/x", "DEEPER", "x"),
    ("davs://box.example.org/remote.php/webdav/deeper", "CERNBOX", "deeper"),
    ("cs3s://cs3.example.org:443/eos/project/r/x", "CERNBOX", "x"),
    ("cs3s://cs3.example.org/eos/project/d/x", "DEEPER", "x"),
    ("http://localhost:9200/dav/spaces/a$b/x", "OCIS", "x"),
    ("dav://localhost:9200/dav/spaces/a%24b/x", "OCIS", "x"),
    ("cs3://127.0.0.1:9142/x", "OCIS", "x"),
]
NOWHERE = [
    "davs://box.example.org/remote.php/webdavx",
    "davs://box.example.org:444/remote.php/webdav/x",
    "http://box.example.org:443/remote.php/webdav/x",
    "davs://box.example.org.evil/remote.php/webdav/x",
    "davs://evil/davs://box.example.org/remote.php/webdav/x",
    "davs://box.example.org@evil/remote.php/webdav/x",
    "davs://evil@box.example.org/remote.php/webdav/x",
    "davs://box.example.org/remote.php/webdav/../../x",
    "davs://box.example.org/remote.php/webdav/%2e%2e/x",
    "davs://box.example.org/remote.php/webdav/",
    "davs://box.example.org/remote.php/webdav",
    "cs3s://cs3.example.org:443/eos/project/x",
    "cs3://cs3.example.org:443/eos/project/r/x",
    "cs3s://127.0.0.1:9142/x",
    "davs://box.example.org:port/remote.php/webdav/x",
    "davs:///x",
    "root://box.example.org//x",
    "/remote.php/webdav/x",
    "",
]


@pytest.fixture
def known():
    with Sites.of(TABLES) as known:
        yield known


@pytest.mark.parametrize(("url", "site", "below"), FOUND)
def test_an_address_leads_to_its_site(known, url, site, below):
    found, _, path = known.find(url)
    assert (found.name, path) == (site, below)


@pytest.mark.parametrize("url", NOWHERE)
def test_any_other_leads_nowhere(known, url):
    with pytest.raises(InvalidName):
        known.find(url)


@pytest.mark.parametrize("port", ["²", "9" * 5000, "-1", "8 0", ""])
def test_a_port_that_is_none(known, port):
    url = f"davs://[::1]:{port}/x" if port else "davs://:/x"
    with pytest.raises(InvalidName, match="not of the form"):
        known.find(url)
    assert identity(url) == url.encode()


def test_who_asks_for_an_unknown_one_learns_of_the_sites(known):
    """As they are written in mover.toml."""
    with pytest.raises(
        InvalidName, match=r"CERNBOX has davs://box.example.org/remote.php/webdav, .*; DEEPER has"
    ) as caught:
        known.find("davs://elsewhere.example.org/x")
    assert str(caught.value).endswith("; add what it begins with to doors of its site in mover.toml")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("davs://localhost:9200/dav/x", "write davs:// instead of http:// in doors of [sites.OCIS] of mover.toml"),
        ("http://box.example.org:8443/dav%20files/x", "compare it with doors of [sites.CERNBOX] of mover.toml"),
        ("davs://box.example.org/other/x", "compare it with doors of [sites.CERNBOX] of mover.toml"),
    ],
)
def test_who_asks_for_one_that_is_near_learns_what_differs(known, url, words):
    with pytest.raises(Failed) as caught, known.open(Side.SOURCE, Place(url)):
        pass
    assert words in caught.value.reason
    assert caught.value.reason.count(url) == 1


def test_all_addresses_of_a_site_open_on_one_root(known):
    roots = {str(known.find(url)[0].root) for url, site, _ in FOUND if site == "CERNBOX"}
    assert roots == {"/eos/project/r"}
    assert str(known.find("cs3://127.0.0.1:9142/x")[0].root) == "a$b!b"


BAD = [
    ({"gateway": "nonsense"}, "is not host:port"),
    ({}, "no gateway is given"),
    ({"gatewayy": "h:1"}, "unknown setting 'gatewayy'; did you mean 'gateway'?"),
    ({"gateway": "h:1", "dors": []}, "unknown setting 'dors'; did you mean 'doors'?"),
    ({"gateway": "h:1", "doors": ["davs://h/x"]}, "doors are given, and neither cs3_root nor space; set cs3_root"),
    ({"gateway": "h:1", "auth": "wlcg"}, "auth = wlcg is the login of whoever starts the mover"),
    ({"gateway": "h:1", "auth": "basic, rucio?"}, "auth = rucio is the login of whoever starts the mover"),
    ({"gateway": "h:1", "auth": "exchange", "issuer": "https://i", "client_id": "c"}, "auth = exchange is the login"),
    ({"gateway": "h:1", "doors": "davs://h/x"}, "doors is not a list of texts"),
    ({"gateway": "h:1", "doors": [1]}, "doors is not a list of texts"),
    ({"gateway": "h:1", "doors": ["root://h:1094/x"], "cs3_root": "/r"}, "not the address of a WebDAV door"),
    ({"gateway": "h:1", "doors": ["nonsense"], "cs3_root": "/r"}, "not of the form davs://host:port/path"),
    ({"gateway": "h:1", "doors": ["http://h.example.org/x"], "cs3_root": "/r"}, "would send tokens in the clear"),
    ({"gateway": "h:1", "doors": ["davs://h/../x"], "cs3_root": "/r"}, "'..' is not allowed"),
    ({"gateway": "h:1", "cs3_root": "relative"}, "must be absolute"),
    ({"gateway": "h:1", "space": "nonsense"}, "not a resource id"),
    ({"gateway": "h:1", "space": "a$b", "cs3_root": "/x"}, "space and cs3_root are both set"),
    ({"gateway": "h:1", "tpc": "yes"}, "tpc = 'yes' is not known; use one of: auto, lend, off"),
    ({"gateway": "h:1", "tpc": True}, "tpc is not text"),
    ("nonsense", "a table of settings is wanted"),
]


@pytest.mark.parametrize(("table", "words"), BAD)
def test_a_bad_table_is_named(table, words):
    with pytest.raises(ConfigError, match=r"mover.toml: site HERE: ") as caught:
        Sites.of({"HERE": table})
    assert words in str(caught.value)


def test_no_sites_at_all():
    with pytest.raises(ConfigError, match="there are no sites"):
        Sites.of({})


def test_the_token_of_a_job_takes_the_place_of_all_our_logins(known):
    site, _, _ = known.find("cs3s://cs3.example.org/eos/project/r/x")
    config = site.with_token("of-the-job")
    assert (config.auth, config.bearer_token, config.cache) == ("bearer", "of-the-job", "off")
    assert (config.username, config.machine_secret_file) == (None, None)
    assert config.gateway == site.config.gateway
    assert "of-the-job" not in repr(config)


def test_the_environment_brings_settings_and_no_login(monkeypatch):
    """It is of whoever starts the mover, and may be meant for other commands."""
    for name, value in {"STALL_TIMEOUT": "7", "USERNAME": "me", "PASSWORD": "secret", "GATEWAY": "h:1"}.items():
        monkeypatch.setenv(f"RUCIO_CS3_{name}", value)
    monkeypatch.setenv("BEARER_TOKEN", "of-the-operator")
    with Sites.of({"HERE": {"gateway": "h:1"}}) as known:
        [site] = known.all
        assert (site.config.stall_timeout, site.config.username, site.config.password) == (7.0, None, None)
        with pytest.raises(Failed) as caught, known.open(Side.SOURCE, Place("cs3s://h:1/x")):
            pass
        assert "the mover has no login of its own there; set username with password_file" in caught.value.reason
        assert caught.value.reason.endswith("see [sites.HERE] of mover.toml")
        with known.open(Side.SOURCE, Place("cs3s://h:1/x", "of-the-job")) as end:
            assert end.client.config.bearer_token == "of-the-job"


REMEDIES = [
    (NotAuthenticated("no"), "check password_file, username in [sites.HERE] of mover.toml"),
    (NoLogin("none", hint="set username"), "set username; see [sites.HERE] of mover.toml"),
    (Untrusted("no"), "check ca in [sites.HERE] of mover.toml, and the site's certificate"),
    (
        Unavailable("hidden", status="NOT_FOUND", hint="gone"),
        "gone: check cs3_root or space in [sites.HERE] of mover.toml",
    ),
    (
        Unavailable("down", hint="set tls = false, RUCIO_CS3_TLS=false"),
        "set tls = false; see [sites.HERE] of mover.toml",
    ),
    (Locked("locked"), Locked.default_hint),
]


@pytest.mark.parametrize(("error", "remedy"), REMEDIES, ids=lambda value: type(value).__name__)
def test_a_remedy_names_what_stands_in_mover_toml(error, remedy):
    site = Site.of("HERE", {"gateway": "h:1", "username": "u", "password_file": "/p"})
    assert site.remedy(error) == remedy
    assert "rucio.cfg" not in site.remedy(error)


def test_the_token_of_a_job_is_not_the_mover_s_business():
    site = Site.of("HERE", {"gateway": "h:1", "username": "u", "password_file": "/p"})
    assert site.remedy(NotAuthenticated("no", hint="ask for another"), of_job=True) == "ask for another"


def test_clients_are_kept_and_bounded(known, monkeypatch):
    monkeypatch.setattr(sites, "CLIENTS", 2)
    url = FOUND[0][0]

    def client(token):
        with known.open(Side.SOURCE, Place(url, token)) as end:
            return end.client

    one = client("a")
    assert client("a") is one
    with known.open(Side.SOURCE, Place(url, "b")) as used:
        others = [client(token) for token in "cde"]
        assert client("a") is not one  # it was the one not used for longest
        with known.open(Side.SOURCE, Place(url, "b")) as again:
            assert again.client is used.client
    assert client("d") is not others[1]


def test_no_token_is_shown(known):
    place = Place(FOUND[0][0], "of-the-job")
    with known.open(Side.SOURCE, place) as end:
        assert "of-the-job" not in f"{end!r} {place!r} {end.site!r}"
