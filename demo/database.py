"""What Rucio's catalogue is kept in: SQLite by default, a private PostgreSQL where the distribution has one."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from demo.process import Child, Resource, SandboxError, run, run_or_fail

START_SECONDS = 60


class Database(Resource):
    """What Rucio's catalogue is kept in: `url` is SQLAlchemy's, `server_options` what gunicorn may ask of it."""

    url: str
    server_options: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


class Sqlite(Database):
    """A file. Only one process may write at a time, hence one worker without threads."""

    server_options = ("--workers=1",)

    def start(self) -> None:
        """Name the file: Rucio makes it."""
        self.url = f"sqlite:///{self.folder}/rucio.db?timeout=60"


class Postgresql(Database):
    """A cluster of its own from the distribution's binaries, reachable only through a socket in its folder."""

    server_options = ("--workers=1", "--threads=4")

    def start(self) -> None:
        """Make the cluster and wait until it answers."""
        programs, data = newest_postgresql(), self.folder / "data"
        run_as = []
        if os.geteuid() == 0:  # it refuses to run as root, and its owner must be able to pass through
            run_as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            shutil.chown(self.folder, "postgres")
            self.folder.parent.chmod(0o711)
        environ = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        initdb = [f"{programs}/initdb", "--pgdata", str(data), "--username=rucio", "--auth=trust", "--no-sync"]
        run_or_fail([*run_as, *initdb], env=environ, cwd=self.folder)
        postgres = [f"{programs}/postgres", "-D", str(data), "-k", str(self.folder)]
        log = self.folder.parent / "postgresql.log"
        settings = ["-c", "listen_addresses=", "-c", "fsync=off"]
        server = Child([*run_as, *postgres, *settings], log=log, env=environ, cwd=self.folder)
        self.cleanup.callback(server.stop)
        self._wait_until_ready(server, programs / "pg_isready")
        self.url = f"postgresql+psycopg://rucio@/postgres?host={self.folder}"

    def _wait_until_ready(self, server: Child, pg_isready: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while run([pg_isready, "--host", self.folder]).returncode:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise SandboxError(f"PostgreSQL did not start:\n{server.last_words()}")
            time.sleep(0.05)


DATABASES: dict[str, type[Database]] = {"sqlite": Sqlite, "postgresql": Postgresql}


def newest_postgresql() -> Path:
    """Return the folder of PostgreSQL's server programs, which Debian keeps off the PATH."""
    homes = [Path(found).parent for found in [shutil.which("initdb")] if found]
    homes += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda home: int(home.parent.name))
    if not homes:
        raise SandboxError("PostgreSQL is not installed: apt-get install postgresql")
    return homes[-1]
