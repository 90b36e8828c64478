"""One measurement of a peer that is a Python library: `python worker.py JOB`, where JOB is a file of JSON.

Start-up and login are done before the clock starts. It is run by the system's Python too, where gfal2 is.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import threading
import time
from pathlib import Path


def main(job: dict) -> dict:
    found = importlib.import_module(f"tests.bench.drivers.{job['driver']}").Driver
    shared = getattr(found, "shared", False)
    drivers = [found(job)] * job["threads"] if shared else [found(job) for _ in range(job["threads"])]
    names = job["names"]
    used = getattr(drivers[0], "cpu", _cpu)  # some have their work done by others
    before, begun = used(), time.perf_counter()
    if job["threads"] == 1:
        _work(drivers[0], job["verb"], names, [])
    elif hasattr(found, "together"):  # it has a way of its own
        drivers[0].together(job["verb"], names, job["threads"])
    else:
        _together(drivers, job["verb"], names)
    cost = {"seconds": time.perf_counter() - begun, "cpu": used() - before}
    return {**cost, **(drivers[0].more() if hasattr(found, "more") else {})}


def _together(drivers: list, verb: str, names: list[str]) -> None:
    errors: list[Exception] = []
    parts = [names[start :: len(drivers)] for start in range(len(drivers))]
    threads = [threading.Thread(target=_work, args=(one, verb, part, errors)) for one, part in zip(drivers, parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _work(driver: object, verb: str, names: list[str], errors: list[Exception]) -> None:
    act = getattr(driver, verb)
    try:
        for name in names:
            act(name)
    except Exception as error:
        if threading.current_thread() is threading.main_thread():
            raise
        errors.append(error)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    work = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(work["result"]).write_text(json.dumps(main(work)), encoding="utf-8")
