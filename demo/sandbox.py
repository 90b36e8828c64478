"""A complete private Rucio in a temporary folder: database, server, command line, daemons and client API.

It takes a free port, shares nothing with the caller's own Rucio set-up and leaves nothing behind. The demo and the
tests in tests/rucio drive this same one.
"""

from __future__ import annotations

import configparser
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from demo.database import DATABASES
from demo.process import BIN, Child, Resource, SandboxError, run, run_or_fail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio.client import Client

    Sections = Mapping[str, Mapping[str, object]]

APPLICATION = "rucio.web.rest.flaskapi.v1.main:application"
DAEMONS = Path(__file__).with_name("daemons.py")
USERNAME, PASSWORD = "operator", "sandbox-only"
START_SECONDS = 60

# The caller's own Rucio, tokens and proxies must not leak into the sandbox: a proxy would swallow calls to 127.0.0.1.
FOREIGN_VARIABLES = ("RUCIO_", "BEARER_TOKEN", "X509_", "XDG_", "OIDC_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

BOOTSTRAP = "from rucio.db.sqla import util; util.build_database(); util.create_base_vo(); util.create_root_account()"

# alembic dies after making the tables unless the logging sections are there
ALEMBIC: Sections = {
    "alembic": {"script_location": "rucio:db/sqla/migrate_repo", "sqlalchemy.url": ""},
    "loggers": {"keys": "root"},
    "handlers": {"keys": "console"},
    "formatters": {"keys": "plain"},
    "logger_root": {"level": "WARN", "handlers": "console"},
    "handler_console": {"class": "StreamHandler", "args": "(sys.stderr,)", "formatter": "plain"},
    "formatter_plain": {"format": "%(levelname)s %(message)s"},
}


class Home:
    """One rucio.cfg, and the environment that points a command at it and at nothing of the caller's."""

    def __init__(self, folder: Path, sections: Sections, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.sections = sections
        self.extra_environ = environ
        self.config = folder / "etc" / "rucio.cfg"
        self.config.parent.mkdir(parents=True)
        write_ini(self.config, sections)

    @property
    def environ(self) -> dict[str, str]:
        """The whole environment of a command run from here."""
        return {
            **{key: value for key, value in os.environ.items() if not key.upper().startswith(FOREIGN_VARIABLES)},
            "HOME": str(self.folder),
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "RUCIO_HOME": str(self.folder),
            "RUCIO_CONFIG": str(self.config),
            "NO_PROXY": "*",
            "COLUMNS": "250",  # Rucio's tables and log lines would break in the middle of a word
            **self.extra_environ,
        }

    def with_config(self, changes: Sections | None) -> Home:
        """Return a home like this one but for these options; an option set to None is left out."""
        if not changes:
            return self
        folder = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}-", dir=self.folder.parent))
        return Home(folder, merged(self.sections, changes), self.extra_environ)


class Sandbox(Resource):
    """A Rucio with a root account, ready for use once entered.

    `config` are sections added to both rucio.cfg: that of server and daemons, and the user's. Only the first has a
    database in it: a client that finds one bypasses the server.
    """

    def __init__(self, *, config: Sections | None = None, environ: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.config = config or {}
        self.extra_environ = environ or {}

    def start(self) -> None:
        """Build the database, start the server, write the user's configuration."""
        self.folder = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="rucio-cs3-")))
        (self.folder / "database").mkdir()
        kind = DATABASES[os.environ.get("RUCIO_CS3_TEST_DATABASE", "sqlite")]
        database = self.cleanup.enter_context(kind(self.folder / "database"))
        self.operator = self._make_operator_home(database.url)
        run_or_fail([sys.executable, "-c", BOOTSTRAP], env=self.operator.environ)
        self.url = self._start_server(database.server_options)
        self.user = self._make_user_home()

    def _make_operator_home(self, database_url: str) -> Home:
        alembic = self.folder / "alembic.ini"
        write_ini(alembic, merged(ALEMBIC, {"alembic": {"sqlalchemy.url": database_url}}))
        own = {
            "common": {"loglevel": "INFO"},
            "database": {"default": database_url},
            "alembic": {"cfg": alembic},
            "bootstrap": {"userpass_identity": USERNAME, "userpass_pwd": PASSWORD},
            "trace": {"tracedir": self.folder / "trace"},
        }
        return Home(self.folder / "operator", merged(own, self.config), self.extra_environ)

    def _make_user_home(self) -> Home:
        own = {
            "client": {
                "rucio_host": self.url,
                "auth_host": self.url,
                "auth_type": "userpass",
                "username": USERNAME,
                "password": PASSWORD,
                "account": "root",
                "auth_token_file_path": self.folder / "user" / "rucio-token",
            }
        }
        return Home(self.folder / "user", merged(own, self.config), self.extra_environ)

    def _start_server(self, options: tuple[str, ...]) -> str:
        # Handing over a listening socket, instead of a port number, leaves no moment in which another could take it;
        # and the first request waits in its queue until the server is ready.
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            server = Child(
                [str(BIN / "gunicorn"), "--bind", f"fd://{listening.fileno()}", *options, APPLICATION],
                log=self.folder / "server.log",
                env=self.operator.environ,
                pass_fds=[listening.fileno()],
                cwd=self.folder,
            )
        self.cleanup.callback(server.stop)
        try:
            get(f"{url}/ping", timeout=START_SECONDS)
        except OSError as error:
            raise SandboxError(f"Rucio's server did not start ({error}):\n{server.last_words()}") from error
        return url

    def rucio(
        self, *arguments: str | Path, config: Sections | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the real command line as the user would; stdout holds all that the user would see."""
        return run([BIN / "rucio", *arguments], env=self.user.with_config(config).environ, cwd=cwd or self.folder)

    def daemon(self, name: str, *arguments: str, config: Sections | None = None) -> subprocess.CompletedProcess[str]:
        """Run one round of a daemon such as reaper, judge-cleaner or undertaker."""
        program = [BIN / f"rucio-{name}", "--run-once", *arguments]
        return run(program, env=self.operator.with_config(config).environ, cwd=self.folder)

    def rounds(self, *daemons: str | list[str]) -> str:
        """Run these after each other, and return what they log; see demo/daemons.py. Much quicker than `daemon`."""
        process = self._daemons
        process.stdin.write(json.dumps(daemons) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        code, said = json.loads(answer) if answer else (1, "Rucio's daemons did not start")
        if code:
            raise SandboxError(f"{daemons} failed:\n{said}")
        return said

    def prepare_rounds(self) -> None:
        """Let the daemons be imported while other things are done."""
        _ = self._daemons

    @functools.cached_property
    def _daemons(self) -> subprocess.Popen[str]:
        """Start the process that waits for work; it ends when its stdin does, and so with us."""
        process = subprocess.Popen(
            [sys.executable, DAEMONS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.operator.environ,
            cwd=self.folder,
        )
        self.cleanup.enter_context(process)  # closes its stdin
        return process

    def client(self) -> Client:
        """Return a client of this sandbox, in this process: Rucio reads its configuration once, so one sandbox only."""
        os.environ.update({key: self.user.environ[key] for key in ("RUCIO_HOME", "RUCIO_CONFIG", "NO_PROXY")})
        from rucio.client import Client  # noqa: PLC0415 -- its import reads the configuration

        return Client()


def get(url: str, timeout: float) -> bytes:
    """Fetch, whatever proxies the caller's environment names."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=timeout) as answer:
        return answer.read()


def merged(sections: Sections, changes: Sections) -> dict[str, dict[str, object]]:
    """Lay changes over sections; an option changed to None is left out."""
    together = {name: {**sections.get(name, {}), **changes.get(name, {})} for name in {**sections, **changes}}
    return {
        name: {key: value for key, value in options.items() if value is not None} for name, options in together.items()
    }


def write_ini(path: Path, sections: Sections) -> None:
    """Write a configuration file that only we can read: it holds passwords."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(sections)
    path.touch(mode=0o600)
    with path.open("w") as file:
        parser.write(file)
