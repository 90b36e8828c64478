"""What was measured, as JSON, and as Markdown for people."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING

from tests.bench.cases import MIB
from tests.bench.peers import PEERS
from tests.bench.targets import targets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.run import Run

NAMES = {"rucio+plugin": "rucio upload, our plugin", "rucio+file": "rucio upload, Rucio's file protocol"}
ABOUT = """\
How fast this client and this plugin move files to and from a CS3 storage, beside other programs: the same files on the
same server, one program after the other in alternating order, several rounds. After each, the files that it moved are
compared with the source, and a program that moved other bytes has no figures.

- *big*: one file. curl is told the data server's address beforehand and moves bytes only: it is the limit.
- *small*: files of 4 KiB, one after the other, or by 16 threads. The bare loop makes the same calls as our client, with
  nothing around them: no retries, no checks, no errors of its own.
- *long link*: 50 ms there and back, 1 Gbit/s.
- *size* and *count*: how time and memory grow.
- *mover*: one job, from its submission until it has ended, beside a curl that reads from one site into another one
  that writes to the other; and jobs that stay in the queue, each with one file, or in `bulk` with 100, submitted by 8
  connections. CPU and memory are those of the mover's processes.
- *dump*: of a tree that a server makes up.

Figures are medians of the rounds. Seconds and CPU of a library are those of the work, without its start and login; of a
program, those of the whole process. Memory is the peak of the whole process. *time / ours* is what a program takes for
each second of ours: above 1 it is slower than we are. Client and server share one machine, so that ratios
say more than figures.
"""
REFERENCE = {"rucio upload": "rucio+plugin", "mover, big": "mover"}  # else it is our client
UNITS = {"poll": "jobs", "dump": "entries"}  # else files


def collect(run: Run, facts: dict) -> dict:
    """All there is to know of a run."""
    found = {"facts": facts, "servers": run.servers, "versions": run.versions, "left_out": run.left_out}
    found |= {"results": run.results, "medians": medians(run.results)}
    return {**found, "targets": targets(found["medians"])}


def medians(results: list[dict]) -> list[dict]:
    """One row for each peer in each case: of all rounds, where all went well."""
    together: dict[tuple, list[dict]] = {}
    for one in results:
        together.setdefault((one["case"], one["verb"], one["peer"]), []).append(one)
    rows = []
    for ones in together.values():
        known = {key: ones[0][key] for key in ("case", "group", "verb", "peer", "bytes", "count")}
        bad = next(
            (one.get("failed") or one.get("wrong") for one in ones if one.get("failed") or one.get("wrong")), None
        )
        if bad:
            rows.append({**known, "bad": bad})
            continue
        middle = {key: statistics.median(one[key] for one in ones) for key in ("seconds", "cpu", "peak_mib")}
        process = {key: statistics.median(one["process"][key] for one in ones) for key in ("seconds", "cpu")}
        spread = [min(one["seconds"] for one in ones), max(one["seconds"] for one in ones)]
        rows.append({**known, **middle, "process": process, "spread": spread, "rounds": len(ones)})
    return rows


def write(found: dict, folder: Path) -> None:
    (folder / "bench.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    (folder / "bench.md").write_text(markdown(found), encoding="utf-8")


def markdown(found: dict) -> str:
    facts = found["facts"]
    load = ", ".join(f"{when} {values[0]:.1f}" for when, values in facts["load"].items())
    lines = [
        "# Benchmark",
        "",
        ABOUT,
        (
            f"{facts['date']}, {facts['cores']} cores, kernel {facts['kernel']}, Python {facts['python']}, files on "
            f"{facts['files on']}, load {load}."
        ),
        "",
        *(f"- server, {kind}: {what}" for kind, what in found["servers"].items()),
        *(f"- {PEERS[name].what}: {version}" for name, version in found["versions"].items()),
        f"- libraries: {', '.join(f'{name} {version}' for name, version in facts['libraries'].items())}",
        *(f"- **not measured**: {what}: {why}" for what, why in found["left_out"].items()),
        "",
        *_targets(found["targets"]),
    ]
    seen = dict.fromkeys((row["case"], row["verb"]) for row in found["medians"])
    for case, verb in seen:
        lines += _table(case, verb, [row for row in found["medians"] if (row["case"], row["verb"]) == (case, verb)])
    return "\n".join(lines) + "\n"


def _targets(reached: list[dict]) -> list[str]:
    head = ["## What was to be reached", "", "| what | wanted | got | |", "|---|---|---|---|"]
    rows = [f"| {one['what']} | {one['wanted']} | {one['got']} | {one['verdict']} |" for one in reached if one["got"]]
    missing = "; ".join(one["what"] for one in reached if not one["got"])
    return [*head, *rows, "", *([f"Not measured in this run: {missing}.", ""] if missing else [])]


def _table(case: str, verb: str, rows: list[dict]) -> list[str]:
    lines = [
        f"## {case}: {verb}",
        "",
        "| | seconds | rate | CPU s | peak MiB | time / ours |",
        "|---|---|---|---|---|---|",
    ]
    ours = next((row for row in rows if row["peer"] == REFERENCE.get(case, "client") and "bad" not in row), None)
    for row in sorted(rows, key=lambda row: row.get("seconds", float("inf"))):
        name = NAMES.get(row["peer"]) or PEERS[row["peer"]].what
        if "bad" in row:
            lines.append(f"| {name} | **wrong**: {row['bad'].replace('|', '/')[-160:]} | | | | |")
            continue
        ratio = f"{row['seconds'] / ours['seconds']:.2f}" if ours else ""
        cells = [f"{row['seconds']:.3f}", rate(row), f"{row['cpu']:.3f}", f"{row['peak_mib']:.0f}", ratio]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def rate(row: dict) -> str:
    if row["bytes"] > MIB and row["verb"] in ("up", "down", "copy") and row["count"] == 1:
        return f"{row['bytes'] / MIB / row['seconds']:.0f} MiB/s"
    return f"{row['count'] / row['seconds']:.0f} {UNITS.get(row['verb'], 'files')}/s"
