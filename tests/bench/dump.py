"""A dump of a synthetic tree, which a server tells that has all its answers ready."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import TYPE_CHECKING

from demo.process import Child
from tests.bench.measure import clean

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.cases import Case
    from tests.bench.run import Run


def measure(run: Run, case: Case) -> None:
    if "dump" not in run.versions:
        return
    folders = max(case.count // case.wide, 1)
    case = dataclasses.replace(case, count=folders * case.wide)
    serve = [sys.executable, "-m", "tests.bench.tree", str(folders), str(case.wide)]
    server = Child(serve, log=run.folder / "tree.log", env=clean(), stdout=subprocess.PIPE)
    try:
        site = json.loads(server.process.stdout.readline())
        for number in range(run.rounds):
            output = run.folder / f"dump-{number}"
            job = {"verb": "dump", "site": site, "names": [str(output)], "threads": 1}
            run.measure(case, "dump", "dump", number, job, [])
            if "failed" not in run.results[-1]:
                run.results[-1]["wrong"] = _wrong(output, folders, case.wide)
            output.unlink(missing_ok=True)
    finally:
        server.stop()
        server.process.stdout.close()


def _wrong(output: Path, folders: int, wide: int) -> str | None:
    with output.open() as file:
        lines = [line.rpartition("/") for line in file]
    there = (len({folder for folder, _, _ in lines}), len({name for _, _, name in lines}), len(lines))
    return None if there == (folders, wide, folders * wide) else f"folders, names and lines are {there}"
