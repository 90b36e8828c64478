"""The mover at work: copies between two sites, beside curl's, and how many jobs it takes and tells of."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import random
import socket
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from demo.process import Child
from tests.bench import nginx
from tests.bench.measure import Files, clean
from tests.bench.run import NotRun, kept
from tests.bench.stores import store_of
from tests.conformance.daemons import LOOPBACK, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.bench.cases import Case
    from tests.bench.run import Run

COMMAND = [sys.executable, "-c", "from rucio_cs3.cli import main; main()", "mover", "--config"]
CONFIG = """
listen = "{}"
database = "mover.db"

[limits]
copies = 20
link = 16
"""
SITE = Template("""
[sites.$name]
gateway = "$grpc"
tls = false
cs3_root = "$home/"
username = "$user"
password = "$password"
cache = "off"
call_timeout = 3600
""")
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # HTTP/2's, without which no connection comes about
POLLED = 1000  # jobs in one call
BULK = 100  # files of a job
ONCE = {"names": ["all"], "threads": 1}
PARAMS = {
    "verify_checksum": "both",
    "copy_pin_lifetime": -1,
    "bring_online": None,
    "job_metadata": {"issuer": "rucio", "multi_sources": False, "overwrite_when_only_on_disk": False},
    "overwrite": False,
    "overwrite_when_only_on_disk": False,
    "priority": 3,
}


def copies(run: Run, case: Case) -> None:
    """One job with all the files, from its submission until it has ended."""
    with contextlib.ExitStack() as stack:
        try:
            sites = [run.site(kind)[0] for kind in (case.site, f"{case.site}-2")]
        except NotRun as reason:
            run.left_out[case.name] = str(reason)
            return
        mover = stack.enter_context(Mover(run.folder, dict(zip("AB", sites))))
        files = Files(run.folder / "source", case.size, case.count)
        stack.callback(files.clear)
        stores = [store_of(site) for site in sites]
        stack.enter_context(kept(stores[0], "stored"))
        stores[0].fill("stored", files)
        peers = [peer for peer in case.peers if peer in run.versions]
        for number in range(-1, run.rounds):  # the first one logs in
            for peer in peers[:: 1 if number % 2 == 0 else -1]:
                name = f"{peer}-{number}"
                with kept(stores[1], name):
                    run.measure(case, "copy", peer, number, _copy(mover, sites, files, name), [])
                    if "failed" not in run.results[-1]:
                        run.results[-1]["wrong"] = stores[1].wrong(name, files)
                if number < 0:
                    run.results.pop()


def queue(run: Run, case: Case) -> None:
    """Jobs from a site that is silent: they stay in the queue, and more come while the last ones are there."""
    if "mover" not in run.versions:
        return
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(_silent())
        site = {"grpc": address, "home": "", "user": "nobody", "password": "nothing"}
        mover = stack.enter_context(Mover(run.folder, {"A": site}))
        names, known = map(str, itertools.count()), []
        portion = max(case.count // run.rounds, 1)
        for number in range(run.rounds):
            for verb, files in (("submit", 1), ("bulk", BULK)):
                jobs = [_job(address, address, itertools.islice(names, files)) for _ in range(portion // files or 1)]
                one = dataclasses.replace(case, count=len(jobs) * files)
                run.measure(one, verb, "mover", number, mover.told(verb, jobs=jobs), [])
                known += run.results[-1].pop("ids", [])
            ids = random.sample(known, min(POLLED, len(known)))
            one = dataclasses.replace(case, count=len(ids))
            run.measure(one, "poll", "mover", number, mover.told("poll", ids=ids), [])


@contextlib.contextmanager
def _silent() -> Iterator[str]:
    """A gateway that takes connections, and says nothing to any call."""
    with socket.create_server((LOOPBACK, 0)) as server, contextlib.ExitStack() as connections:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the end
                while True:
                    connections.enter_context(server.accept()[0]).sendall(SETTINGS)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{LOOPBACK}:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


class Mover(contextlib.ExitStack):
    """`rucio-cs3 mover` in a process of its own, between sites by their names."""

    def __init__(self, folder: Path, sites: dict[str, dict]) -> None:
        super().__init__()
        self._place = Path(self.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        config = self._place / "mover.toml"
        config.touch(mode=0o600)
        [port] = free_ports(1)
        text = [
            CONFIG.format(f"{LOOPBACK}:{port}"),
            *(SITE.substitute(site, name=name) for name, site in sites.items()),
        ]
        config.write_text("".join(text), encoding="utf-8")
        child = Child([*COMMAND, str(config)], log=self._place / "mover.log", env=clean())
        self.callback(child.stop)
        self._url, self._group = f"http://{LOOPBACK}:{port}", child.process.pid
        nginx.wait(child.process, LOOPBACK, port)

    def told(self, verb: str, **more: Any) -> dict:
        """A job for the driver."""
        return {"jobs": [], "ids": [], "verb": verb, "mover": self._url, "group": self._group, **ONCE, **more}


def _copy(mover: Mover, sites: list[dict], files: Files, target: str) -> dict:
    """What the peers are told of one copy, of each of them what it needs."""
    source, other = sites
    far, near = f"{source['home']}/bench/stored", f"{other['home']}/bench/{target}"
    jobs = [_job(f"{source['grpc']}{far}", f"{other['grpc']}{near}", files.names, files)]
    curl = {"site": source, "other": other, "remote": far, "target": near, "size": files.size}
    return {**mover.told("copy", jobs=jobs), **curl, "files": files.names}


def _job(source: str, target: str, names: Iterable[str], files: Files | None = None) -> dict:
    """As Rucio writes it."""
    entries = []
    for name in names:
        size, _, checksum = files.adler32[name].partition(":") if files else ("1000000000", "", "0a1b2c3d")
        metadata = {key: str(uuid.uuid4()) for key in ("request_id", "src_rse_id", "dest_rse_id")}
        metadata |= {"scope": "bench", "name": name, "activity": "User Subscriptions", "request_type": "TRANSFER"}
        metadata |= {"src_type": "DISK", "dst_type": "DISK", "src_rse": "SOURCE", "dst_rse": "TARGET"}
        metadata |= {"filesize": int(size), "md5": None, "adler32": checksum}
        entries.append(
            {
                "sources": [f"cs3://{source}/{name}"],
                "destinations": [f"cs3://{target}/{name}"],
                "checksum": f"ADLER32:{checksum}",
                "filesize": int(size),
                "metadata": metadata,
                "activity": "User Subscriptions",
            }
        )
    return {"files": entries, "params": PARAMS}
