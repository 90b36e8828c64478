"""Programs run to their end, servers started and stopped, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

BIN = Path(sysconfig.get_path("scripts"))  # of the environment that we run in
STOP_SECONDS = 10
COMMAND_SECONDS = 120


class SandboxError(RuntimeError):
    """The sandbox itself could not be set up: nothing is said about the software under test."""


# Run by each server's process before it becomes the server: somebody stays to end the group when we are killed, or end
# without a word as pytest-xdist's workers do on Ctrl-C. It must not keep open what the server passes on by closing.
LEASH = """
import os, signal, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.closerange(1, 256)
        os.read(0, 1)
        os.killpg(0, signal.SIGTERM)
        time.sleep(5)
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
os.wait()
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Child:
    """A server in a process group of its own, so that it takes its children along; it does not outlive us."""

    def __init__(self, argv: list[str], *, log: Path, env: Mapping[str, str], **popen: Any) -> None:
        self.log = log
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-ISc", LEASH, *argv],
                env=dict(env),
                stdin=subprocess.PIPE,  # nothing is ever written: it ends when we do
                start_new_session=True,
                **{"stdout": sink, "stderr": sink, **popen},
            )

    def kill(self) -> None:
        """End it in the middle of what it does, as the kernel does when memory is short."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask the whole group to end, and make sure of it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.process.stdin.close()

    def last_words(self) -> str:
        """Return the end of its log, for the message of whoever finds it dead."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


class Resource(ABC):
    """Started on entry, stopped on exit, and stopped as well when the start fails half-way or is interrupted."""

    def __init__(self) -> None:
        self.cleanup = contextlib.ExitStack()

    @abstractmethod
    def start(self) -> None:
        """Start, registering in `cleanup` how to undo each step."""

    def stop(self) -> None:
        """Undo the start, the last step first."""
        self.cleanup.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Service(Resource):
    """A server. Stopped or killed it can be started anew, and is where it was."""

    child: Child

    def kill(self) -> None:
        """End it without warning."""
        self.child.kill()
        self.stop()


def run(argv: list[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run to the end, with all that it says in stdout."""
    return subprocess.run(
        [str(word) for word in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
        **options,
    )


def run_or_fail(argv: list[str | Path], **options: Any) -> None:
    """Run a step of the set-up, which has to work."""
    done = run(argv, **options)
    if done.returncode:
        raise SandboxError(f"{argv[0]} failed:\n{done.stdout}")
