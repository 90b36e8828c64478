from __future__ import annotations

import sys

import pytest
import trustme


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(monkeypatch, tmp_path):
    """Tests with a real Rucio make the process its client, for as long as it lives; others log in at a provider."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))
    for name in ("RUCIO_HOME", "RUCIO_CONFIG", "RUCIO_ACCOUNT", "RUCIO_POLICY_PACKAGE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    if "rucio.common.config" in sys.modules:
        sys.modules["rucio.common.config"].clean_cached_config()
        yield
        sys.modules["rucio.common.config"].clean_cached_config()
    else:
        yield


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """A certificate authority, and what it and another one signed."""
    folder = tmp_path_factory.mktemp("pki")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other-ca.pem"))
    for name in ("localhost", "elsewhere.example.org", "client"):
        issued = ca.issue_cert(*(["127.0.0.1", "localhost"] if name == "localhost" else [name]))
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        (folder / f"{name}.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return folder
