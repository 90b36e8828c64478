"""Rucio as the sandbox has it, whose programs need not start: each is a fork of a process that has imported them.

They are the installed programs all the same, each in a process of its own with its own environment, folder, output and
exit code. Only their imports are done once, which would take most of the time. `python -m tests.rucio.warm SOCKET
MODULE…` is the process that they are forked from: it takes a JSON object a connection, and answers with the exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import functools
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from demo.process import BIN, COMMAND_SECONDS, SandboxError
from demo.sandbox import Sandbox

TOP = Path(__file__).parents[2]
PLUGIN = ["rucio_cs3.protocol", "rucio_cs3.client"]
COMMANDS = ["rucio.cli.command", "rucio.client.uploadclient", "rucio.client.downloadclient", *PLUGIN]
DAEMONS = [f"rucio.daemons.{name}" for name in ("reaper.reaper", "reaper.dark_reaper", "judge.cleaner")]
DAEMONS += ["flask", *PLUGIN]
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}  # Rucio is not ours, and what is runs in our own processes too


class WarmSandbox(Sandbox):
    """A sandbox for many commands and rounds of daemons."""

    def cold(self):
        """The same Rucio, for other configurations: with them, nothing is imported yet."""
        other = copy.copy(self)
        for name in ("_commands", "_daemon", "_daemons"):
            vars(other).pop(name, None)
        return other

    def _start_server(self, options):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in UNMEASURED.items():
                patch.setitem(self.operator.extra_environ, name, value)
            return super()._start_server(options)

    def rucio(self, *arguments, config=None, cwd=None):
        home = self.user.with_config(config)
        return self._commands([BIN / "rucio", *arguments], home.environ, cwd or self.folder)

    def daemon(self, name, *arguments, config=None):
        home = self.operator.with_config(config)
        return self._daemon([BIN / f"rucio-{name}", "--run-once", *arguments], home.environ, self.folder)

    @functools.cached_property
    def _commands(self):
        return self.cleanup.enter_context(warmed(COMMANDS, self.user.environ))

    @functools.cached_property
    def _daemon(self):
        return self.cleanup.enter_context(warmed(DAEMONS, self.operator.environ))


@contextlib.contextmanager
def warmed(modules, environ):
    """How to run a program that needs these modules. The process ends when its stdin does, and so with us."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with tempfile.TemporaryDirectory(prefix="rucio-cs3-") as folder:
        address = f"{folder}/socket"
        argv = [sys.executable, "-m", "tests.rucio.warm", address, *modules]
        with subprocess.Popen(argv, env={**environ, **UNMEASURED}, cwd=TOP, **pipes) as process:
            if process.stdout.readline() != "ready\n":
                raise SandboxError(f"{modules} could not be imported")
            yield functools.partial(run, address)


def run(address, argv, environ, cwd):
    """As demo.process.run."""
    argv = list(map(str, argv))
    with tempfile.NamedTemporaryFile("r") as said, socket.socket(socket.AF_UNIX) as to:
        to.settimeout(COMMAND_SECONDS)
        to.connect(address)
        room = resource.getrlimit(resource.RLIMIT_FSIZE)  # which a test may have limited for its programs
        wanted = {"argv": argv, "environ": environ, "cwd": str(cwd), "said": said.name, "room": room}
        to.sendall(json.dumps(wanted).encode() + b"\n")
        with to.makefile() as answer:
            pid = int(answer.readline())
            try:
                code = answer.read()
            except socket.timeout as error:  # until Python 3.10 it is no TimeoutError
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(argv, COMMAND_SECONDS) from error
        return subprocess.CompletedProcess(argv, int(code or -signal.SIGKILL), said.read())


def begun(listening):
    """Fork for each connection; return one in the child."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while sys.stdin not in select.select([sys.stdin, listening], [], [])[0]:
        connection, _ = listening.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return connection
        connection.close()
    sys.exit()


def become(wanted):
    """The process as the program would find it."""
    with open(wanted["said"], "ab") as said, open(os.devnull, "rb") as nothing:
        for source, target in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(source.fileno(), target)
    resource.setrlimit(resource.RLIMIT_FSIZE, tuple(wanted["room"]))
    os.environ.clear()
    os.environ.update(wanted["environ"])
    os.chdir(wanted["cwd"])
    sys.argv = wanted["argv"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    importlib.import_module("rucio.common.config").clean_cached_config()


def main():
    address, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module)
    if "rucio.db.sqla.session" in sys.modules:
        sys.modules["rucio.db.sqla.session"].get_engine().dispose()  # a connection is for one process
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        connection = begun(listening)
    connection.sendall(b"%d\n" % os.getpid())
    with connection.makefile() as request:
        become(json.loads(request.readline()))
    code = 1
    atexit.register(lambda: connection.sendall(b"%d" % code))  # the first that is registered is the last that is done
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise


if __name__ == "__main__":
    main()
