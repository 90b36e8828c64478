"""The speed and memory that were asked for, held against what was measured: one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.cases import QUEUE, WIDTHS

if TYPE_CHECKING:
    from collections.abc import Callable

Find = "Callable[[str, str, str], dict]"
LEAST, MOST = "at least", "at most"
PEAK = 64


def _times(case: str, verb: str, peer: str, ours: str = "client") -> Callable[[Find], float]:
    """How many times the peer's speed ours is."""
    return lambda find: find(case, verb, peer)["seconds"] / find(case, verb, ours)["seconds"]


def _cpu(case: str, verb: str) -> Callable[[Find], float]:
    return lambda find: find(case, verb, "client")["cpu"] / find(case, verb, "curl")["cpu"]


def _peak(case: str, verb: str, peer: str = "client") -> Callable[[Find], float]:
    return lambda find: find(case, verb, peer)["peak_mib"]


def _rate(case: str, verb: str, peer: str) -> Callable[[Find], float]:
    """Of files, jobs or entries, in a second."""

    def measure(find: Find) -> float:
        row = find(case, verb, peer)
        return row["count"] / row["seconds"]

    return measure


def _threads(verb: str) -> Callable[[Find], float]:
    sequential, together = "small", "small, 16 threads"
    return lambda find: find(sequential, verb, "client")["seconds"] / find(together, verb, "client")["seconds"]


def _growth(find: Find) -> float:
    peaks = [
        row["peak_mib"] for row in find.rows if row["group"] == "size" and row["peer"] == "client" and "bad" not in row
    ]
    if not peaks:
        raise KeyError
    return max(peaks) - min(peaks)


TARGETS: list[tuple[str, str, float, Callable[[Find], float]]] = [
    *(
        entry
        for case in ("big", "big, TLS")
        for verb in ("up", "down")
        for entry in (
            (f"{case} {verb}: speed / curl's", LEAST, 0.95, _times(case, verb, "curl")),
            (f"{case} {verb}: CPU / curl's", MOST, 1.3, _cpu(case, verb)),
            (f"{case} {verb}: peak MiB", MOST, PEAK, _peak(case, verb)),
        )
    ),
    ("from the smallest to the largest size: growth of the peak, MiB", MOST, 8, _growth),
    ("big down: speed / Rucio's webdav plugin's", LEAST, 2, _times("big", "down", "webdav")),
    ("long link down: speed / curl's", LEAST, 3, _times("long link", "down", "curl")),
    *(
        entry
        for verb in ("up", "stat", "down", "delete")
        for entry in (
            (f"small {verb}: speed / a bare loop's", LEAST, 0.9, _times("small", verb, "bare")),
            (f"small {verb}: 16 threads / sequential", LEAST, 2.5, _threads(verb)),
            (f"small {verb}: speed / cs3client's", LEAST, 1.3, _times("small", verb, "cs3client")),
            (
                f"small {verb}: plugin's speed / Rucio's webdav plugin's",
                LEAST,
                1.5,
                _times("small", verb, "webdav", "plugin"),
            ),
        )
    ),
    (
        "rucio upload: time with the plugin / with the file protocol",
        MOST,
        1.1,
        lambda find: (
            find("rucio upload", "up", "rucio+plugin")["seconds"] / find("rucio upload", "up", "rucio+file")["seconds"]
        ),
    ),
    ("mover, big: speed / that of curl into curl", LEAST, 0.9, _times("mover, big", "copy", "pipe", "mover")),
    ("mover, small: files a second", LEAST, 50, _rate("mover, small", "copy", "mover")),
    (f"{QUEUE}: jobs of one file, a second", LEAST, 1000, _rate(QUEUE, "submit", "mover")),
    (f"{QUEUE}: files a second in jobs of 100", LEAST, 1000, _rate(QUEUE, "bulk", "mover")),
    (f"{QUEUE}: seconds for 1,000 jobs in one call", MOST, 0.2, lambda find: find(QUEUE, "poll", "mover")["seconds"]),
    *(
        entry
        for wide in WIDTHS
        for entry in (
            (
                f"dump, {wide} a folder: entries a second",
                LEAST,
                20_000,
                _rate(f"dump, {wide} a folder", "dump", "dump"),
            ),
            (f"dump, {wide} a folder: peak MiB", MOST, 100, _peak(f"dump, {wide} a folder", "dump", "dump")),
        )
    ),
]


class Finder:
    """The median of a case, a verb and a peer. Raises KeyError where there is none."""

    def __init__(self, rows: list[dict]) -> None:
        self.rows = rows
        self._by = {(row["case"], row["verb"], row["peer"]): row for row in rows if "bad" not in row}

    def __call__(self, case: str, verb: str, peer: str) -> dict:
        return self._by[case, verb, peer]


def targets(rows: list[dict]) -> list[dict]:
    find = Finder(rows)
    reached = []
    for what, side, bound, measure in TARGETS:
        try:
            got = measure(find)
        except KeyError:
            reached.append({"what": what, "wanted": f"{side} {bound:g}", "got": "", "verdict": "not measured"})
            continue
        good = got >= bound if side == LEAST else got <= bound
        verdict = "reached" if good else "**missed**"
        reached.append({"what": what, "wanted": f"{side} {bound:g}", "got": f"{got:.2f}", "verdict": verdict})
    return reached
