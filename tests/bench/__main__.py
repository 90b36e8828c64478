"""`python -m tests.bench`: our client and our plugin beside their peers. See --help."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import dump, mover, plot, report, rucio_upload
from tests.bench.cases import MIB, table
from tests.bench.peers import PEERS
from tests.bench.run import REVA, Run

TMPFS = Path("/dev/shm")
GIB = 1 << 30
LINES = ("reva-localhome", "reva-local", "opencloud")
BEHAVE = f"what a real Reva, named in {REVA}, is started as: {', '.join(LINES)} (default: the first)"
COPIES = 3  # the source, what is stored, what came back
QUICK = {
    "big": 256 * MIB,
    "small": 100,
    "far": 64 * MIB,
    "rounds": 3,
    "sizes": [MIB, 16 * MIB, 256 * MIB],
    "counts": [1, 10, 100, 1000],
    "uploads": 20,
    "jobs": 10_000,
    "entries": 200_000,
}
MEASURES = {"files": Run.case, "mover": mover.copies, "queue": mover.queue, "dump": dump.measure}
FULL = {
    "big": GIB,
    "small": 500,
    "far": 256 * MIB,
    "rounds": 5,
    "sizes": [MIB, 16 * MIB, 128 * MIB, GIB, 8 * GIB],
    "counts": [1, 10, 100, 1000, 10_000, 100_000],
    "uploads": 200,
    "jobs": 100_000,
    "entries": 1_000_000,
}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", dest="sizes_of", action="store_const", const=QUICK, help="a few minutes (default)")
    which.add_argument("--full", dest="sizes_of", action="store_const", const=FULL, help="all sizes: an hour or more")
    parser.add_argument("--big", type=int, metavar="BYTES", help="instead of 256 MiB, or 1 GiB")
    parser.add_argument("--small", type=int, metavar="COUNT", help="of small files, instead of 100, or 500")
    parser.add_argument("--far", type=int, metavar="BYTES", help="over the long link")
    parser.add_argument("--rounds", type=int, metavar="COUNT")
    parser.add_argument("--uploads", type=int, metavar="COUNT", help="of files for rucio upload; 0 leaves it out")
    parser.add_argument("--jobs", type=int, metavar="COUNT", help="in the mover's queue")
    parser.add_argument("--entries", type=int, metavar="COUNT", help="of the tree that is dumped")
    parser.add_argument("--only", metavar="WORD", action="append", help="cases whose name begins with this")
    parser.add_argument("--peers", metavar="NAME", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--behave", metavar="NAME", choices=LINES, default="reva-localhome", help=BEHAVE)
    parser.add_argument("--folder", type=Path, help="for the files; else tmpfs, where it has room")
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    return parser.parse_args()


def main() -> int:
    told = options()
    for number in (signal.SIGINT, signal.SIGTERM):  # what was measured so far is written; a shell's & ignores the first
        signal.signal(number, signal.default_int_handler)
    sizes = {**(told.sizes_of or QUICK)}
    sizes |= {key: value for key, value in vars(told).items() if key in sizes and value is not None and key != "sizes"}
    cases = table(**{key: value for key, value in sizes.items() if key not in ("rounds", "uploads")})
    only = tuple(told.only or ("",))
    cases = [case for case in cases if case.name.startswith(only)]
    needed = COPIES * max((case.size * case.count for case in cases), default=0)
    place, kind = _place(told.folder, needed)
    with contextlib.ExitStack() as stack:  # what runs ends before its folder goes
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rucio-cs3-bench-", dir=place))
        run = stack.enter_context(Run(Path(folder), sizes["rounds"], told.peers, told.behave))
        begun = os.getloadavg()
        try:
            for case in cases:
                MEASURES[case.of](run, case)
            if "rucio upload".startswith(only) and sizes["uploads"]:
                rucio_upload.measure(run, sizes["uploads"])
        except KeyboardInterrupt:
            run.left_out["the rest"] = "the run was interrupted"
        facts = {**_facts(kind), "load": {"before": begun, "after": os.getloadavg()}}
        found = report.collect(run, facts)
    told.out.mkdir(parents=True, exist_ok=True)
    report.write(found, told.out)
    plot.write(found, told.out / "bench.png")
    print(f"\n{report.markdown(found)}\nWritten to {told.out}")
    return 130 if "the rest" in run.left_out else 0


def _place(folder: Path | None, needed: int) -> tuple[str | None, str]:
    if folder:
        return str(folder), "a folder that was given"
    if TMPFS.is_dir() and shutil.disk_usage(TMPFS).free > needed and _available() > needed:
        return str(TMPFS), "tmpfs"
    return None, "the disk of temporary files, as tmpfs has no room"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _available() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _facts(kind: str) -> dict:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in ("grpcio", "urllib3", "requests", "zlib-ng")},
        "cores": os.cpu_count(),
        "files on": kind,
    }


if __name__ == "__main__":
    sys.exit(main())
