"""The broker as its page says: its settings read by its own reader, and started by its command."""

from __future__ import annotations

import os
import re
import ssl
import urllib.request

import pytest
import trustme

from rucio_cs3.broker.config import load
from tests.docs.blocks import block
from tests.docs.shell import service


@pytest.fixture
def here(tmp_path):
    """With the files that are named, and a certificate."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("x")
    (tmp_path / "broker.toml").write_text(block("broker settings").replace("/run/secrets/cs3", str(secret)))
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


def test_its_settings(here):
    site = load(here / "broker.toml").sites["cs3.example.org:443"]
    assert [site.mapping.user(account) for account in ("jdoe", "marie", "Nobody1")] == ["einstein", "marie", None]


def test_it_starts(here):
    names = {"0.0.0.0:8443": "127.0.0.1:0"}
    with service(block("broker start"), os.environ, here, names=names, says="stderr") as child:
        url = re.search(r"https://[\d.]+:\d+", child.process.stderr.readline())[0]
        trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=here / "ca.pem"))
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
        assert direct.open(f"{url}/health", timeout=30).status == 200
