"""`rucio-cs3 dump` in this process, on an embedded gateway. With Rucio see tests/rucio."""

from __future__ import annotations

import io
import sys

import pytest

from rucio_cs3.cli import main


@pytest.fixture
def site(gateway):
    return f"cs3://{gateway.address}/rse"


@pytest.fixture
def top(gateway):
    (gateway.root / "rse").mkdir()
    return gateway.root / "rse"


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name, value in {"USERNAME": "einstein", "PASSWORD": "relativity"}.items():
        monkeypatch.setenv(f"RUCIO_CS3_{name}", value)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["rucio-cs3", "dump", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return ended.value.code, said.out, said.err

    return call


def plant(top, *names):
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"bytes")


def lines(file):
    return sorted(file.read_text().splitlines())


def test_all_files(site, top, run, tmp_path):
    plant(top, "a", "scope/ab/cd/f", "scope/ab/ce/ü b,c")
    (top / "empty").mkdir()
    code, out, err = run(site, "-o", "list")
    assert (code, err) == (0, ""), err
    assert out.startswith("list: 3 files in 6 folders, 15B, in ")
    assert lines(tmp_path / "here" / "list") == ["/rse/a", "/rse/scope/ab/cd/f", "/rse/scope/ab/ce/ü b,c"]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["list"]
