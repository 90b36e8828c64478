"""Real Revas, started on free loopback ports with the configurations of the containers, in docker/reva/, and reva/."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.gateway.behaviours import Behaviour

CONFIGURATIONS = Path(__file__).parent / "reva"
OF_CONTAINERS = Path(__file__).parents[2] / "docker" / "reva"
MACHINE_SECRET = "conformance-machine-secret"
JWT_SECRET = "conformance-jwt-secret-of-32-bytes-and-more"
TRANSFER_SECRET = "conformance-transfer-secret-of-32-bytes"
START_SECONDS = 30
LOOPBACK = "127.0.0.1"
DAV = "/remote.php/webdav"
PORTS = ("GRPC", "HTTP", "DATA", "MACHINE", "BEARER", "APPAUTH", "STORAGE")


def line_of(program: Path) -> str:
    """`first` for the line of v3, `second` for the one of oCIS and OpenCloud; they differ in their options."""
    told = subprocess.run([program, "-h"], capture_output=True, text=True, check=False)
    return "first" if "-plugins" in told.stderr + told.stdout else "second"


@contextlib.contextmanager
def running(
    program: Path, behaviour: Behaviour, folder: Path, issuer: str, host: str = LOOPBACK, *, copies: bool = False
) -> Iterator[tuple[str, str]]:
    """A daemon until the end of the block; yields the addresses of the gateway and of the WebDAV door.

    With `copies` it makes third-party copies.
    """
    (folder / "data").mkdir()
    for path in (folder, folder / "data"):
        path.chmod(0o777)  # its cephmount driver works with the users' own uids
    ports = {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)))}
    users = CONFIGURATIONS / ("users-ceph.json" if behaviour.name == "reva-ceph" else "users.json")
    values = {
        **ports,
        "HOST": host,
        "DOOR": f"http://{host}:{ports['HTTP']}",
        "ROOT": str(folder),
        "USERS": str(folder / "users.json"),
        "GROUPS": str(CONFIGURATIONS / "groups.json"),
        "ISSUER": issuer,
        "MOUNT": behaviour.mount,
        "EXPOSED": str(behaviour.exposes_data_server).lower(),
        "COPIES": str(copies).lower(),
        "MACHINE_SECRET": MACHINE_SECRET,
        "JWT_SECRET": JWT_SECRET,
        "TRANSFER_SECRET": TRANSFER_SECRET,
    }
    known = users.read_text()
    if behaviour.has_spaces:  # its users are those of the issuer
        known = known.replace("http://localhost", issuer)
    (folder / "users.json").write_text(known)
    arguments = (configure_spaces if behaviour.has_spaces else configure)(behaviour, folder, values)
    log = folder / "revad.log"
    with log.open("wb") as sink:
        daemon = subprocess.Popen(
            [program, *arguments],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder), "MICRO_LOG_LEVEL": "error"},
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    wanted = PORTS if behaviour.has_spaces else ("GRPC", "HTTP", "DATA")
    try:
        wait_for_ports(daemon, host, [int(ports[name]) for name in wanted if name != "APPAUTH"], log)
        yield f"{host}:{ports['GRPC']}", f"http://{host}:{ports['HTTP']}{DAV}"
    finally:
        daemon.send_signal(signal.SIGKILL)  # it has nothing to save, and takes its time otherwise
        daemon.wait()


def configure(behaviour: Behaviour, folder: Path, values: dict[str, str]) -> list[str | Path]:
    """For the first line: one file, with two parts of ours. Returns the arguments."""
    config = folder / "revad.toml"
    config.write_text(filled(["common.toml", f"{behaviour.name}.toml"], values))
    return ["-c", config, "-p", folder / "revad.pid"]


def configure_spaces(_: Behaviour, folder: Path, values: dict[str, str]) -> list[str | Path]:
    """For the second: a file for each of the services of a kind. Returns the arguments."""
    config = folder / "conf"
    config.mkdir()
    for name in ("gateway", "machine", "bearer", "storage"):
        (config / f"{name}.toml").write_text(filled(["opencloud/common.toml", f"opencloud/{name}.toml"], values))
    return ["-dev-dir", config]


def filled(parts: list[str], values: dict[str, str]) -> str:
    text = "".join(configuration(part).read_text() for part in parts)
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def configuration(part: str) -> Path:
    """Some are those that docker/compose.reva.yaml starts its sites with."""
    return next(folder / part for folder in (OF_CONTAINERS, CONFIGURATIONS) if (folder / part).is_file())


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for_ports(daemon: subprocess.Popen, host: str, ports: list[int], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    for port in ports:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
                break
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"revad did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)  # a port has no event to wait for
