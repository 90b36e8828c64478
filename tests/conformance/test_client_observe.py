"""Being watched changes nothing: storages take the headers of traces, and what is told of them holds no secret."""

from __future__ import annotations

import pytest

from tests.unit.cli.command import run
from tests.unit.observe.conftest import collector  # noqa: F401 - a fixture
from tests.unit.observe.test_metrics import numbers
from tests.unit.observe.test_traces import PARENT, TRACE, no_secret

pytestmark = pytest.mark.slow
CONTENT = b"what is watched" * 1000


def test_up_and_down(storage, client, folder, tmp_path, collector, monkeypatch):  # noqa: F811 - a fixture
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("TRACEPARENT", PARENT)
    (tmp_path / "source").write_bytes(CONTENT)
    found = tmp_path / "rucio-cs3.prom"
    login = {"USERNAME": storage.user, "PASSWORD": storage.password, "METRICS": f"file:{found}"}
    there = f"cs3://{storage.address}{folder}/x"
    for pair, direction in (((tmp_path / "source", there), "upload"), ((there, tmp_path / "back"), "download")):
        ran = run("cp", *pair, **login)
        assert ran.returncode == 0, ran.stderr
        told = numbers(found.read_text())
        assert told["transfers_total", direction, "done"] == 1
        assert told["transfer_bytes_total", direction] == len(CONTENT)
        assert ("phase_seconds_count", "bytes") in told
    assert (tmp_path / "back").read_bytes() == CONTENT
    with client.open_read(f"{folder}/x") as file:
        assert file.read() == CONTENT
    spans = collector.spans()
    assert {span.trace for span in spans} == {TRACE}
    assert {span.name for span in spans} >= {"rucio-cs3 cp", "upload", "download", "login", "PUT", "GET", "Stat"}
    no_secret(collector.raw, storage.password)
