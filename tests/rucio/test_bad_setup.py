from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

from demo.storage import LOGIN

CONTENT = b"some bytes\n"


def changed(**attributes):
    """Change the entry's extended attributes."""
    return lambda protocol: replace(
        protocol, extended_attributes={"cs3": {**protocol.extended_attributes["cs3"], **attributes}}
    )


def same(protocol):
    return protocol


# What is wrong in the protocol entry, what in rucio.cfg, and the words that have to tell the operator.
MISTAKES = {
    "wrong password": (same, {"password": "wrong"}, ["einstein", "password"]),
    "unknown user": (same, {"username": "nobody"}, ["nobody"]),
    "no secret": (same, {"auth": None, "username": None, "password": None}, ["no credentials", "password"]),
    "no password file": (
        same,
        {"password": None, "password_file": "nowhere/secret"},
        ["password_file", "nowhere/secret"],
    ),
    "closed port": (changed(gateway="127.0.0.1:1"), {}, ["127.0.0.1:1"]),
    "unknown host": (changed(gateway="cs3.invalid:443"), {}, ["cs3.invalid:443"]),
    "plain port taken for TLS": (changed(tls=True), {}, ["tls"]),
    "gateway without port": (changed(gateway="cs3.example.org"), {}, ["host:port"]),
    "no gateway": (changed(gateway=None), {}, ["gateway"]),
    "misspelt attribute": (changed(gatway="x"), {}, ["gatway", "gateway"]),
    "secret in public": (changed(password="relativity"), {}, ["password", "rucio.cfg"]),
    "attributes of another kind": (lambda p: replace(p, extended_attributes={"cs3": "127.0.0.1"}), {}, ["cs3"]),
    "misspelt option": (same, {"pasword": "x"}, ["pasword", "password"]),
    "no root folder": (lambda p: replace(p, prefix="/remote.php/webdav/nowhere/"), {}, ["nowhere"]),
    "prefix outside the WebDAV root": (lambda p: replace(p, prefix="/elsewhere/"), {}, ["/elsewhere"]),
}


@pytest.mark.parametrize(("entry", "options", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(add_site, gateway, make_file, new_name, entry, options, words):
    site = add_site()
    site.add_protocol(entry(gateway.davs(site.folder.name)))
    said = site.upload(make_file("local", CONTENT), "--lfn", new_name, config=site.config(**options)).stdout
    assert any(all(word in line for word in words) for line in said.splitlines()), said
    assert "Traceback" not in said
    assert LOGIN["password"] not in said
    assert site.stored() == {}
    assert site.replica(new_name)["state"] != "AVAILABLE"


def test_a_gateway_that_says_nothing_is_given_up(site, make_file, new_name):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        config = site.config(gateway=address, connect_timeout=1, call_timeout=1)
        said = site.upload(make_file("local", CONTENT), "--lfn", new_name, config=config).stdout
    assert f"gateway {address}: Deadline Exceeded" in said
    assert site.replica(new_name)["state"] != "AVAILABLE"


def test_a_download_tells_as_well(site, new_name, tmp_path):
    site.register(new_name, CONTENT)
    said = site.download(new_name, tmp_path / "down", config=site.config(password="wrong")).stdout
    assert "wrong password" in said
    assert "Traceback" not in said
    assert not list((tmp_path / "down").rglob("*"))


def test_an_option_for_one_rse_wins_over_that_for_all(site, make_file, new_name):
    config = {"cs3": {"password": "wrong"}, f"cs3:{site.rse}": LOGIN}
    site.upload(make_file("local", CONTENT), "--lfn", new_name, config=config)
    assert site.replica(new_name)["state"] == "AVAILABLE"


def test_no_secret_reaches_the_catalogue(site, sandbox):
    assert "relativity" not in sandbox.rucio("rse", "show", site.rse).stdout
    assert "relativity" not in json.dumps(site.client.get_protocols(site.rse))
