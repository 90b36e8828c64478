"""Who is measured, and how each is called: one table."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"
Command = tuple[list[str], dict[str, str]]


@dataclass(frozen=True)
class Peer:
    """`command` makes the program and its environment from a job, for the verbs that it has."""

    what: str
    command: Callable[[dict], Command]
    version: Callable[[], str]  # raises Missing
    verbs: tuple[str, ...] = ("up", "stat", "down", "delete")
    prepare: Callable[[dict], list[str]] | None = None  # run before the clock


class Missing(Exception):
    """The peer is not on this machine; the message says what to do."""


def _library(driver: str, python: str = sys.executable) -> Callable[[dict], Command]:
    def command(job: dict) -> Command:
        file = _write(job, "job.json", json.dumps({**job, "driver": driver}))
        return [python, str(HERE / "worker.py"), file], {}

    return command


def _curl(job: dict) -> Command:
    return ["curl", "--config", f"{job['scratch']}/curl.conf"], {}


def _pipe(job: dict) -> Command:
    places = [f"{job['scratch']}/{name}.conf" for name in ("from", "to")]
    return ["sh", "-c", 'curl --config "$1" | curl --config "$2"', "sh", *places], {}


def _curl_prepare(job: dict) -> list[str]:
    """It is told the endpoints, with their tokens: only bytes are left for it to move."""
    return [sys.executable, "-m", "tests.bench.curl", _write(job, "job.json", json.dumps(job))]


def _rclone(job: dict) -> Command:
    site, many = job["site"], str(job["threads"])
    remote = f":webdav:{job['remote'][len(site['home']) :]}"
    environ = {"RCLONE_CONFIG": os.devnull, "RCLONE_WEBDAV_URL": site["dav"], "RCLONE_WEBDAV_VENDOR": "other"}
    environ["RCLONE_WEBDAV_BEARER_TOKEN"] = site["token"]
    options = ["--transfers", many, "--checkers", many, "--ignore-times", "--retries", "1", "--quiet"]
    options += ["--ca-cert", site["ca"]] if site["ca"] else []
    options += [] if site["ranges"] else ["--multi-thread-streams", "0"]
    places = {
        "up": ["copy", job["local"], remote],
        "down": ["copy", remote, job["local"]],
        "delete": ["delete", remote],
    }
    return ["rclone", *places[job["verb"]], *options], environ


def _davix(job: dict) -> Command:
    """A process for each file: its recursion makes the folder first, and stops when it is there.

    It reads headers from its arguments only: this token opens a storage that lives as long as the benchmark.
    """
    site = job["site"]
    options = ["-H", f"Authorization: Bearer {site['token']}", *(["--insecure"] if site["ca"] else [])]
    near, far = f"{job['local']}/{{}}", f"{site['dav']}{job['remote'][len(site['home']) :]}/{{}}"
    program, places = ("davix-put", [near, far]) if job["verb"] == "up" else ("davix-get", [far, near])
    names = _write(job, "names", "\n".join(job["names"]))
    return ["xargs", "-a", names, "-P", str(job["threads"]), "-I", "{}", program, *options, *places], {}


def _write(job: dict, name: str, text: str) -> str:
    file = Path(job["scratch"], name)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return str(file)


def _python(package: str, extra: str) -> Callable[[], str]:
    def version() -> str:
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            raise Missing(f"pip install '.[{extra}]'") from None

    return version


def _program(name: str, package: str) -> Callable[[], str]:
    def version() -> str:
        if not shutil.which(name):
            raise Missing(f"apt-get install {package}")
        said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
        return next(iter((said.stdout or said.stderr).splitlines()), "").partition(" (")[0]

    return version


def _gfal() -> str:
    code = "import gfal2; print('gfal2', gfal2.get_version())"
    try:
        said = subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Missing("apt-get install python3-gfal2 gfal2-plugin-http gfal2-plugin-file") from None
    return said.stdout.strip()


PEERS = {
    "client": Peer("our client", _library("client"), _python("rucio-cs3", "bench")),
    "plugin": Peer("our plugin, called as Rucio does", _library("plugin"), _python("rucio-clients", "rucio")),
    "bare": Peer("a bare loop that makes our client's calls", _library("bare"), _python("urllib3", "bench")),
    "curl": Peer("curl, bytes only", _curl, _program("curl", "curl"), ("up", "down"), _curl_prepare),
    "pipe": Peer("curl into curl", _pipe, _program("curl", "curl"), ("copy",), _curl_prepare),
    "mover": Peer("our mover", _library("mover"), _python("gunicorn", "mover"), ("copy", "submit", "bulk", "poll")),
    "dump": Peer("our dump", _library("dump"), _python("rucio-cs3", "bench"), ("dump",)),
    "webdav": Peer("Rucio's webdav plugin", _library("webdav"), _python("rucio-clients", "rucio")),
    "cs3client": Peer("cs3client", _library("cs3client"), _python("cs3client", "bench")),
    "rclone": Peer("rclone, WebDAV", _rclone, _program("rclone", "rclone"), ("up", "down", "delete")),
    "davix": Peer("davix, WebDAV", _davix, _program("davix-put", "davix"), ("up", "down")),
    "gfal2": Peer("gfal2, WebDAV", _library("gfal", SYSTEM_PYTHON), _gfal),
}
