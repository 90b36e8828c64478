from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

import pytest

# Python 3.9 starts subprocesses by a plain fork, in which gRPC's handlers abort the child now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # read when grpc is imported
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # as clients do, but a gateway may import grpc first

# In the background of a shell Ctrl-C is ignored, and with nohup SIGHUP: so it would be in all programs that we start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# Nothing of the user's is found, and nothing is left with him: neither tokens nor logins.
HOME = tempfile.mkdtemp(prefix="rucio-cs3-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
    os.environ[name] = os.path.join(HOME, name.lower())
for name in [name for name in os.environ if name.startswith(("BEARER_TOKEN", "RUCIO_CS3_")) and "_TEST_" not in name]:
    del os.environ[name]
os.environ["RUCIO_CS3_CACHE"] = "off"  # a gateway on a port that another one had before would be shown its tokens


def pytest_terminal_summary(terminalreporter):
    """What a reader of the last lines has to know. Here, because the hooks of folders are not heard beside workers."""
    passed = [report.nodeid for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    cells = sum("/test_fault_matrix.py::" in test for test in passed)
    if cells:
        terminalreporter.write_line(f"ok fault matrix: {cells} cells ended in a right file or a clear error")
    if any("tests/conformance/" in test for test in passed) and not os.environ.get("RUCIO_CS3_TEST_REVA"):
        told = "the conformance suite ran on the embedded gateway only, not on a real Reva: set RUCIO_CS3_TEST_REVA"
        terminalreporter.write_line(f"NOTICE: {told}", yellow=True)


@pytest.fixture(scope="session")
def idp():
    """A real OpenID Connect provider, a tests.idp.idp.Idp."""
    pytest.importorskip("nanoidp", reason="it needs Python 3.10: pip install rucio-cs3[test]")
    from tests.idp.idp import Idp  # noqa: PLC0415 - most tests do without

    with Idp() as idp:
        yield idp
