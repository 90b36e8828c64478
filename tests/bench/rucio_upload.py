"""The real `rucio upload` of many small files, through our plugin and through Rucio's own `file` protocol."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.bench.measure import Failed, Files, timed

if TYPE_CHECKING:
    from tests.bench.run import Run

CASE = "rucio upload"
SCOPE = "bench"
SIZE = 4096
DOMAINS = {"wan": {"read": 1, "write": 1, "delete": 1}, "lan": {"read": 1, "write": 1, "delete": 1}}


def measure(run: Run, count: int) -> None:
    try:
        import rucio.web.rest  # noqa: F401, PLC0415 - the server, which the client alone has not

        from demo.sandbox import Sandbox  # noqa: PLC0415 - an extra
        from demo.storage import Protocol  # noqa: PLC0415
    except ImportError:
        run.left_out[CASE] = "pip install '.[demo]'"
        return
    site, _ = run.site("plain")
    if not site["local"]:
        run.left_out[CASE] = "the storage does not keep files as they are"
        return
    door = urlsplit(site["dav"])
    config = {"cs3": {"gateway": site["grpc"], "username": site["user"], "password": site["password"]}}
    with Sandbox(config=config) as sandbox:
        sandbox.client().add_scope("root", SCOPE)
        numbers = itertools.count()
        for number in range(run.rounds):
            kinds = ["rucio+plugin", "rucio+file"]
            for kind in kinds[:: 1 if number % 2 == 0 else -1]:
                name = f"BENCH-{next(numbers)}"
                if kind == "rucio+plugin":
                    folder = Path(site["local"], name)
                    place = {
                        "gateway": site["grpc"],
                        "tls": False,
                        "webdav_root": door.path,
                        "cs3_root": site["home"] or "/",
                    }
                    prefix = f"{door.path}/bench/{name}/"
                    entry = Protocol("davs", door.hostname, door.port, prefix, extended_attributes={"cs3": place})
                else:
                    folder = run.folder / name
                    impl = "rucio.rse.protocols.posix.Default"
                    entry = Protocol("file", "localhost", 0, f"{folder}/", impl, DOMAINS)
                folder.mkdir()
                _rse(sandbox, name, entry)
                _once(run, sandbox, kind, number, name, folder, count)


def _rse(sandbox, name: str, entry) -> None:
    sandbox.rucio("rse", "add", name)
    sandbox.rucio("rse", "protocol", "add", name, *entry.as_options())
    sandbox.rucio("account", "limit", "set", "root", "--rse", name, "--bytes", "infinity")


def _once(run: Run, sandbox, kind: str, number: int, rse: str, stored: Path, count: int) -> None:
    from demo.process import BIN  # noqa: PLC0415

    files = Files(run.folder / f"{rse}-source", SIZE, count, prefix=f"{rse}-")
    known = {
        "case": CASE,
        "group": "",
        "verb": "up",
        "peer": kind,
        "round": number,
        "bytes": SIZE * count,
        "count": count,
    }
    paths = [str(files.folder / name) for name in files.names]
    command = [str(BIN / "rucio"), "upload", "--rse", rse, "--scope", SCOPE, *paths]
    try:
        cost = timed(command, run.folder, sandbox.user.environ)
    except Failed as failed:
        cost = {"failed": str(failed)}
    there = {path.name for path in stored.rglob("*") if path.is_file()}
    wrong = None if there == set(files.names) else f"{len(there)} of {count} files arrived"
    run.results.append({**known, **cost, "wrong": wrong})
    print(f"{time.strftime('%H:%M:%S')} {CASE} {kind}: {json.dumps(cost)} {wrong or ''}", flush=True)
    files.clear()
