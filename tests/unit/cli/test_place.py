"""The one parser of names: what is what, and that a name that is told can be given again."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rucio_cs3.cli.place import LOCAL, RSE, STDIO, Name, Place, Places
from rucio_cs3.cli.site import Site
from rucio_cs3.credentials.caller import NOBODY
from rucio_cs3.errors import ConfigError, InvalidName
from rucio_cs3.model import Ref, relative

LOGIN = {"RUCIO_CS3_USERNAME": "einstein", "RUCIO_CS3_PASSWORD": "relativity"}
PARTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda part: part not in {".", ".."}
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-", Name(STDIO)),
        ("file", Name(LOCAL, "", "file")),
        ("./a:b", Name(LOCAL, "", "./a:b")),
        ("/a:b", Name(LOCAL, "", "/a:b")),
        ("folder/", Name(LOCAL, "", "folder/", folder=True)),
        (".", Name(LOCAL, "", ".", folder=True)),
        ("..", Name(LOCAL, "", "..", folder=True)),
        ("RSE:", Name(RSE, "RSE", "", folder=True)),
        ("CERN-BOX_1:a/b", Name(RSE, "CERN-BOX_1", "a/b")),
        ("RSE:a/b/", Name(RSE, "RSE", "a/b", folder=True)),
        ("RSE:/a//b", Name(RSE, "RSE", "a/b")),
        ("RSE:a:b%41", Name(RSE, "RSE", "a:b%41")),
        ("RSE:443/x", Name(RSE, "RSE", "443/x")),
        ("cs3s://h:1/a%20b%25", Name("cs3s", "h:1", "a b%")),
        ("cs3://[::1]:1/a/", Name("cs3", "[::1]:1", "a", folder=True)),
        ("cs3s://h:1", Name("cs3s", "h:1", "", folder=True)),
        ("davs://h/dav/x?y#z", Name("davs", "h", "dav/x?y#z")),
    ],
)
def test_names(text, expected):
    assert Name.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "cs3:/h:1/x",
            "cs3s:h:1/x",
            "davs:/h/x",
            "s3://b/k",
            "https://h/x",
            "CS3S://h:1/x",
            "cs3s://h:1/%ff",
            "cs3s://h:1/a%00b",
            "cs3.example.org:443/x",
            "localhost:19000",
        ),
        *("cs3s://h:1/../x", "RSE:../x", "cs3s://h:1/%2e%2e/x", "cs3s://user:word@h:1/x"),
    ],
)
def test_names_that_are_none(text):
    with pytest.raises(InvalidName) as caught:
        Name.parse(text)
    assert "word" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_name_or_an_invalid_one(text):
    try:
        name = Name.parse(text)
    except InvalidName:
        return
    assert name.kind in {LOCAL, RSE, STDIO, "cs3s", "cs3", "davs"}


@given(PATHS, PARTS, st.sampled_from(["RSE:", "cs3s://h:1/", "davs://h/dav/"]))
def test_a_name_that_is_told_can_be_given_again(path, below, prefix):
    place = Place(None, Ref("/"), relative(path), prefix)
    root = "dav/" if prefix.startswith("davs") else ""
    for told, expected in ((place.name(), place.path), (place.name(below), f"{place.path}/{below}")):
        assert Name.parse(told).path == root + expected


@pytest.fixture
def opened(monkeypatch):
    """Opens a name with these settings in the environment; nothing connects."""

    def call(text, rse=None, door=None, **settings):
        for name, value in {**LOGIN, **settings}.items():
            monkeypatch.setenv(name, value)
        with Places(rse, door) as places:
            return places.any(text)

    return call


def test_the_scheme_says_whether_by_tls(opened):
    assert opened("cs3s://h:1/a").client.config.tls
    assert not opened("cs3://127.0.0.1:1/a").client.config.tls


def test_no_login_in_the_clear_unless_meant(opened):
    with pytest.raises(ConfigError, match="in the clear; use cs3s://"):
        opened("cs3://h:1/a")
    settings = {"RUCIO_CS3_GATEWAY": "other:1", "RUCIO_CS3_TLS": "false"}
    with pytest.raises(ConfigError, match="in the clear"):
        opened("cs3://h:1/a", **settings)
    assert opened("cs3://h:1/a", **{**settings, "RUCIO_CS3_GATEWAY": "h:1"}).client.config.gateway == "h:1"


def test_a_login_goes_to_its_own_gateway_only(opened):
    config = opened("cs3s://other:1/a", RUCIO_CS3_GATEWAY="h:1").client.config
    assert (config.username, config.password) == (None, None)


def test_an_address_at_a_door(opened):
    site = {"RUCIO_CS3_GATEWAY": "gw:1"}
    door = "davs://h:8443/remote.php/webdav=/eos/project"
    place = opened("davs://h:8443/remote.php/webdav/a%20b/c", door=door, **site)
    assert (place.client.config.gateway, place.ref, str(place)) == (
        "gw:1",
        Ref("/eos/project/a b/c"),
        "davs://h:8443/remote.php/webdav/a%20b/c",
    )
    assert opened("davs://h:8443/remote.php/webdav", door=door, **site).ref == Ref("/eos/project")
    assert opened("davs://h:443/x", door="davs://h=/", **site).ref == Ref("/x")
    for other in (
        "davs://h/remote.php/webdav/a",
        "davs://h:8443/remote.php/webdav2/a",
        "davs://i:8443/remote.php/webdav",
    ):
        with pytest.raises(click.UsageError, match="not below the WebDAV door"):
            opened(other, door=door, **site)
    with pytest.raises(ConfigError, match="--rse"):
        opened("davs://h/x")
    with pytest.raises(ConfigError, match="--door"):
        opened("davs://h/x", door="davs://h", **site)


def test_one_client_for_a_site(monkeypatch):
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    with Places() as places:
        assert places.at("cs3s://h:1/a").client is places.at("cs3s://h:1/b").client
        assert places.at("cs3s://h:2/a").client is not places.at("cs3s://h:1/b").client
        with pytest.raises(click.UsageError, match="no name at a site"):
            places.at("local")


@pytest.mark.parametrize("rse", [None, "X"])
def test_nor_is_a_login_shown_to_an_rse_and_an_address(monkeypatch, rse):
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    with Places(rse) as places:
        config = places.at("cs3s://rse:1/").client.config
        places._roots["X"] = places.at("cs3s://rse:1/").client, Ref("/"), Site("X", config, NOBODY, {})
        of_rse = "davs://h/a" if rse else "X:a"
        for names in ([of_rse, "cs3s://rse:1/b"], [of_rse, "X:b", "c", "-"], ["cs3s://h:1/a", "local", "cs3s://h:1/b"]):
            places.refuse_strangers(names)
        for names in ([of_rse, "cs3s://h:1/b"], ["cs3s://h:1/b", "c", "cs3s://h:2/b"]):
            with pytest.raises(ConfigError, match=r"in RUCIO_CS3_PASSWORD is for; .* copy to a local file first"):
                places.refuse_strangers(names)
        monkeypatch.setenv("RUCIO_CS3_GATEWAY", "h:1")
        places.refuse_strangers([of_rse, "cs3s://h:1/b", "cs3s://h:2/b"])
