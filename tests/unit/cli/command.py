"""The command, in this process or in one of its own, with nothing set but what a test says."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest

from rucio_cs3.cli import main

COMMAND = [sys.executable, "-c", "from rucio_cs3.cli import main; main()"]
SECONDS = 60


def environment(settings):
    return {**os.environ, **{f"RUCIO_CS3_{name.upper()}": str(value) for name, value in settings.items()}}


def called(monkeypatch, capfd, *arguments, stdin=b""):
    """In this process: its exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["rucio-cs3", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(SystemExit) as ended:
        main()
    assert signal.pthread_sigmask(signal.SIG_SETMASK, blocked) == blocked  # else what is started next is deaf
    sys.stdout.flush()
    said = capfd.readouterr()
    assert "Traceback" not in said.err
    return ended.value.code, said.out, said.err


def run(*arguments, **settings):
    """Run to the end; `settings` are RUCIO_CS3_ variables."""
    argv = [*COMMAND, *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment(settings))


def refused(*arguments, **settings):
    """The one line that is said when it fails."""
    ran = run(*arguments, **settings)
    assert ran.returncode == 1, ran.stdout
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr
