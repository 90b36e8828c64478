"""What Rucio's operators see of the plugin: its numbers where daemons serve theirs, its spans in their trace."""

from __future__ import annotations

import socket
import time

import pytest

from demo.process import BIN, Child, run
from demo.sandbox import get
from tests.unit.observe.conftest import collector  # noqa: F401 - a fixture
from tests.unit.observe.test_metrics import numbers
from tests.unit.observe.test_traces import PARENT, TRACE, no_secret

PATIENCE = 200
DENIED = ("errors_total", "permission_denied")


def scraped(url, wanted, daemon):
    """What is served there, once it has `wanted` in it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            text = get(url, timeout=10).decode()
        except OSError:  # it is not there yet
            text = ""
        told = numbers(text)
        if wanted in told:
            return told, text
        time.sleep(0.2)
    raise AssertionError(f"{wanted} never came\n{daemon.last_words()}\n{text}")


@pytest.mark.timeout(300)
def test_a_daemon_serves_our_numbers_at_its_metrics_port(site, new_name, set_faults, tmp_path):
    site.register(new_name, b"to be deleted")
    set_faults({"on": "grpc:Delete", "kind": "status", "status": "PERMISSION_DENIED"})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {**site.config(metrics="on"), "monitor": {"enable_metrics": True, "metrics_port": port}}
    argv = [str(BIN / "rucio-reaper"), "--rses", site.rse, "--delay-seconds", "0", "--sleep-time", "5"]
    home = site.sandbox.operator.with_config(config)
    daemon = Child(argv, log=tmp_path / "reaper.log", env=home.environ, cwd=tmp_path)
    try:
        told, text = scraped(f"http://127.0.0.1:{port}/metrics", DENIED, daemon)
    finally:
        daemon.stop()
    assert told["token_renewals_total", "basic", "obtained"] == 1
    assert told["phase_seconds_count", "login"] == 1
    assert "rucio_daemons_reaper" in text, "Rucio's own numbers are beside ours"
    assert new_name not in text


def test_an_upload_is_a_part_of_the_trace_it_is_started_in(site, make_file, new_name, collector):  # noqa: F811
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACEPARENT": PARENT}
    upload = ["upload", "--rse", site.rse, "--scope", "test", make_file("local"), "--lfn", new_name]
    run([BIN / "rucio", *upload], env={**site.sandbox.user.environ, **environ}, cwd=site.sandbox.folder)
    assert list(site.stored().values()) == [b"some bytes\n"]
    spans = collector.spans()
    assert {span.trace for span in spans} == {TRACE}
    by_id = {span.id: span for span in spans}
    [sent] = [span for span in spans if span.name == "upload"]
    assert by_id[sent.parent].name == "rucio put"
    assert {span.name for span in spans} >= {"rucio exists", "rucio put", "rucio rename", "login", "PUT", "Move"}
    no_secret(collector.raw)
