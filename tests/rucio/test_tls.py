"""A site that speaks TLS only, with its own certificate authority, as operators meet it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.storage import Gateway, Protocol

CONTENT = b"some bytes\n"


@pytest.fixture(scope="session")
def secure(tmp_path_factory, pki):
    options = ("--tls-cert", str(pki / "site.pem"), "--tls-key", str(pki / "site.key"))
    with Gateway(tmp_path_factory.mktemp("secure"), *options) as gateway:
        yield gateway


@pytest.fixture
def secure_site(add_site, secure):
    """An RSE whose PFNs are WebDAV addresses, at the TLS gateway; tls is on because nobody says otherwise."""
    site = add_site()
    site.folder = secure.home / site.folder.name
    site.folder.mkdir()
    protocol = secure.davs(site.folder.name)
    attributes = {key: value for key, value in protocol.extended_attributes["cs3"].items() if key != "tls"}
    site.add_protocol(replace(protocol, extended_attributes={"cs3": attributes}))
    return site


def test_up_down_and_away_over_tls(secure_site, pki, make_file, new_name, tmp_path):
    config = secure_site.config(ca=pki / "ca.pem")
    secure_site.upload(make_file("local", CONTENT), "--lfn", new_name, config=config)
    assert secure_site.path(new_name).read_bytes() == CONTENT
    secure_site.download(new_name, tmp_path / "down", config=config)
    assert (tmp_path / "down" / new_name).read_bytes() == CONTENT
    secure_site.expire(new_name)
    secure_site.reap(config=config)
    assert (secure_site.stored(), secure_site.replica(new_name)) == ({}, None)


def test_a_native_entry_over_tls(secure_site, secure, pki, make_file, new_name, tmp_path):
    host, _, port = secure.grpc.rpartition(":")
    secure_site.client.delete_protocols(secure_site.rse, "davs")
    secure_site.add_protocol(Protocol("cs3s", host, int(port), f"/home/{secure_site.folder.name}/"))
    config = secure_site.config(ca=pki / "ca.pem")
    secure_site.upload(make_file("local", CONTENT), "--lfn", new_name, config=config)
    secure_site.download(new_name, tmp_path / "down", "--protocol", "cs3s", config=config)
    assert (tmp_path / "down" / new_name).read_bytes() == CONTENT


def test_a_site_of_an_unknown_authority_is_not_trusted(secure_site, pki, make_file, new_name):
    config = secure_site.config(ca=pki / "other.pem")
    said = secure_site.upload(make_file("local", CONTENT), "--lfn", new_name, config=config).stdout
    assert "not signed by an authority known here: set ca" in said
    assert secure_site.stored() == {}
