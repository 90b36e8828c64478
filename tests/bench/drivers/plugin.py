"""Our plugin, with its entry as an operator makes it for a site with a WebDAV door."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.drivers.rse import Rse


class Driver(Rse):
    shared = True

    def __init__(self, job):
        site = job["site"]
        config = Path(job["scratch"], "rucio.cfg")
        ca = f"ca = {site['ca']}\n" if site["ca"] else ""
        login = f"username = {site['user']}\npassword = {site['password']}\ncache = off\n"
        config.touch(mode=0o600)
        plain = "" if site["ca"] else "tls = false\n"
        config.write_text(f"[client]\nrucio_host = http://localhost\n[cs3:BENCH]\n{login}{ca}{plain}", encoding="utf-8")
        os.environ["RUCIO_CONFIG"] = str(config)
        from rucio_cs3.protocol import Default  # noqa: PLC0415 - Rucio reads its configuration when it is imported

        door = urlsplit(site["dav"])
        place = {"webdav_root": door.path, "cs3_root": site["home"]}
        super().__init__(
            job,
            Default,
            scheme="davs",
            hostname=door.hostname,
            port=door.port,
            prefix=f"{door.path}{job['remote'][len(site['home']) :]}/",
            extended_attributes={"cs3": {"gateway": site["grpc"], "tls": bool(site["ca"]), **place}},
        )
