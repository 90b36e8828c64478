"""A program that prints a token, such as oidc-agent's oidc-token."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from typing import Any, cast

from rucio_cs3 import deadline
from rucio_cs3.errors import ConfigError, DeadlineExceeded

LARGEST = 100_000  # bytes; no token is longer


def run(command: str, seconds: float) -> str:
    """What it prints, which has to be a token and nothing else.

    Raises:
        ConfigError: it cannot be started, fails, or prints something else.
        DeadlineExceeded: it does not end; it is killed, with all that it has started.
    """
    name, program = _start(command)
    try:
        printed, _ = _outputs(program, time.monotonic() + deadline.at_most(seconds))
        program.wait(deadline.at_most(seconds))
    except (subprocess.TimeoutExpired, TimeoutError) as error:
        raise DeadlineExceeded(
            f"token_command {name} does not end", hint="run it by hand: it may be waiting for a password"
        ) from error
    except OverflowError:
        raise ConfigError(f"token_command {name} prints more than any token", hint="run it by hand") from None
    finally:
        _end(program)
    if program.returncode:
        raise ConfigError(  # what it says is not repeated: a password may be in it
            f"token_command {name} failed with status {program.returncode}", hint="run it by hand to see why"
        )
    return printed.strip()


def _start(command: str) -> tuple[str, subprocess.Popen[bytes]]:
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    name = "(not shown)"  # its arguments may be secret
    try:
        words = shlex.split(command)
        name = words[0]
        return name, subprocess.Popen(words, start_new_session=True, **pipes)  # noqa: S603 - the user's own setting
    except (OSError, IndexError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is empty, or not quoted as a shell wants it"
        raise ConfigError(f"cannot run token_command {name}: {reason}") from error


def _outputs(program: subprocess.Popen[bytes], end: float) -> list[str]:
    """Raises TimeoutError, and OverflowError for more than we want to hold."""
    pipes: list[Any] = [program.stdout, program.stderr]
    found = dict.fromkeys(pipes, b"")
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left = end - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                pipe = cast("Any", key.fileobj)
                read = os.read(pipe.fileno(), LARGEST)
                found[pipe] += read
                if not read:
                    selector.unregister(pipe)
                if len(found[pipe]) > LARGEST:
                    raise OverflowError
    return [output.decode("utf-8", "replace") for output in found.values()]


def _end(program: subprocess.Popen[bytes]) -> None:
    """With all that it has started, unless it has ended by itself: then what it left behind is meant to stay."""
    if program.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()
    for pipe in (program.stdout, program.stderr):
        if pipe:
            pipe.close()
