"""`rucio-cs3 dump` in this process, on an embedded gateway. With Rucio see tests/rucio."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from rucio_cs3.cli.dump import _usual
from rucio_cs3.gateway import Fault
from tests.unit.cli.command import COMMAND, SECONDS, called, environment


@pytest.fixture
def site(gateway):
    return f"cs3://{gateway.address}/rse"


@pytest.fixture
def top(gateway):
    (gateway.root / "rse").mkdir()
    return gateway.root / "rse"


@pytest.fixture
def run(folder, monkeypatch, capfd):
    for name, value in {"USERNAME": "einstein", "PASSWORD": "relativity"}.items():
        monkeypatch.setenv(f"RUCIO_CS3_{name}", value)

    return functools.partial(called, monkeypatch, capfd, "dump")


def plant(top, *names):
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"bytes")


def lines(file):
    return sorted(file.read_text().splitlines())


def test_all_files(site, top, run, folder):
    plant(top, "a", "scope/ab/cd/f", "scope/ab/ce/ü b,c")
    (top / "empty").mkdir()
    code, out, err = run(site, "-o", "list")
    assert (code, err) == (0, ""), err
    assert out.startswith("list: 3 files in 6 folders, 15B, in ")
    assert lines(folder / "list") == ["/rse/a", "/rse/scope/ab/cd/f", "/rse/scope/ab/ce/ü b,c"]
    assert [path.name for path in folder.iterdir()] == ["list"]


def test_for_programs(site, top, run):
    plant(top, "a", ".rucio-cs3-0123456789ab.part")
    code, out, _ = run("--json", site, "-o", "list")
    [summary] = map(json.loads, out.splitlines())
    assert summary.pop("seconds") >= 0
    assert (code, summary) == (
        0,
        {
            "outcome": "summary",
            "file": "list",
            "complete": True,
            "files": 1,
            "bytes": 5,
            "folders": 1,
            "unfinished": 1,
            "newer": 0,
            "unwritable": 0,
            "other": 0,
            "not_listed": 0,
        },
    )


def test_what_is_left_out_is_told(site, top, run, folder):
    plant(top, "a", "a.rucio.upload", "b\nc", "d\n/e")
    code, _, err = run(site, "-o", "list")
    assert (code, err.splitlines()) == (
        0,
        ["Left out: 1 left behind by uploads", "Left out: 2 with control characters in their names"],
    )
    assert lines(folder / "list") == ["/rse/a"]


def test_what_changed_lately_is_left_out_on_request(site, top, run, folder):
    plant(top, "new", "old")
    os.utime(top / "old", (0, 0))
    assert run(site, "-o", "list", "--older-than", "1h")[2] == "Left out: 1 changed too lately\n"
    assert lines(folder / "list") == ["/rse/old"]


def test_the_name_that_the_auditor_looks_for(site, top, run, folder):
    before = time.gmtime()
    assert run(site)[0] == 0
    assert next(path.name for path in folder.iterdir()) in {
        time.strftime("dump_%Y%m%d", moment) for moment in (before, time.gmtime())
    }


def test_a_folder_that_cannot_be_listed(gateway, site, top, run, folder):
    """Nothing looks complete, and the same command tries it again, and only it."""
    plant(top, "a", "bad/b", "good/c")
    gateway.faults.add(Fault("grpc:ListContainer", "status", path="/rse/bad", status="PERMISSION_DENIED"))
    code, out, err = run(site, "-o", "list")
    assert code == 1
    assert out.startswith("list.incomplete: 2 files in 2 folders")
    failure, summary = err.splitlines()
    assert failure.startswith("Error: /rse/bad: ")
    assert summary == f"INCOMPLETE: 1 folder not listed. To try again what is missing: rucio-cs3 dump {site} -o list"
    assert {path.name for path in folder.iterdir()} == {"list.incomplete", "list.incomplete-state"}
    assert (folder / "list.incomplete-state").stat().st_mode & 0o777 == 0o600
    gateway.faults.clear()
    gateway.calls.clear()
    code, out, err = run(site, "-o", "list")
    assert (code, err) == (0, "Going on with list.incomplete, which holds 2 files in 2 folders\n")
    assert [call.path for call in gateway.calls if call.method == "ListContainer"] == ["/rse/bad"]
    assert lines(folder / "list") == ["/rse/a", "/rse/bad/b", "/rse/good/c"]
    assert [path.name for path in folder.iterdir()] == ["list"]


def test_a_folder_that_is_hidden_is_not_taken_for_removed(gateway, site, top, run):
    plant(top, "hidden/b")
    gateway.faults.add(Fault("grpc:ListContainer", "status", path="/rse/hidden", status="NOT_FOUND"))
    assert run(site, "-o", "list")[0] == 1


def test_a_storage_that_is_gone_is_not_asked_for_each_folder(gateway, site, top, run):
    plant(top, *(f"d{number}/f" for number in range(100)))
    gateway.faults.add(Fault("grpc:ListContainer", "status", path="/rse/d*", status="UNAVAILABLE"))
    code, _, err = run(site, "-o", "list")
    assert code == 1
    assert "INCOMPLETE: 100 folders not listed, and given up because nothing gets through." in err
    assert err.count("Error: ") < 100


def test_an_output_that_is_there(site, top, run, folder):
    (folder / "list").write_text("yesterday's")
    code, out, err = run(site, "-o", "list")
    assert (code, out, err) == (1, "", "Error: list: it is there already; remove it, or name another\n")
    assert (folder / "list").read_text() == "yesterday's"


def test_another_dump_under_way(gateway, site, top, run, folder):
    plant(top, "bad/b")
    gateway.faults.add(Fault("grpc:ListContainer", "status", path="/rse/bad", status="PERMISSION_DENIED"))
    run(site, "-o", "list")
    _, _, err = run(site, "--details", "-o", "list")
    assert "list.incomplete is of another dump; name another output" in err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CERNBOX:data", "a dump is of a whole RSE"),
        ("127.0.0.1:19000", "if it is a gateway, write cs3s://127.0.0.1:19000"),
        ("cs3.example.org:443/eos/project/r", "if it is a gateway, write cs3s://cs3.example.org:443/eos/project/r"),
        ("./a:b", "no name at a site"),
    ],
)
def test_what_is_no_rse_is_refused(run, folder, name, words):
    code, _, err = run(name)
    assert code == 2
    assert words in err
    assert not list(folder.iterdir())


def test_a_root_that_is_not_there_leaves_nothing(site, run, folder):
    code, out, err = run(site)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{site}: the root folder cannot be seen as einstein" in err
    assert not list(folder.iterdir())


def test_a_file_is_no_root(gateway, site, run, folder):
    (gateway.root / "rse").write_bytes(b"a file")
    assert "the root is not a folder" in run(site)[2]
    assert not list(folder.iterdir())


def test_the_name_of_an_rse_is_in_that_of_its_dump():
    assert (_usual("CERNBOX"), _usual("cs3s://h:1/x")) == ("CERNBOX_dump_%Y%m%d", "dump_%Y%m%d")


def test_the_documentation(gateway, top, run, folder):
    """Its commands, with a gateway's address for the RSE; with Rucio see tests/rucio."""
    page = (Path(__file__).parents[3] / "docs" / "consistency.md").read_text(encoding="utf-8")
    plant(top, "a")
    [block] = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert [words[:3] for words in commands] == [["rucio-cs3", "dump", "CERNBOX"]] * 2
    for words in commands:
        assert run(f"cs3://{gateway.address}/rse", *words[3:])[0] == 0
    assert {path.name[:5] for path in folder.iterdir()} == {"dump_", "CERNB"}


