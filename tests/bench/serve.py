"""The storage that is measured: `python -m tests.bench.serve`, which says in one line of JSON where it is.

A real Reva when told one. Else the embedded gateway for the calls, and nginx for the bytes and the WebDAV door, on the
same folder: a data server in Python would be what is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import signal
import subprocess
from pathlib import Path

import trustme

from rucio_cs3.gateway import BEHAVIOURS, DEMO_USERS, Gateway, Tls
from tests.bench import nginx
from tests.conformance import daemons
from tests.conformance.daemons import DAV, free_ports
from tests.conformance.storages import home_of
from tests.conformance.wire import Wire

FOLDER = "bench"
USER, PASSWORD = DEMO_USERS[0].username, DEMO_USERS[0].password
ALONE = "reva-localhome"
NO_ISSUER = "http://127.0.0.1:9"
CAVEAT = "The gateway is Python and limits small files; WebDAV goes past it: set those side by side on a real Reva."
STOP = {signal.SIGINT, signal.SIGTERM}

# Writes in place below the root, as nginx does; all else is Reva's driver `local`.
BEHAVIOURS["bench"] = dataclasses.replace(
    BEHAVIOURS["reva-local"],
    name="bench",
    exposes_data_server=True,
    stages_uploads=False,
    bins_under_name=False,
    upload_protocols=("simple",),
)


@contextlib.contextmanager
def embedded(folder: Path, host: str, *, tls: bool):
    root = folder / "root"
    root.mkdir()
    files = certificates(folder, host) if tls else None
    [port] = free_ports(1)
    url = f"{'https' if tls else 'http'}://{host}:{port}"
    pair = Tls(files["cert"], files["key"]) if files else None
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(Gateway(root, "bench", tls=pair, host=host, data_url=url))
        server = subprocess.Popen(nginx.command(folder, root, f"{host}:{port}", files))
        stack.callback(server.wait)
        stack.callback(server.kill)  # it blocks the signals that we block, and has nothing to save
        nginx.wait(server, host, port)
        yield {
            "grpc": gateway.address,
            "dav": f"{url}/dav",
            "home": "",
            "ca": str(files["ca"]) if files else None,
            "ranges": True,
            "server": f"calls: the embedded gateway; bytes and WebDAV: {nginx.version()}. {CAVEAT}",
            "root": str(root),
        }


@contextlib.contextmanager
def alone(folder: Path):
    """The embedded gateway with its own data server."""
    root = folder / "root"
    root.mkdir()
    with Gateway(root, ALONE) as gateway:
        yield {
            "grpc": gateway.address,
            "dav": gateway.webdav_url,
            "home": home_of(BEHAVIOURS[ALONE], DEMO_USERS[0]).rstrip("/"),
            "ca": None,
            "ranges": BEHAVIOURS[ALONE].serves_ranges,
            "server": f"the embedded gateway as {ALONE}",
            "root": str(root),
        }


@contextlib.contextmanager
def real(folder: Path, host: str, program: Path, behaviour: str):
    with daemons.running(program, BEHAVIOURS[behaviour], folder, NO_ISSUER, host) as (address, dav):
        yield {
            "grpc": address,
            "dav": dav,
            "home": home_of(BEHAVIOURS[behaviour], DEMO_USERS[0]).rstrip("/"),
            "ca": None,
            "ranges": BEHAVIOURS[behaviour].serves_ranges,
            "server": f"a real Reva as {behaviour}, its WebDAV door {DAV}",
            "root": None if BEHAVIOURS[behaviour].has_spaces else str(folder / "data"),
        }


def certificates(folder: Path, host: str) -> dict[str, Path]:
    ca = trustme.CA()
    issued = ca.issue_cert(host)
    files = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    ca.cert_pem.write_to_path(files["ca"])
    files["cert"].write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    files["key"].touch(mode=0o600)
    issued.private_key_pem.write_to_path(files["key"])
    return files


def opened(site: dict) -> dict:
    """With a folder to work in, on the disk as well where that is as it looks, and a token for the WebDAV door."""
    wire = Wire(site["grpc"], ca=site["ca"]).login(USER, PASSWORD)
    wire.mkdir(f"{site['home']}/{FOLDER}")
    [local] = [str(found) for found in Path(site["root"]).rglob(FOLDER) if found.is_dir()] if site["root"] else [None]
    wire.close()
    return {**site, "local": local, "user": USER, "password": PASSWORD, "token": wire.token}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--reva", type=Path)
    parser.add_argument("--behave", default="reva-localhome")
    told = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)  # before threads are made, or one of them would get it
    if told.reva:
        serving = real(told.folder, told.host, told.reva, told.behave)
    elif told.alone:
        serving = alone(told.folder)
    else:
        serving = embedded(told.folder, told.host, tls=told.tls)
    with serving as site:
        print(json.dumps(opened(site)), flush=True)
        signal.sigwait(STOP)


if __name__ == "__main__":
    main()
