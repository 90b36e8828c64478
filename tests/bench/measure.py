"""One peer does one thing, once: what it cost, and whether it moved the right bytes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from tests.bench.peers import PEERS

LAUNCH = Path(__file__).with_name("launch.py")
SECONDS = 3600
BLOCK = 1 << 20
WORDS = 400  # of a failure that are kept


class Failed(Exception):
    """The peer ended with an error; the message is the end of what it said."""


class Files:
    """The files to move, made once, with their checksums."""

    def __init__(self, folder: Path, size: int, count: int, prefix: str = "f") -> None:
        self.folder = folder
        self.size = size
        folder.mkdir(parents=True)
        seed = os.urandom(min(size, 64 << 20) or 1)
        self.adler32: dict[str, str] = {}
        for number in range(count):
            name = f"{prefix}{number:06}"
            self._make(folder / name, seed, number)
            self.adler32[name] = adler32(folder / name)

    @property
    def names(self) -> list[str]:
        return list(self.adler32)

    def _make(self, path: Path, seed: bytes, number: int) -> None:
        left = self.size
        head = number.to_bytes(8, "big")
        with path.open("wb") as file:
            while left > 0:
                left -= file.write((head + seed)[:left])

    def wrong(self, folder: Path) -> str | None:
        """How the files there differ from these; None when they do not."""
        return self.differ({path.name: adler32(path) for path in folder.iterdir()})

    def differ(self, there: dict[str, str]) -> str | None:
        """The same of files of which size and checksum are known."""
        if there.keys() != self.adler32.keys():
            return f"{len(there)} files instead of {len(self.adler32)}, or other names"
        bad = [name for name, value in self.adler32.items() if there[name] != value]
        return f"{len(bad)} of {len(there)} files have other content" if bad else None

    def clear(self) -> None:
        shutil.rmtree(self.folder)


def adler32(path: Path) -> str:
    value = 1
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK)
            if not block:
                return f"{path.stat().st_size}:{value:08x}"
            value = zlib.adler32(block, value)


def measured(peer: str, job: dict, scratch: Path, before: list[str]) -> dict:
    """Run it. `before` is what to put before every command, to run it elsewhere.

    For libraries `seconds` and `cpu` are those of the work alone; `process` has those of the whole process.

    Raises:
        Failed: it ended with an error.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        done = Path(folder, "done.json")
        job = {**job, "scratch": folder, "result": str(done)}
        who = PEERS[peer]
        if who.prepare:
            _run([*before, *who.prepare(job)], clean())
        command, environ = who.command(job)
        cost = timed(command, Path(folder), {**clean(), **environ}, before)
        work = json.loads(done.read_text()) if done.exists() else {}
        return {**cost, **work}


def timed(command: list[str], scratch: Path, environ: dict[str, str], before: list[str] | tuple[str, ...] = ()) -> dict:
    """What a program costs from its start to its end. Raises Failed."""
    result = scratch / "cost.json"
    said = _run([*before, sys.executable, "-IS", str(LAUNCH), str(result), *command], environ)
    cost = json.loads(result.read_text())
    if cost.pop("code"):
        raise Failed(_end(said))
    return {**cost, "process": {key: cost[key] for key in ("seconds", "cpu")}}


def _run(command: list[str], environ: dict[str, str]) -> str:
    """In a group of its own, of which nothing is left at the end, however it comes."""
    process = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {SECONDS} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise Failed(_end(said))
    return said


def clean() -> dict[str, str]:
    """Our environment without what would lead a peer elsewhere: proxies, tokens, settings."""
    foreign = ("RUCIO_", "BEARER_TOKEN", "X509_", "RCLONE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    kept = {key: value for key, value in os.environ.items() if not key.upper().startswith(foreign)}
    return {**kept, "NO_PROXY": "*", "no_proxy": "*", "GRPC_ENABLE_FORK_SUPPORT": "0"}


def _end(said: str) -> str:
    return " ".join(said.split())[-WORDS:] or "it said nothing"