def test_after_kill_and_ctrl_c_it_goes_on(gateway, site, top, folder):
    """Both leave the same: what was saved. No folder is lost, and none is there twice."""
    plant(top, *(f"d{number:02}/{file}" for number in range(40) for file in "ab"))
    settings = {"username": "einstein", "password": "relativity"}
    argv = [*COMMAND, "dump", site, "--output", "list", "--jobs", "2"]
    for number in (signal.SIGKILL, signal.SIGINT):
        gateway.calls.clear()
        gateway.faults.add(Fault("grpc:ListContainer", "stall", path="/rse/d*", skip=10))
        with subprocess.Popen(argv, env=environment(settings), stderr=subprocess.PIPE, text=True) as process:
            while (
                sum(call.method == "ListContainer" and call.path != "/rse" for call in gateway.calls) < 11
            ):  # it stalls
                assert process.poll() is None
                time.sleep(0.01)  # what the other process has done so far has no event to wait for
            process.send_signal(number)
            _, err = process.communicate(timeout=SECONDS)
        gateway.faults.clear()
        assert not (folder / "list").exists()
    assert "files in " in err
    assert err.rstrip().endswith(f"To go on: {shlex.join(['rucio-cs3', *argv[3:]])}, within a day")
    assert subprocess.run(argv, env=environment(settings), timeout=SECONDS, check=False).returncode == 0
    assert lines(folder / "list") == sorted(f"/rse/d{number:02}/{file}" for number in range(40) for file in "ab")
