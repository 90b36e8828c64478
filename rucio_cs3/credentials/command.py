"""A program that prints a token, such as oidc-agent's oidc-token."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from typing import Any

from rucio_cs3 import deadline
from rucio_cs3.errors import ConfigError, DeadlineExceeded

SHOWN = 200  # characters of what it says when it fails


def run(command: str, seconds: float) -> str:
    """What it prints, which has to be a token and nothing else.

    Raises:
        ConfigError: it cannot be started, fails, or prints something else.
        DeadlineExceeded: it does not end; it is killed, with all that it has started.
    """
    words = shlex.split(command)
    name = words[0] if words else "token_command"
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        program = subprocess.Popen(words, start_new_session=True, **pipes)  # noqa: S603 - the user's own setting
    except (OSError, IndexError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is empty"
        raise ConfigError(f"cannot run token_command {name}: {reason}") from error
    try:
        printed, complaint = program.communicate(timeout=deadline.at_most(seconds))
    except BaseException as error:
        _end(program)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise DeadlineExceeded(
            f"token_command {name} does not end", hint="run it by hand: it may be waiting for a password"
        ) from error
    if program.returncode:
        said = " ".join(complaint.decode("utf-8", "replace").split())[:SHOWN]
        raise ConfigError(f"token_command {name} failed with status {program.returncode}: {said or 'it says nothing'}")
    return bytes(printed).decode("utf-8", "replace").strip()


def _end(program: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    program.communicate()
