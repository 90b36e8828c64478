"""One trace from the command, or the plugin, to whoever does the work; as a collector gets it over the wire."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import zlib

import pytest

from tests.conformance.wire import Wire
from tests.unit.broker.conftest import SECRET, TOKEN, Peer, as_toml, served
from tests.unit.cli.command import COMMAND, SECONDS, run
from tests.unit.mover.conftest import commanded, file

pytestmark = pytest.mark.slow
PARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
TRACE, OUTER = PARENT.split("-")[1:3]
CONTENT = b"what is moved" * 1000
LIMIT = 20  # seconds; OpenTelemetry waits for 30 when a process ends

BROKERED = """
import sys
from rucio_cs3 import Cs3Client, observe
from rucio_cs3.credentials.caller import Caller, RucioLogin

gateway, broker, token = sys.argv[1:]
caller = Caller("me", lambda: RucioLogin("root", token, "https://rucio.example.org", None))
observe.begin_program("a program")
with observe.work("ask"), Cs3Client(gateway=gateway, tls=False, auth="broker", broker=broker, caller=caller) as site:
    print(site.whoami().username)
"""

TOLD = """
import contextlib, sys
from rucio_cs3 import observe
from rucio_cs3.errors import PermissionDenied

secret = sys.argv[1]
observe.begin_program("a program")
with contextlib.suppress(PermissionDenied), observe.transfer("upload", f"/x?authz={secret}"):
    with observe.call("Stat", f"https://me:{secret}@site.example.org", f"/x?authz={secret}"):
        raise PermissionDenied(f"who shows {secret} may not look")
"""


def same_trace(spans):
    """All are of one trace, and each but the first is a part of another one."""
    ids = {span.id for span in spans}
    [first] = [span for span in spans if span.parent not in ids]
    assert {span.trace for span in spans} == {first.trace}
    return first


def answers(spans, service):
    """The requests that this service has answered, each with who asked."""
    by_id = {span.id: span for span in spans}
    served = [span for span in spans if span.kind == "server" and span.service == service]
    return [(span, by_id[span.parent]) for span in served if span.parent in by_id]


def no_secret(raw, *secrets):
    for secret in ("relativity", "eyJ", *secrets):
        assert secret.encode() not in raw


@pytest.mark.parametrize("behave", ["reva-local", "reva-localhome"])
def test_from_the_command_to_the_gateway(traced, login, start_gateway, tmp_path, behave):
    gateway = start_gateway("site", "--behave", behave)
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    there = f"cs3://{gateway.grpc}/{'home/' if behave == 'reva-localhome' else ''}x"
    ran = run("cp", source, there)
    assert ran.returncode == 0, ran.stderr
    gateway.stop()
    spans = traced.spans()
    first = same_trace(spans)
    assert (first.name, first.service, first.parent) == ("rucio-cs3 cp", "rucio-cs3", "")
    named = {span.name for span in spans}
    assert named >= {"upload", "look", "login", "initiate", "verify", "move", "Authenticate", "Stat", "PUT", "Move"}
    asked = answers(spans, "rucio-cs3-gateway")
    assert all((answer.name, "client", "rucio-cs3") == (ask.name, ask.kind, ask.service) for answer, ask in asked)
    assert {answer.name for answer, _ in asked} >= {"Authenticate", "Stat", "PUT", "Move"}
    assert [(span.name, span.kind, span.facts, span.why) for span in spans if span.failed] == []
    no_secret(traced.raw)


def test_an_error_has_our_code(traced, login, start_gateway, tmp_path):
    gateway = start_gateway("site")
    ran = run("stat", f"cs3://{gateway.grpc}/home/nothing")
    assert ran.returncode == 1
    ran = run("ls", f"cs3://{gateway.grpc}/", PASSWORD="wrong-password")
    assert ran.returncode == 1
    gateway.stop()
    codes = {span.name: span.facts.get("error.type") for span in traced.spans() if span.service == "rucio-cs3"}
    assert codes["Stat"] == "not_found"
    assert codes["login"] == "not_authenticated"
    assert any(span.failed and span.name == "login" for span in traced.spans())
    no_secret(traced.raw, "wrong-password")


def test_what_a_site_repeats_and_what_opens_a_door_is_not_told(traced):
    subprocess.run([sys.executable, "-c", TOLD, SECRET], timeout=SECONDS, check=True)
    spans = {span.name: span for span in traced.spans()}
    assert {name: (span.failed, span.facts["cs3.path"]) for name, span in spans.items()} == {
        "upload": (True, "/x"),
        "Stat": (True, "/x"),
    }
    assert spans["Stat"].facts["error.type"] == "permission_denied"
    assert spans["Stat"].facts["server.address"] == "site.example.org"
    no_secret(traced.raw, SECRET)


def test_who_started_us_has_a_trace_already(traced, login, start_gateway, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", PARENT)
    gateway = start_gateway("site")
    assert run("ls", f"cs3://{gateway.grpc}/").returncode == 0
    first = same_trace(traced.spans())
    assert (first.trace, first.parent) == (TRACE, OUTER)


@pytest.mark.parametrize("asked", [{"traces": "off"}, {"otel": {"OTEL_SDK_DISABLED": "true"}}, {"exporter": "none"}])
def test_it_can_be_kept_off(traced, login, start_gateway, monkeypatch, asked):
    for name, value in asked.get("otel", {}).items():
        monkeypatch.setenv(name, value)
    if "exporter" in asked:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", asked["exporter"])
    monkeypatch.setenv("RUCIO_CS3_TRACES", asked.get("traces", "auto"))
    gateway = start_gateway("site")
    assert run("ls", f"cs3://{gateway.grpc}/").returncode == 0
    gateway.stop()
    assert traced.bodies == []


def test_a_word_that_is_none_is_said(login, start_gateway, monkeypatch):
    monkeypatch.setenv("RUCIO_CS3_TRACES", "rubbish")
    said = "no traces: RUCIO_CS3_TRACES=rubbish is not known; use one of: off, on, auto\n"
    gateway = start_gateway("site")
    ran = run("ls", f"cs3://{gateway.grpc}/")
    assert (ran.returncode, ran.stderr) == (0, said)  # it keeps nobody from his files
    assert gateway.stop() == said


def test_on_the_screen_beside_what_the_command_says(login, start_gateway, monkeypatch):
    gateway = start_gateway("site")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    ran = run("ls", f"cs3://{gateway.grpc}/")
    assert ran.stdout == ""
    assert '"name": "rucio-cs3 ls"' in ran.stderr
    no_secret(ran.stderr.encode())


def test_an_exporter_that_nobody_here_has_is_said(login, start_gateway, monkeypatch):
    gateway = start_gateway("site")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    ran = run("ls", f"cs3://{gateway.grpc}/")
    assert (ran.returncode, ran.stderr.count("\n")) == (0, 1)
    assert "exporter zipkin by http/protobuf is not known here" in ran.stderr


def test_a_collector_that_is_gone_keeps_nobody_from_his_files(login, start_gateway, monkeypatch):
    gateway = start_gateway("site")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    ran = run("ls", "--json", f"cs3://{gateway.grpc}/")
    assert ran.returncode == 0
    assert "Traceback" not in ran.stderr


@pytest.fixture
def silent(monkeypatch):
    """A collector that never answers, and whom nothing but our own limit is against."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
        yield


