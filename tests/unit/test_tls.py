from __future__ import annotations

import ssl

import pytest
import trustme

from rucio_cs3 import tls
from rucio_cs3.config import Config
from rucio_cs3.errors import ConfigError


@pytest.fixture
def pem(tmp_path):
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in tls.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def test_a_file_and_a_folder_of_authorities(pem):
    assert tls.authorities(Config("h:1", ca=str(pem))) == pem.read_bytes()
    assert tls.authorities(Config("h:1", ca=str(pem.parent))) == pem.read_bytes()


@pytest.mark.parametrize("name", tls.ENVIRONMENT)
def test_the_environment_is_honoured(pem, monkeypatch, name):
    monkeypatch.setenv(name, str(pem.parent if name == "X509_CERT_DIR" else pem))
    assert tls.authorities(Config("h:1")) == pem.read_bytes()


def test_the_system_is_the_default():
    assert b"BEGIN CERTIFICATE" in tls.authorities(Config("h:1"))


def test_verification_is_on(pem):
    assert tls.context(Config("h:1", ca=str(pem))).verify_mode is ssl.CERT_REQUIRED


def test_wrong_files_are_named(tmp_path, pem):
    (tmp_path / "empty.pem").write_text("")
    cases = {"missing.pem": "cannot read", "empty.pem": "no PEM certificate"}
    for name, words in cases.items():
        with pytest.raises(ConfigError, match=f"{words}.*{name}"):
            tls.authorities(Config("h:1", ca=str(tmp_path / name)))
    missing = Config("h:1", ca=str(pem), client_cert=str(pem), client_key=str(tmp_path / "missing.key"))
    with pytest.raises(ConfigError, match=r"client_key .*missing\.key"):
        tls.client_pair(missing)
    with pytest.raises(ConfigError, match="cannot use the TLS files"):
        tls.context(missing)


def test_no_client_certificate_is_none():
    assert tls.client_pair(Config("h:1")) == (None, None)
