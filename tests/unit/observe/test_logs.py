"""What services log when asked for JSON: one object a line, with what a program looks for, and no secret."""

from __future__ import annotations

import json

import pytest

from tests.unit.broker.conftest import as_toml
from tests.unit.cli.command import SECONDS, refused, run
from tests.unit.mover.conftest import commanded, file

pytestmark = pytest.mark.slow


def lines(said):
    """Whatever a service says to people at its start is no log."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_the_gateway_tells_each_request(traced, login, start_gateway):
    gateway = start_gateway("site", before=["--log-json"])
    assert run("ls", f"cs3://{gateway.grpc}/").returncode == 0
    said = gateway.stop()
    told = lines(said)
    assert len(told) == len(said.splitlines())
    assert {line["request"] for line in told} >= {"Authenticate", "Stat"}
    for line in told:
        assert line.keys() == {"time", "level", "logger", "message", "trace_id", "request", "code", "seconds"}
        assert (line["level"], line["logger"]) == ("INFO", "rucio_cs3.gateway")
    assert {line["trace_id"] for line in told} == {span.trace for span in traced.spans()}
    assert "relativity" not in said
    assert "eyJ" not in said


def test_the_mover_tells_of_copies(tmp_path):
    """What opens a door may stand in an address."""
    config = tmp_path / "mover.toml"
    config.touch(mode=0o600)
    site = {"gateway": "127.0.0.1:9", "tls": False, "password": "very-secret", "username": "me", "retries": 0}
    config.write_text(as_toml({"listen": "127.0.0.1:0", "log": "json", "sites": {"A": site}}))
    with commanded(config) as mover:  # which has read the first line
        url = "cs3://127.0.0.1:9/x?authz=the-key"
        job = mover.submit(file(url, url.replace("/x", "/y"), source_tokens=["the-token"]), retry=-1)
        mover.ended(job)
        mover.session.close()
        mover.process.terminate()
        said = mover.process.stderr.read()
        mover.process.wait(SECONDS)
    told = {line["message"].partition(":")[0]: line for line in map(json.loads, said.splitlines())}
    failed = told[f"job {job}, file 1"]
    assert (failed["level"], failed["job"], failed["file"], failed["again"]) == ("WARNING", job, 1, False)
    assert (failed["source"], failed["destination"]) == ("127.0.0.1:9", "127.0.0.1:9")
    assert told["POST /jobs"]["code"] == "ok"
    for secret in ("very-secret", "the-key", "the-token"):
        assert secret not in said


def test_a_command_says_its_own_beside(login, start_gateway):
    gateway = start_gateway("site")
    ran = run("--log-json", "ls", "--json", f"cs3://{gateway.grpc}/", SERVER="x")
    assert ran.returncode == 0
    [line] = lines(ran.stderr)
    assert (line["level"], line["logger"]) == ("WARNING", "rucio_cs3.config")
    assert "RUCIO_CS3_SERVER" in line["message"]


def test_nothing_is_said_when_that_is_wanted(login, start_gateway):
    gateway = start_gateway("site")
    assert run("ls", f"cs3://{gateway.grpc}/", SERVER="x", LOG="off").stderr == ""


def test_a_kind_of_log_that_is_not_known(tmp_path):
    assert "RUCIO_CS3_LOG: log = 'xml' is not known; use one of: json, text, off" in refused("ls", LOG="xml")
    config = tmp_path / "mover.toml"
    config.write_text('log = "xml"\n')
    assert f"{config}: log = 'xml' is not known" in refused("mover", "--config", config)
