"""The file commands on names that only Rucio can explain."""

from __future__ import annotations

import subprocess

import pytest

from demo.process import BIN


@pytest.fixture
def command(sandbox):
    """Run rucio-cs3 as the user of the sandbox."""

    def call(*arguments):
        argv = [BIN / "rucio-cs3", *arguments]
        pipes = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        return subprocess.run(argv, env=sandbox.user.environ, timeout=120, check=False, **pipes)

    return call


def test_below_the_root_of_an_rse(command, site, gateway, make_file):
    here = make_file("here", b"content")
    ran = command("cp", here, f"{site.rse}:a/b c")
    assert (ran.returncode, ran.stdout) == (0, f"{here} -> {site.rse}:a/b c  7B\n"), ran.stderr
    assert (site.folder / "a" / "b c").read_bytes() == b"content"
    assert command("find", f"{site.rse}:", "--type", "f").stdout == f"{site.rse}:a/b c\n"
    assert command("mv", f"{site.rse}:a/b c", f"{site.rse}:c").returncode == 0
    assert "root folder, which stays" in command("rm", "-r", f"{site.rse}:").stderr
    assert command("rm", "-r", f"{site.rse}:a", f"{site.rse}:c").returncode == 0
    assert list(site.folder.iterdir()) == []


def test_by_its_webdav_address(command, site, make_file):
    [entry] = site.client.get_protocols(site.rse)
    door = f"{entry['hostname']}:{entry['port']}{entry['prefix']}".rstrip("/")
    ran = command("cp", "--rse", site.rse, make_file("here", b"content"), f"davs://{door}/x%20y")
    assert ran.returncode == 0, ran.stderr
    assert (site.folder / "x y").read_bytes() == b"content"
    assert command("ls", "--rse", site.rse, f"davs://{door}").stdout == "x y\n"


def test_an_rse_that_is_none(command):
    ran = command("ls", "NOWHERE:x")
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert "RSE NOWHERE" in ran.stderr
