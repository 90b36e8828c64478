from __future__ import annotations

import contextlib
import json
import subprocess

import pytest

from tests.unit.broker.conftest import served
from tests.unit.cli.command import COMMAND, SECONDS

LOGIN = {"RUCIO_CS3_USERNAME": "einstein", "RUCIO_CS3_PASSWORD": "relativity", "RUCIO_CS3_RETRIES": "2"}
FREE = ["--port", "0", "--http-port", "0", "--json"]


@pytest.fixture(autouse=True)
def _nothing_asked(monkeypatch):
    """Whoever runs the tests may have a collector of his own."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED", "TRACEPARENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def collector():
    pytest.importorskip("opentelemetry.proto", reason="pip install rucio-cs3[otel]")
    from tests.unit.observe.collector import Collector  # noqa: PLC0415 - an extra

    collector = Collector()
    with served(collector.server):
        yield collector


@pytest.fixture
def traced(collector, monkeypatch):
    """Whatever is started from here on sends its spans to the collector."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    return collector


@pytest.fixture
def login(monkeypatch):
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def start_gateway(tmp_path):
    """Starts one in a process of its own; it ends, and has told all, when `stop` is called."""
    with contextlib.ExitStack() as stack:

        def start(name, *options, before=()):
            root = tmp_path / name
            root.mkdir()
            argv = [*COMMAND, *before, "gateway", "--root", str(root), *FREE, *options]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = stack.enter_context(subprocess.Popen(argv, **pipes))
            stack.callback(process.kill)
            return Running(process, json.loads(process.stdout.readline()))

        yield start


class Running:
    def __init__(self, process, told):
        self.process = process
        self.grpc = told["grpc"]
        self.http = told["http"]

    def stop(self):
        """What it wrote to stderr."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, said
        return said
