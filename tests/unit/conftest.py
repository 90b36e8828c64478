from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(monkeypatch, tmp_path):
    """Tests with a real Rucio make the process its client, for as long as it lives; others log in at a provider."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))
    for name in ("RUCIO_HOME", "RUCIO_CONFIG", "RUCIO_ACCOUNT", "RUCIO_POLICY_PACKAGE"):
        monkeypatch.delenv(name, raising=False)
    if "rucio.common.config" in sys.modules:
        sys.modules["rucio.common.config"].clean_cached_config()
        yield
        sys.modules["rucio.common.config"].clean_cached_config()
    else:
        yield
