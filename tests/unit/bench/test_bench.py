from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

nginx = pytest.importorskip("tests.bench.nginx")
ROOT = Path(__file__).parents[3]
MIB = 1 << 20


@pytest.fixture
def report(tmp_path):
    """What a tiny run of our client and its two measures makes."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed: apt-get install curl")
    if not os.environ.get("RUCIO_CS3_TEST_REVA") and nginx.missing():
        pytest.skip(nginx.missing())
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
    options = ["--peers", "client", "curl", "bare", "--only", "big", "--only", "small", "--folder", tmp_path]
    subprocess.run([*command, *options, "--out", tmp_path / "out"], cwd=ROOT, check=True, capture_output=True)
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
    assert not [path for path in report.iterdir() if path.name != "out"], "files are left"
    texts = [file.read_text(errors="replace") for file in (report / "out").iterdir()]
    assert not [text for text in texts if "relativity" in text or str(report) in text]
