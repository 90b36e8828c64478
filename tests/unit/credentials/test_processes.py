"""Many processes, and many threads in each, need one token: one of them gets it, and all share what comes of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.gateway import Fault, silent_gateway

PROCESSES, SOME, THREADS = 16, 6, 16  # the crowd once: each takes a second of CPU to start
pytestmark = pytest.mark.slow
LOGIN = {"tls": False, "username": "einstein", "password": "relativity"}

# Says that it is ready, begins when it is told to, and prints what its threads met, as JSON.
PEER = """
import collections, json, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from rucio_cs3 import Cs3Client
from rucio_cs3.errors import Cs3Error

threads, settings = int(sys.argv[1]), json.loads(sys.argv[2])
client = Cs3Client(**settings)
together = threading.Barrier(threads)

def ask(_):
    together.wait(30)
    began = time.monotonic()
    try:
        client.whoami()
        said = "got"
    except Cs3Error as error:
        said = error.code
    return said, time.monotonic() - began

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    found = list(pool.map(ask, range(threads)))
print(json.dumps([collections.Counter(said for said, _ in found), max(took for _, took in found)]))
"""


@pytest.fixture
def settings(gateway, tmp_path):
    return {**LOGIN, "gateway": gateway.address, "cache": str(tmp_path / "tokens")}


@pytest.fixture
def start():
    """Starts a process that waits to be told to begin."""
    with contextlib.ExitStack() as stack:

        def start(settings, threads=THREADS):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            command = [sys.executable, "-c", PEER, str(threads), json.dumps(settings)]
            peer = stack.enter_context(subprocess.Popen(command, text=True, **pipes))
            stack.callback(peer.kill)
            return peer

        yield start


def begin(peers):
    for peer in peers:
        assert peer.stdout.readline() == "ready\n"
    for peer in peers:
        peer.stdin.write("go\n")
        peer.stdin.flush()


def results(peers):
    """How often each outcome was met, and how long it took those who waited longest."""
    told = [json.loads(peer.communicate(timeout=90)[0]) for peer in peers]
    outcomes = {outcome for found, _ in told for outcome in found}
    return {outcome: sum(found.get(outcome, 0) for found, _ in told) for outcome in outcomes}, max(t for _, t in told)


def logins(gateway):
    return [call.method for call in gateway.calls].count("Authenticate")


def change(folder, **changes):
    for file in folder.glob("*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


KEPT = {
    "nothing": None,
    "an expired token": {"expires": 1.0, "renew": 1.0},
    "a token that should be renewed": {"renew": 1.0},
    "a token that the site refuses": {"token": "x.y.z"},
}


@pytest.mark.parametrize("kept", KEPT)
def test_one_login_for_all(gateway, settings, start, tmp_path, kept):
    if KEPT[kept]:
        with Cs3Client(**settings) as client:
            client.whoami()
        change(tmp_path / "tokens", **KEPT[kept])
    peers = [start(settings) for _ in range(SOME if KEPT[kept] else PROCESSES)]
    gateway.calls.clear()
    gateway.faults.add(Fault("grpc:Authenticate", "stall", seconds=0.5, times=1))
    begin(peers)
    found, _ = results(peers)
    assert found == {"got": len(peers) * THREADS}
    assert logins(gateway) == 1


def test_without_a_cache_each_process_logs_in_once(gateway, settings, start):
    peers = [start({**settings, "cache": "off"}) for _ in range(4)]
    begin(peers)
    assert results(peers)[0] == {"got": 4 * THREADS}
    assert logins(gateway) == 4


def test_when_nobody_answers_all_fail_at_once(settings, start):
    """Not one after the other, which even without their threads would take as many times the timeout."""
    with silent_gateway() as silent:
        peers = [start({**settings, "gateway": silent, "call_timeout": 2}) for _ in range(SOME)]
        begin(peers)
        found, longest = results(peers)
    assert found == {"deadline_exceeded": SOME * THREADS}
    assert longest < 2 * SOME, longest


def test_a_refused_login_is_tried_once_for_all(gateway, settings, start):
    gateway.faults.add(Fault("grpc:Authenticate", "stall", seconds=1, times=1))
    peers = [start({**settings, "password": "wrong"}) for _ in range(4)]
    begin(peers)
    found, _ = results(peers)
    assert found == {"not_authenticated": 4 * THREADS}
    assert logins(gateway) == 1


def test_who_is_killed_while_he_logs_in_blocks_nobody(gateway, settings, start):
    gateway.faults.add(Fault("grpc:Authenticate", "stall", seconds=60, times=1))
    victim = start(settings, threads=1)
    begin([victim])
    while not logins(gateway):
        time.sleep(0.01)
    peers = [start(settings) for _ in range(2)]
    begin(peers)
    os.kill(victim.pid, signal.SIGKILL)
    found, longest = results(peers)
    gateway.faults.release()
    assert found == {"got": 2 * THREADS}
    assert longest < 10
    assert logins(gateway) == 2


def test_one_run_after_the_other_needs_one_login(gateway, settings, start):
    for _ in range(3):
        peers = [start(settings, threads=1) for _ in range(3)]
        begin(peers)
        assert results(peers)[0] == {"got": 3}
    assert logins(gateway) == 1
