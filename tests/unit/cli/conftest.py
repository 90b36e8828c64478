from __future__ import annotations

import pytest

from rucio_cs3.gateway import Gateway


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "site").mkdir()
    with Gateway(tmp_path / "site") as gateway:
        yield gateway


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the user is."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"
