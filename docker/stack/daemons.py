"""Rucio's daemons, each a process of its own; what all of them need is loaded once, before they part.

A Rucio with more to do gives each a container. Their sleeps are shorter here than there.
"""

from __future__ import annotations

import gc
import os
import runpy
import shutil
import signal
import sys

from rucio.db.sqla.session import get_engine

DAEMONS = {
    "judge-evaluator": ["--sleep-time", "2"],
    "judge-repairer": ["--sleep-time", "30"],
    "judge-cleaner": ["--sleep-time", "2"],
    "conveyor-submitter": ["--sleep-time", "2"],
    "conveyor-poller": ["--sleep-time", "2", "--older-than", "1"],
    "conveyor-finisher": ["--sleep-time", "2"],
    "undertaker": ["--sleep-time", "30"],
    "necromancer": ["--sleep-time", "30"],
    "reaper": ["--sleep-time", "2", "--delay-seconds", "1", "--greedy"],
}


def program(name: str) -> str:
    """Where Rucio's script is."""
    return shutil.which(f"rucio-{name}") or sys.exit(f"daemons: there is no rucio-{name} on the PATH")


def start(name: str) -> int:
    """A process that is this daemon; its number."""
    child = os.fork()
    if not child:
        sys.argv = [f"rucio-{name}", *DAEMONS[name]]
        runpy.run_path(program(name), run_name="__main__")
        sys.exit()  # when its threads have ended, which Rucio's scripts do not wait for
    return child


def main() -> str:
    """Run all until one ends, or until told to stop."""
    for name in DAEMONS:
        runpy.run_path(program(name), run_name="loaded")  # imports, and does nothing
    get_engine().dispose()  # imports ask the database, too, and a connection cannot be shared
    gc.freeze()
    running = {start(name): name for name in DAEMONS}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        child, status = os.wait()
        return f"daemons: {running.pop(child)} ended with {os.waitstatus_to_exitcode(status)}: all start anew"
    finally:
        for child in running:
            os.kill(child, signal.SIGTERM)
        for child in running:
            os.waitpid(child, 0)


if __name__ == "__main__":
    sys.exit(main())
