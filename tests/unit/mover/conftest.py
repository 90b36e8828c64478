"""A mover in a process of its own, over real HTTP, between sites that are folders."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import requests

from demo.database import Postgresql
from demo.process import SandboxError
from tests.unit.broker.conftest import as_toml
from tests.unit.mover.folders import Folders

SCRIPT = Path(__file__).with_name("folders.py")
COMMAND = [sys.executable, "-c", "from rucio_cs3.cli import main; main()", "mover"]
PATIENCE = 60


def wait_for(what, seconds=PATIENCE):
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"{what} never came true"
        time.sleep(0.05)
    return answer


def file(source, target, **more):
    return {"sources": [source], "destinations": [target], **more}


class Served:
    """One mover's process."""

    def __init__(self, process, url):
        self.process = process
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, method, path, **options):
        return self.session.request(method, f"{self.url}{path}", timeout=PATIENCE, **options)

    def submit(self, *files, **params):
        answer = self.ask("POST", "/jobs", json={"files": list(files), "params": params})
        assert answer.status_code == 200, answer.text
        return answer.json()["job_id"]

    def job(self, job, files="file_state,reason,source_surl,dest_surl,start_time,finish_time,file_metadata"):
        return self.ask("GET", f"/jobs/{job}?files={files}").json()

    def ended(self, job):
        final = {"FINISHED", "FAILED", "CANCELED", "FINISHEDDIRTY"}
        wait_for(lambda: self.job(job)["job_state"] in final)
        return self.job(job)

    def running(self):
        """The copies of this mover, without those of others that share its queue."""
        told = self.ask("GET", "/status.json").json()
        return [copy for copy in told["running"] if copy["mover"] == told["mover"]]

    def kill(self):
        """All at once, as the kernel does when memory is short."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def commanded(config):
    """What `rucio-cs3 mover` serves."""
    with subprocess.Popen([*COMMAND, "--config", str(config)], stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline()
            yield Served(process, re.search(r"https?://\S+:\d+", said)[0])
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def postgresql():
    pytest.importorskip("psycopg", reason="pip install rucio-cs3[mover-postgresql]")
    with tempfile.TemporaryDirectory(prefix="rucio-cs3-postgresql-") as folder:  # its own user has to get there
        cluster = Path(folder, "cluster")
        cluster.mkdir()
        try:
            with Postgresql(cluster) as database:
                yield database.url.replace("+psycopg", "")
        except SandboxError as error:
            pytest.skip(str(error))


@pytest.fixture
def empty_postgresql(postgresql):
    drop_tables(postgresql)
    return postgresql


def drop_tables(url):
    import psycopg  # noqa: PLC0415 - an extra

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS mover_queue, traces, files, jobs, lanes, flow, orders")


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "sites"
    root.mkdir()
    return root


@pytest.fixture
def folders(root):
    return Folders(root)


@pytest.fixture
def put(folders):
    """Puts a file at a site."""

    def put(url, content=b"content"):
        path = folders.path(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return url

    return put


@pytest.fixture
def settings(tmp_path):
    return {"listen": "127.0.0.1:0", "database": str(tmp_path / "mover.db")}


@pytest.fixture
def start(tmp_path, root):
    """Starts a mover with these settings."""
    with contextlib.ExitStack() as stack:

        def start(settings, name="mover"):
            file = tmp_path / f"{name}.toml"
            file.write_text(as_toml(settings))
            file.chmod(0o600)
            path = os.pathsep.join(filter(None, (os.getcwd(), os.environ.get("PYTHONPATH"))))
            environ = {**os.environ, "PYTHONPATH": path}
            argv = [sys.executable, str(SCRIPT), str(file), str(root)]
            process = stack.enter_context(
                subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environ)
            )
            stack.callback(_end, process)
            url = process.stderr.readline().strip()
            assert url.startswith("http"), url + process.stderr.read()
            return Served(process, url)

        yield start


@pytest.fixture
def mover(start, settings):
    """It ends as it should, if it does, and tells what was covered; whatever `start` starts is killed."""
    mover = start(settings)
    yield mover
    mover.session.close()
    mover.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        mover.process.wait(3)


def _end(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
