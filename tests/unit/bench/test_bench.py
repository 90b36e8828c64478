from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rucio_cs3.gateway import DEMO_USERS, Gateway
from tests.bench import nginx
from tests.bench.cases import Case
from tests.bench.longlink import DELAY, FAR, LongLink, NoLongLink
from tests.bench.measure import Failed, Files, timed
from tests.bench.run import Run
from tests.bench.stores import store_of
from tests.conformance.storages import home_of, line_of, programs
from tests.conformance.wire import Wire

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


def tiny_run(folder, peers, only, *options):
    """What a tiny run of these peers makes."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed: apt-get install curl")
    if not os.environ.get("RUCIO_CS3_TEST_REVA") and nginx.missing():
        pytest.skip(nginx.missing())
    work = folder / "work"
    work.mkdir()
    command = [
        sys.executable,
        "-m",
        "tests.bench",
        "--rounds",
        "1",
        "--uploads",
        "0",
        "--big",
        str(MIB),
        "--small",
        "3",
    ]
    command += ["--peers", *peers, *(word for name in only for word in ("--only", name)), *options]
    subprocess.run([*command, "--folder", work, "--out", folder / "out"], cwd=ROOT, check=True, capture_output=True)
    assert not list(work.iterdir()), "files are left"
    texts = [file.read_text(errors="replace") for file in (folder / "out").iterdir()]
    assert not [text for text in texts if "relativity" in text or str(folder) in text]
    found = json.loads((folder / "out" / "bench.json").read_text())
    assert not [row for row in found["medians"] if "bad" in row]
    return found


@pytest.mark.slow
def test_a_tiny_run_measures_everything(tmp_path):
    found = tiny_run(tmp_path, ["client", "curl", "bare"], ["big", "small"])
    assert found["versions"].keys() == {"client", "curl", "bare"}
    assert {(row["case"], row["verb"], row["peer"]) for row in found["medians"]} >= {
        *(("big", verb, peer) for verb in ("up", "down") for peer in ("client", "curl")),
        *(("small", verb, peer) for verb in ("up", "stat", "down", "delete") for peer in ("client", "bare")),
        *(("small, 16 threads", verb, "client") for verb in ("up", "stat", "down", "delete")),
    }
    for row in found["medians"]:
        assert min(row["seconds"], row["cpu"], row["peak_mib"]) > 0
        assert row["process"]["seconds"] >= row["seconds"]
    assert "our client" in (tmp_path / "out" / "bench.md").read_text()


@pytest.mark.slow
def test_a_tiny_run_measures_the_mover_and_the_dump(tmp_path):
    found = tiny_run(tmp_path, ["mover", "pipe", "dump"], ["mover", "dump"], "--jobs", "200", "--entries", "5000")
    rows = {(row["case"], row["verb"], row["peer"]): row["count"] for row in found["medians"]}
    assert rows == {
        ("mover, big", "copy", "mover"): 1,
        ("mover, big", "copy", "pipe"): 1,
        ("mover, small", "copy", "mover"): 3,
        ("mover, queue", "submit", "mover"): 200,
        ("mover, queue", "bulk", "mover"): 200,
        ("mover, queue", "poll", "mover"): 202,
        ("dump, 5 a folder", "dump", "dump"): 5000,
        ("dump, 1000 a folder", "dump", "dump"): 5000,
        ("dump, 20000 a folder", "dump", "dump"): 20_000,
    }
    assert all(row["seconds"] > 0 and row["peak_mib"] > 0 for row in found["medians"])
    assert not [one for one in found["targets"] if one["what"].startswith(("mover", "dump")) and not one["got"]]


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


@pytest.mark.slow
def test_each_line_of_the_real_daemons_can_be_had(tmp_path):
    found = programs(os.environ.get("RUCIO_CS3_TEST_REVA", ""))
    if not found:
        pytest.skip("RUCIO_CS3_TEST_REVA names no daemons")
    for behaviour in ("reva-localhome", "opencloud"):
        if line_of(behaviour) not in found:
            continue
        (tmp_path / behaviour).mkdir()
        with Run(tmp_path / behaviour, 1, ["client", "bare"], behaviour) as run:
            run.case(Case("small, 16 threads", 4096, 5, threads=16, verbs=("up", "stat", "down", "delete")))
        assert [row for row in run.results if row.get("failed") or row.get("wrong")] == []
        assert {row["verb"] for row in run.results} == {"up", "stat", "down", "delete"}


def test_a_storage_of_another_form_is_looked_at_over_the_wire(tmp_path):
    files = Files(tmp_path / "source", 5000, 3)
    (tmp_path / "root").mkdir()
    with Gateway(tmp_path / "root", "opencloud") as gateway:
        home = home_of(gateway.behaviour, DEMO_USERS[0])
        user, password = DEMO_USERS[0].username, DEMO_USERS[0].password
        wire = Wire(gateway.address).login(user, password)
        wire.mkdir(f"{home}/bench")
        site = {"grpc": gateway.address, "home": home, "ca": None, "user": user, "password": password, "local": None}
        store = store_of({**site, "token": wire.token})
        store.make("f")
        store.fill("f", files)
        assert (store.wrong("f", files), store.left("f")) == (None, 3)
        other = Files(tmp_path / "other", 5000, 3)
        assert "other content" in store.wrong("f", other)
        wire.ok("Delete", ref=f"{home}/bench/f/{files.names[0]}")
        assert "2 files instead of 3" in store.wrong("f", files)
        store.remove("f")
        assert not wire.exists(f"{home}/bench/f")
        wire.close()
