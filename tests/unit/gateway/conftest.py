from __future__ import annotations

import contextlib

import pytest

from rucio_cs3.gateway import Gateway
from tests.conformance.wire import Wire


@pytest.fixture
def serve(tmp_path):
    """Starts a gateway on a folder of the test's own, and returns it with the wire of a user."""
    with contextlib.ExitStack() as stack:

        def start(behave="reva-local", root=None, **settings):
            folder = root or tmp_path / "root"
            folder.mkdir(exist_ok=True)
            gateway = stack.enter_context(Gateway(folder, behave, **settings))
            wire = Wire(gateway.address)
            stack.callback(wire.close)
            return gateway, wire.login()

        yield start


@pytest.fixture
def gateway(serve):
    return serve()[0]


@pytest.fixture
def wire(gateway):
    wire = Wire(gateway.address).login()
    yield wire
    wire.close()
