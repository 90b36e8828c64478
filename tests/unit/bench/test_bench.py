from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import nginx
from tests.bench.longlink import DELAY, FAR, LongLink, NoLongLink
from tests.bench.measure import Failed, Files, timed

ROOT = Path(__file__).parents[3]
MIB = 1 << 20
# Nobody listens there, and that is an answer from the other end.
ROUND_TRIP = """
import socket, sys, time
begun = time.perf_counter()
try:
    socket.create_connection((sys.argv[1], 9), 10)
except ConnectionRefusedError:
    print(time.perf_counter() - begun)
"""


@pytest.fixture
def report(tmp_path):
    """What a tiny run of our client and its two measures makes."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed: apt-get install curl")
    if not os.environ.get("RUCIO_CS3_TEST_REVA") and nginx.missing():
        pytest.skip(nginx.missing())
    work = tmp_path / "work"
    work.mkdir()
    command = [
        sys.executable,
        "-m",
        "tests.bench",
        "--big",
        str(MIB),
        "--small",
        "3",
        "--rounds",
        "1",
        "--uploads",
        "0",
    ]
    options = ["--peers", "client", "curl", "bare", "--only", "big", "--only", "small", "--folder", work]
    subprocess.run([*command, *options, "--out", tmp_path / "out"], cwd=ROOT, check=True, capture_output=True)
    assert not list(work.iterdir()), "files are left"
    return tmp_path


@pytest.mark.slow
def test_a_tiny_run_measures_everything(report):
    found = json.loads((report / "out" / "bench.json").read_text())
    assert found["versions"].keys() == {"client", "curl", "bare"}
    assert {(row["case"], row["verb"], row["peer"]) for row in found["medians"]} >= {
        *(("big", verb, peer) for verb in ("up", "down") for peer in ("client", "curl")),
        *(("small", verb, peer) for verb in ("up", "stat", "down", "delete") for peer in ("client", "bare")),
        *(("small, 16 threads", verb, "client") for verb in ("up", "stat", "down", "delete")),
    }
    for row in found["medians"]:
        assert "bad" not in row, row
        assert min(row["seconds"], row["cpu"], row["peak_mib"]) > 0
        assert row["process"]["seconds"] >= row["seconds"]
    assert "our client" in (report / "out" / "bench.md").read_text()
    texts = [file.read_text(errors="replace") for file in (report / "out").iterdir()]
    assert not [text for text in texts if "relativity" in text or str(report) in text]


@pytest.mark.parametrize("spoil", ["content", "length", "missing", "more"])
def test_a_peer_that_moved_other_bytes_is_found_out(tmp_path, spoil):
    files = Files(tmp_path / "source", 5000, 3)
    there = tmp_path / "there"
    shutil.copytree(files.folder, there)
    assert files.wrong(there) is None
    victim = there / files.names[1]
    if spoil == "content":
        victim.write_bytes(victim.read_bytes()[::-1])
    elif spoil == "length":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif spoil == "missing":
        victim.unlink()
    else:
        (there / "more").touch()
    assert files.wrong(there)


def test_cost_is_that_of_the_program_alone(tmp_path):
    ballast = bytearray(os.urandom(1 << 20)) * 200  # in this process, which a child would begin with
    cost = timed(["true"], tmp_path, dict(os.environ))
    assert cost["seconds"] > 0
    assert cost["peak_mib"] < 100, len(ballast)


def test_a_program_that_fails_has_no_cost_but_a_reason(tmp_path):
    with pytest.raises(Failed, match="no such thing"):
        timed(["sh", "-c", "echo no such thing; exit 3"], tmp_path, dict(os.environ))


@pytest.mark.slow
def test_the_long_link_is_long():
    try:
        link = LongLink().__enter__()
    except NoLongLink as reason:
        pytest.skip(str(reason))
    with link:
        said = subprocess.run([*link.near, sys.executable, "-c", ROUND_TRIP, FAR], check=True, capture_output=True)
    assert float(said.stdout) >= 2 * DELAY
