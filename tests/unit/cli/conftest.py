from __future__ import annotations

import pytest

from rucio_cs3.gateway import Gateway


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "site").mkdir()
    with Gateway(tmp_path / "site") as gateway:
        yield gateway
