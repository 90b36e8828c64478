"""Runs the table of cases: every peer in turn, in alternating order, on the same files and the same server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from demo.process import Child
from tests.bench import longlink, nginx
from tests.bench.measure import Failed, Files, clean, measured
from tests.bench.peers import PEERS, Missing
from tests.bench.stores import store_of
from tests.conformance.storages import line_of, programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.cases import Case
    from tests.bench.stores import OnDisk, OverWire

    Store = OnDisk | OverWire

REVA = "RUCIO_CS3_TEST_REVA"


class NotRun(Exception):
    """A case cannot be measured here; the message says why."""


class Run(contextlib.ExitStack):
    """One run of the benchmark; `results` are there as they come, `left_out` says what was not measured, and why."""

    def __init__(self, folder: Path, rounds: int, peers: list[str], behaviour: str) -> None:
        super().__init__()
        self.folder = folder
        self.rounds = rounds
        self.behaviour = behaviour
        self.results: list[dict] = []
        self.left_out: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.servers: dict[str, str] = {}
        self._sites: dict[str, tuple[dict, list[str]] | NotRun] = {}
        self._calls: dict[str, list[str]] | None = None
        for name in peers:
            try:
                self.versions[name] = PEERS[name].version()
            except Missing as missing:
                self.left_out[PEERS[name].what] = str(missing)

    def case(self, case: Case) -> None:
        """Measure all its peers, as often as asked for."""
        try:
            site, before = self.site(case.site)
        except NotRun as reason:
            self.left_out[case.name] = str(reason)
            return
        files = Files(self.folder / "source", case.size, case.count)
        peers = [name for name in case.peers if name in self.versions]
        store = store_of(site)
        with kept(store, "stored"):
            store.fill("stored", files)
            for number in range(case.rounds or self.rounds):
                for peer in peers[:: 1 if number % 2 == 0 else -1]:
                    self._peer(case, peer, number, files, (site, store, before))
        files.clear()

    def site(self, kind: str) -> tuple[dict, list[str]]:
        """A storage of a kind, started when it is first asked for, and what to put before a command to be near it.

        Raises:
            NotRun: it cannot be had.
        """
        if kind not in self._sites:
            try:
                self._sites[kind] = self._started(kind)
            except (NotRun, longlink.NoLongLink) as reason:
                self._sites[kind] = NotRun(str(reason))
        found = self._sites[kind]
        if isinstance(found, NotRun):
            raise found
        return found

    def _started(self, kind: str) -> tuple[dict, list[str]]:
        reva = os.environ.get(REVA)
        if kind == "tls" and reva:
            raise NotRun("the real Reva is started without TLS")
        is_alone = kind.startswith("embedded")
        if not (reva or is_alone) and nginx.missing():
            raise NotRun(f"a data server in Python would be what is measured, and {nginx.missing()}")
        near: list[str] = []
        far: list[str] = []
        host = "127.0.0.1"
        if kind == "long":
            link = self.enter_context(longlink.LongLink())
            near, far, host = link.near, link.far, longlink.FAR
        folder = self.folder / kind
        folder.mkdir()
        options = ["--tls"] if kind == "tls" else ["--alone"] if is_alone else []
        options += ["--reva", self._program(reva), "--behave", self.behaviour] if reva else []
        serve = [sys.executable, "-m", "tests.bench.serve", "--folder", str(folder), "--host", host, *options]
        server = Child([*far, *serve], log=folder / "serve.log", env=clean(), stdout=subprocess.PIPE)
        self.callback(server.process.stdout.close)
        self.callback(server.stop)
        line = server.process.stdout.readline()
        if not line:
            raise NotRun(f"the server did not start: {server.last_words()}")
        site = json.loads(line)
        self.servers[kind] = site["server"]
        return site, near

    def _program(self, told: str) -> str:
        """Of those that are told, the daemon of the line that has this behaviour."""
        found = programs(told)
        line = line_of(self.behaviour)
        if line not in found:
            raise NotRun(f"{self.behaviour} needs a daemon of the {line} line in {REVA}")
        return str(found[line])

    def _peer(self, case: Case, peer: str, number: int, files: Files, place: tuple[dict, Store, list[str]]) -> None:
        site, store, before = place
        ours = f"{peer}-{number}"
        back = self.folder / "back"
        with kept(store, ours), _folder(back):
            for verb in case.verbs:
                if verb not in PEERS[peer].verbs:
                    continue
                there = ours if verb in ("up", "delete") else "stored"
                job = {
                    "verb": verb,
                    "site": site,
                    "names": files.names,
                    "size": case.size,
                    "threads": case.threads,
                    "local": str(back if verb == "down" else files.folder),
                    "remote": f"{site['home']}/bench/{there}",
                    "adler32": {name: value.partition(":")[2] for name, value in files.adler32.items()},
                    "calls": self._recorded() if peer == "bare" else None,
                }
                self.measure(case, verb, peer, number, job, before)
                if "failed" not in self.results[-1]:
                    self.results[-1]["wrong"] = _wrong(verb, files, back, store, ours)

    def measure(self, case: Case, verb: str, peer: str, number: int, job: dict, before: list[str]) -> None:
        """Of `job`, which names its verb: one of the case's peers does it once."""
        known = {"case": case.name, "group": case.group, "verb": verb, "peer": peer, "round": number}
        known |= {"bytes": case.size * case.count, "count": case.count}
        try:
            cost = measured(peer, job, self.folder, before)
        except Failed as failed:
            cost = {"failed": str(failed)}
        self.results.append({**known, **cost})
        shown = cost.get("failed") or f"{cost['seconds']:.3f} s, {cost['cpu']:.3f} s CPU, {cost['peak_mib']:.0f} MiB"
        print(f"{time.strftime('%H:%M:%S')} {case.name} {verb} {PEERS[peer].what}: {shown}", flush=True)

    def _recorded(self) -> dict[str, list[str]]:
        if self._calls is None:
            command = [sys.executable, "-m", "tests.bench.calls", self.behaviour]
            said = subprocess.run(command, env=clean(), capture_output=True, text=True, check=True)
            self._calls = json.loads(said.stdout)
        return self._calls


def _wrong(verb: str, files: Files, back: Path, store: Store, name: str) -> str | None:
    if verb == "down":
        return files.wrong(back)
    if verb == "up":
        return store.wrong(name, files)
    left = store.left(name) if verb == "delete" else 0
    return f"{left} files are left" if left else None


@contextlib.contextmanager
def kept(store: Store, name: str) -> Iterator[None]:
    store.make(name)
    try:
        yield
    finally:
        store.remove(name)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    path.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)