def test_a_collector_that_says_nothing_keeps_nobody_at_the_end(silent, login, start_gateway, tmp_path):
    """Neither a command nor a service."""
    gateway = start_gateway("site")
    argv = [*COMMAND, "ls", f"cs3://{gateway.grpc}/"]
    assert subprocess.run(argv, timeout=LIMIT, check=False).returncode == 0
    gateway.process.terminate()
    assert gateway.process.wait(LIMIT) == 0
    config = tmp_path / "mover.toml"
    config.touch(mode=0o600)
    config.write_text(as_toml({"listen": "127.0.0.1:0", "sites": {"A": {"gateway": gateway.grpc, "tls": False}}}))
    with commanded(config) as mover:
        assert mover.ask("GET", "/whoami").status_code == 200
        mover.session.close()
        mover.process.send_signal(signal.SIGINT)
        assert mover.process.wait(LIMIT) == 0


def test_settings_of_opentelemetry_that_are_wrong_keep_nobody_from_his_files(login, start_gateway, monkeypatch):
    gateway = start_gateway("site")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")  # which is less than a batch
    ran = run("ls", f"cs3://{gateway.grpc}/")
    assert ran.returncode == 0, ran.stderr
    [line] = ran.stderr.splitlines()
    assert "no traces: opentelemetry cannot be set up (ValueError); check the variables OTEL_" in line


