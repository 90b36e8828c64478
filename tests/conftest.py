from __future__ import annotations

import os

import pytest

# Python 3.9 starts subprocesses by a plain fork, in which gRPC's handlers abort the child now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # read when grpc is imported


@pytest.fixture(scope="session")
def idp():
    """A real OpenID Connect provider, a tests.idp.idp.Idp."""
    pytest.importorskip("nanoidp", reason="it needs Python 3.10: pip install rucio-cs3[test]")
    from tests.idp.idp import Idp  # noqa: PLC0415 - most tests do without

    with Idp() as idp:
        yield idp
