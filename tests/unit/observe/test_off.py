"""What nobody asks for costs nobody anything, and tells nobody anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rucio_cs3 import Cs3Client, observe
from rucio_cs3.config import Config
from rucio_cs3.errors import ConfigError
from rucio_cs3.gateway import Gateway, data, rpc
from rucio_cs3.rse import Rse
from tests.unit.cli.command import SECONDS

TRANSFER = """
import io, sys
from rucio_cs3 import Cs3Client, observe

with Cs3Client(gateway=sys.argv[1], tls=False, username="einstein", password="relativity") as site:
    site.upload(io.BytesIO(b"content"), "/x")
    site.download("/x", io.BytesIO())
assert observe.phase("verify") is observe.transfer("upload", "/x") is observe.NOTHING
print(sorted({name.partition(".")[0] for name in sys.modules} & {"opentelemetry", "prometheus_client"}))
"""
MISSING = """
import sys
sys.modules[sys.argv[2]] = None
from rucio_cs3 import Cs3Client

for _ in range(2):
    settings = {"username": "einstein", "password": "relativity", sys.argv[3]: True}
    with Cs3Client(gateway=sys.argv[1], tls=False, **settings) as site:
        print(site.whoami().username)
"""


@pytest.fixture
def heard(monkeypatch, tmp_path):
    """A gateway, and the names of all headers that it gets."""
    names = set()
    answer, serve = rpc.Door._answer, data.DataHandler._serve

    def hear_call(self, name, method, request, context):
        names.update(key.lower() for key, _ in context.invocation_metadata())
        return answer(self, name, method, request, context)

    def hear_request(self):
        names.update(key.lower() for key in self.headers)
        return serve(self)

    monkeypatch.setattr(rpc.Door, "_answer", hear_call)
    for name in ("do_GET", "do_PUT"):
        monkeypatch.setattr(data.DataHandler, name, hear_request)
    with Gateway(tmp_path) as gateway:
        yield gateway, names


def python(script, *arguments):
    argv = [sys.executable, "-c", script, *arguments]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran


def test_nothing_is_imported_and_nothing_is_sent(heard):
    gateway, names = heard
    assert python(TRANSFER, gateway.address).stdout == "[]\n"
    assert {"x-access-token", "content-length"} <= names
    assert not {"traceparent", "tracestate", "baggage"} & names


def test_traces_send_what_the_standard_says_and_nothing_else(heard, traced):
    gateway, names = heard
    python(TRANSFER.replace("assert", "# "), gateway.address)
    assert "traceparent" in names
    assert "baggage" not in names


@pytest.mark.parametrize(
    ("module", "named"),
    [("prometheus_client", "metrics"), ("opentelemetry", "traces"), ("opentelemetry.sdk", "traces")],
)
def test_what_is_missing_is_said_once_and_everything_works(tmp_path, module, named):
    with Gateway(tmp_path) as gateway:
        ran = python(MISSING, gateway.address, module, named)
    assert ran.stdout == "einstein\n" * 2
    [line] = ran.stderr.splitlines()
    extra = "metrics" if named == "metrics" else "otel"
    assert line.startswith(f"{named} are asked for, and {module}")
    assert line.endswith(f"is not installed: pip install 'rucio-cs3[{extra}]'")


@pytest.mark.parametrize(
    ("told", "meant"),
    [("true", "on"), (True, "on"), ("1", "on"), ("Off", "off"), (False, "off"), ("file:/tmp/x", "file:/tmp/x")],
)
def test_words_for_metrics(told, meant):
    assert Config.of({"gateway": "h:1", "metrics": told}).metrics == meant


@pytest.mark.parametrize(("name", "value"), [("metrics", "prometheus"), ("traces", "otlp"), ("traces", "file:/tmp/x")])
def test_what_is_not_known_is_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        Config("h:1", **{name: value})


def test_nobody_switches_it_on_for_others():
    """Who may edit an RSE must not have files written where its users are."""
    entry = {"scheme": "cs3s", "hostname": "h", "port": 1, "prefix": "/"}
    for name, value in {"metrics": "file:/tmp/x", "traces": "on"}.items():
        with pytest.raises(ConfigError, match=name):
            Rse.of("R", {**entry, "extended_attributes": {"cs3": {name: value}}}, [])


def test_only_what_the_environment_asks_for():
    assert not observe.asked_for_traces({})
    assert observe.asked_for_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"})
    assert observe.asked_for_traces({"OTEL_TRACES_EXPORTER": "console"})
    assert not observe.asked_for_traces({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1"})
    assert not observe.asked_for_traces({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1"})


def test_a_client_says_nothing_of_it():
    with Cs3Client(gateway="h:1") as client:
        assert (client.config.metrics, client.config.traces) == ("off", "auto")
