"""What is written down: who got what, and never with which secret."""

from __future__ import annotations

import json
import logging

import pytest

from rucio_cs3.gateway import Fault
from tests.unit.broker.conftest import ELSEWHERE, SECRET, TOKEN

AUDIT = "rucio_cs3.broker.audit"


@pytest.fixture
def audit(caplog):
    """Returns the lines written since, as objects."""
    caplog.set_level(logging.INFO, AUDIT)

    def lines():
        return [json.loads(record.getMessage()) for record in caplog.records if record.name == AUDIT]

    return lines


def test_a_line_for_each_request(broker, audit, gateway, peer):
    answer = broker.ask()
    peer.tokens[TOKEN] = "svc-1"
    broker.get("/nowhere")
    granted, refused = audit()
    assert granted == {
        "time": granted["time"],
        "outcome": "granted",
        "client": "127.0.0.1",
        "request_id": answer.headers["X-Request-Id"],
        "endpoint": "token",
        "code": "ok",
        "status": 200,
        "account": "root",
        "site": gateway.address,
        "user": "einstein",
        "duration_ms": granted["duration_ms"],
    }
    assert granted["duration_ms"] > 0
    assert (refused["outcome"], refused["code"], refused["account"]) == ("refused", "not_found", None)


def test_who_was_refused(serve, settings, audit, peer, gateway):
    broker = serve(settings)
    peer.tokens[TOKEN] = "svc-1"
    broker.ask()
    broker.ask(site="elsewhere:1")
    first, second = audit()
    assert (first["account"], first["site"], first["user"]) == ("svc-1", gateway.address, None)
    assert (second["account"], second["site"], second["code"]) == ("svc-1", None, "unknown_site")


def test_probes_do_not_drown_it(broker, audit):
    broker.get("/health")
    broker.get("/metrics")
    assert audit() == []


@pytest.mark.parametrize(
    ("behind_proxy", "said", "client"),
    [
        (True, "203.0.113.5, 198.51.100.1", "198.51.100.1"),
        (True, f"198.51.100.1, {TOKEN}", ELSEWHERE),
        (True, "x\n{}", ELSEWHERE),
        (False, "203.0.113.5", ELSEWHERE),
    ],
)
def test_the_clients_address(serve_to, settings, audit, behind_proxy, said, client):
    settings["behind_proxy"] = behind_proxy
    broker = serve_to(REMOTE_ADDR=ELSEWHERE, HTTP_X_FORWARDED_FOR=said, HTTP_X_FORWARDED_PROTO="https")
    broker.ask()
    assert audit()[0]["client"] == client


def every_outcome(broker, peer, gateway, secret_file):
    """Ask in all the ways that end differently, and return the answers."""
    answers = [broker.ask(), broker.ask(site=TOKEN), broker.ask(body=TOKEN), broker.ask(site="h:1")]
    answers += [broker.ask(path=f"/{TOKEN}"), broker.ask(method="PUT"), broker.ask(X_Forwarded_For=TOKEN)]
    answers += [broker.ask(TOKEN + "x"), broker.ask(TOKEN * 1000), broker.ask(TOKEN + "\x1b")]
    peer.answer = lambda request: request.say(500, TOKEN.encode())
    answers.append(broker.ask("another"))
    peer.answer = lambda request: request.say(303, b"", Location=TOKEN)
    answers.append(broker.ask("another"))
    peer.answer = None
    for account in ("nobody", "svc-1"):
        peer.tokens[TOKEN + account] = account
        answers.append(broker.ask(TOKEN + account))
    for fault in ("INTERNAL", "UNAVAILABLE", "PERMISSION_DENIED"):
        gateway.faults.add(Fault(on="grpc:Authenticate", kind="status", status=fault, times=1))
        answers.append(broker.ask())
    secret_file.chmod(0o644)
    answers.append(broker.ask())
    secret_file.unlink()
    answers.append(broker.ask())
    return [*answers, broker.get("/metrics"), broker.get("/health")]


def test_no_secret_and_no_token_anywhere(broker, peer, gateway, secret_file, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    answers = every_outcome(broker, peer, gateway, secret_file)
    codes = {answer.body.get("code", "ok") for answer in answers}
    assert len(codes) >= 11, codes
    reva = answers[0].body["token"]
    written = "".join(f"{vars(record)}" for record in caplog.records) + "".join(capfd.readouterr())
    told = "".join(answer.text + str(answer.headers) for answer in answers[1:])
    assert AUDIT in written
    # A part is as bad as the whole: ends of tokens are what people recognise them by.
    for secret in (SECRET, *parts(TOKEN), *parts(reva)):
        assert secret not in written
        assert secret not in told


def parts(token):
    return {token[start : start + 12] for start in range(0, len(token) - 12, 6)}


def test_no_repr_shows_a_secret(load, settings, gateway, tmp_path):
    site = settings["sites"][gateway.address]
    del site["machine_secret_file"]
    site["machine_secret"] = SECRET
    settings["metrics"] = {"token": SECRET}
    (tmp_path / "broker.toml").touch(mode=0o600)
    config = load(settings)
    assert config.sites[gateway.address].secret() == config.metrics.secret() == SECRET
    assert SECRET not in repr(config)
