"""What `rucio-cs3 dump` writes, read by Rucio's own auditor, and what Rucio makes of it."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from demo.process import BIN
from tests.rucio.conftest import SCOPE

pytestmark = pytest.mark.timeout(300)  # each runs several of Rucio's daemons, some of which wait
CONTENT = b"some bytes\n"
HADOOP = """#!/bin/sh
# hadoop fs -get /user/rucio01/reports/DATE/replicas_per_rse/RSE/* FOLDER
cp {replicas} "$4"
"""


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def published(tmp_path):
    """A folder that a web server shows, as a site publishes its dumps, and its address."""
    folder = tmp_path / "published"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Auditor:
    def __init__(self, site, folder, published):
        self.site = site
        self.folder = folder
        self.published, url = published
        (folder / "auditor").mkdir(parents=True)
        (folder / "auditor" / "sites.cfg").write_text(
            f"[{site.rse.split('_')[0]}]\n{site.rse}: {url}/{site.rse}_dump_%Y%m%d\n",
        )
        self.replicas = folder / "replicas"
        (folder / "bin").mkdir()
        hadoop = folder / "bin" / "hadoop"
        hadoop.write_text(HADOOP.format(replicas=self.replicas))
        hadoop.chmod(0o755)

    def catalogue(self, *names):
        """Rucio's dump of its replicas, as CERN's Hadoop makes it: the same three days before and after ours."""
        moment = "2020-01-01 00:00:00"
        rows = [
            (self.site.rse, SCOPE, name, "0" * 8, "11", moment, str(self.site.path(name).relative_to(self.site.folder)))
            for name in names
        ]
        self.replicas.write_text("".join("\t".join((*row, moment, "A")) + "\n" for row in rows))

    def dump(self, *arguments):
        argv = [BIN / "rucio-cs3", "dump", self.site.rse, *arguments]
        pipes = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        environ = self.site.sandbox.user.environ
        return subprocess.run(argv, env=environ, cwd=self.published, timeout=120, check=False, **pipes)

    def check(self, *process):
        environ = self.site.sandbox.operator.environ
        path = f"{self.folder / 'bin'}:{environ['PATH']}"
        argv = [sys.executable, Path(__file__).parent / "auditor.py", self.folder, self.site.rse, *process]
        pipes = {"capture_output": True, "text": True}
        ran = subprocess.run(argv, env={**environ, "PATH": path}, timeout=120, check=False, **pipes)
        assert ran.returncode == 0, ran.stderr
        return sorted(ran.stdout.splitlines())


@pytest.fixture
def auditor(site, tmp_path, published):
    return Auditor(site, tmp_path / "audit", published)


def test_the_auditor_finds_what_is_dark_and_what_is_lost(site, auditor, new_name):
    kept, lost = f"{new_name}-kept", f"{new_name}-lost"
    for name in (kept, lost):
        site.register(name, CONTENT)
    site.path(lost).unlink()
    site.put("dark", CONTENT)
    ran = auditor.dump()
    assert ran.returncode == 0, ran.stderr
    auditor.catalogue(kept, lost)
    dark = site.path("dark").relative_to(site.folder)
    assert auditor.check() == [f"DARK,{dark}", f"LOST,{site.path(lost).relative_to(site.folder)}"]


@pytest.fixture
def catalogued(site, auditor, new_name):
    """A dozen files that are where they should be: Rucio acts only if but few are not."""
    names = [f"{new_name}-{number}" for number in range(12)]
    for name in names:
        site.register(name, CONTENT)
    return names


def test_dark_files_are_removed_by_the_dark_reaper(site, auditor, catalogued):
    dark = site.put("dark", CONTENT)
    assert auditor.dump().returncode == 0
    auditor.catalogue(*catalogued)
    site.sandbox.daemon("abacus-rse")
    assert auditor.check("process") == [f"DARK,{dark.relative_to(site.folder)}"]
    said = site.sandbox.daemon("dark-reaper").stdout
    assert not dark.exists(), said
    assert len(site.stored()) == len(catalogued)


def test_a_lost_file_that_is_nowhere_else_is_gone(site, auditor, catalogued):
    lost = lose(site, auditor, catalogued)
    said = site.sandbox.rounds("necromancer")
    assert site.client.get_metadata(SCOPE, lost)["availability"] == "LOST", said
    said = site.reap().stdout
    assert site.replica(lost) is None, said


def test_a_lost_file_is_asked_for_from_the_other_site(site, auditor, catalogued, add_site, gateway):
    other = add_site()
    other.add_protocol(gateway.davs(other.folder.name))
    other.register(catalogued[0], CONTENT)
    site.client.add_distance(other.rse, site.rse, {"distance": 1})
    site.client.add_replication_rule([{"scope": SCOPE, "name": catalogued[0]}], 1, site.rse)
    lost = lose(site, auditor, catalogued)
    said = site.sandbox.rounds("necromancer")
    request = site.client.list_request_by_did(lost, site.rse, SCOPE)
    assert (request["name"], request["dest_rse"], request["request_type"]) == (lost, site.rse, "TRANSFER"), said


def lose(site, auditor, catalogued):
    """The first of the files vanishes; the auditor tells, and the operator declares it bad."""
    lost = catalogued[0]
    site.path(lost).unlink()
    assert auditor.dump().returncode == 0
    auditor.catalogue(*catalogued)
    site.sandbox.daemon("abacus-rse")
    assert auditor.check("process") == [f"LOST,{site.path(lost).relative_to(site.folder)}"]
    [suspicious] = site.client.list_suspicious_replicas(site.rse)
    assert [(row["name"], row["rse"]) for row in suspicious] == [(lost, site.rse)]
    site.client.declare_bad_file_replicas([{"scope": SCOPE, "name": lost, "rse": site.rse}], "lost")
    return lost