def test_who_types_a_word_waits_for_no_collector(traced, login, start_gateway, monkeypatch):
    gateway = start_gateway("site", "--behave", "reva-local")
    line = f"rucio-cs3 ls cs3://{gateway.grpc}/"
    for name, value in {"_RUCIO_CS3_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": "2"}.items():
        monkeypatch.setenv(name, value)
    assert run().returncode == 0
    for name in ("_RUCIO_CS3_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
        monkeypatch.delenv(name)
    gateway.stop()
    assert {span.service for span in traced.spans()} == {"rucio-cs3-gateway"}


def test_from_whoever_wants_a_copy_through_the_mover_to_both_gateways(traced, login, start_gateway, tmp_path):
    gateways = {name: start_gateway(name) for name in ("a", "b")}
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    near, far = (f"cs3://{gateway.grpc}/{name}" for gateway, name in zip(gateways.values(), "xy"))
    assert run("cp", source, near).returncode == 0
    site = {"tls": False, "username": "einstein", "password": "relativity"}
    sites = {name: {"gateway": gateway.grpc, **site} for name, gateway in gateways.items()}
    config = tmp_path / "mover.toml"
    config.touch(mode=0o600)
    config.write_text(as_toml({"listen": "127.0.0.1:0", "sites": sites}))
    wanted = file(near, far, filesize=len(CONTENT), checksum=f"adler32:{zlib.adler32(CONTENT):08x}")
    with commanded(config) as mover:
        mover.session.headers["traceparent"] = PARENT
        job = mover.submit(wanted)
        del mover.session.headers["traceparent"]
        assert mover.ended(job)["job_state"] == "FINISHED"
        mover.session.close()
        mover.process.terminate()
        mover.process.wait(SECONDS)
    for gateway in gateways.values():
        gateway.stop()
    spans = traced.spans(TRACE)
    by_name = {span.name: span for span in spans}
    assert same_trace(spans).parent == OUTER
    assert (same_trace(spans).name, same_trace(spans).kind) == ("POST /jobs", "server")
    assert by_name["copy"].parent == same_trace(spans).id
    assert by_name["copy"].facts["cs3.job"] == job
    assert by_name["copy"].service == "rucio-cs3-mover"
    addresses = {ask.facts["server.address"] for _, ask in answers(spans, "rucio-cs3-gateway")}
    doors = {address for gateway in gateways.values() for address in (gateway.grpc, gateway.http.partition("//")[2])}
    assert addresses == doors
    no_secret(traced.raw)


def test_from_the_site_that_copies_to_the_other_one(traced, start_gateway, tmp_path):
    here, there = start_gateway("here", "--tpc", "honest"), start_gateway("there")
    (tmp_path / "there" / "x").write_bytes(CONTENT)
    wires = [Wire(gateway.grpc).login() for gateway in (here, there)]
    source, target = (f"{gateway.http}/remote.php/webdav/x" for gateway in (there, here))
    told = {"Source": source, "TransferHeaderAuthorization": f"Bearer {wires[1].token}", "traceparent": PARENT}
    answer = wires[0].http.request("COPY", target, headers={"X-Access-Token": wires[0].token, **told})
    assert answer.data.strip() == b"success: Created"
    assert (tmp_path / "here" / "x").read_bytes() == CONTENT
    for wire in wires:
        wire.close()
    for gateway in (here, there):
        gateway.stop()
    spans = {span.name: span for span in traced.spans(TRACE)}
    assert spans["COPY"].parent == OUTER
    assert spans["GET"].parent == spans["COPY"].id
    no_secret(traced.raw)


def test_through_the_broker(traced, start_gateway, tmp_path, monkeypatch):
    secret = tmp_path / "machine"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    gateway = start_gateway("site", "--machine-secret-file", str(secret))
    peer = Peer()
    with served(peer.server):
        site = {"machine_secret_file": str(secret), "tls": False, "accounts": {"root": "einstein"}}
        config = tmp_path / "broker.toml"
        config.write_text(as_toml({"rucio": {"host": peer.url}, "sites": {gateway.grpc: site}}))
        argv = [*COMMAND, "broker", "--config", str(config), "--bind", "127.0.0.1:0"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(argv, **pipes) as broker:
            said = broker.stderr.readline()
            url = next(word.rstrip(".") for word in said.split() if word.startswith("http"))
            argv = [sys.executable, "-c", BROKERED, gateway.grpc, url, TOKEN]
            ran = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
            broker.send_signal(signal.SIGINT)  # Ctrl-C: what it has seen is sent all the same
            audit, _ = broker.communicate(timeout=SECONDS)
        assert ran.stdout == "einstein\n", ran.stderr
    gateway.stop()
    spans = traced.spans()
    assert same_trace(spans).name == "ask"
    [(token, asked)] = answers(spans, "rucio-cs3-broker")
    assert (token.name, asked.name, asked.service) == ("POST /token", "POST", "a program")
    by_id = {span.id: span for span in spans}
    [login] = [span for span in spans if span.name == "Authenticate" and span.kind == "client"]
    assert (login.service, by_id[login.parent].name) == ("rucio-cs3-broker", "POST /token")
    assert json.loads(audit)["trace_id"] == token.trace
    no_secret(traced.raw, SECRET, TOKEN)
