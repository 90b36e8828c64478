"""Run a program and say what it cost: `python -IS launch.py RESULT program arguments…`.

A process of its own because a child's peak memory begins with that of whoever started it: this one has next to none.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def main(result: str, argv: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us ends the whole group
    begun = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=[signal.SIGINT])
    _, status, used = os.wait4(child, 0)
    cost = {
        "seconds": time.perf_counter() - begun,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    with open(result, "w", encoding="ascii") as file:
        json.dump(cost, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
