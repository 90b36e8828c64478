"""Rucio's own WebDAV plugin, on the WebDAV door of the same storage. It never verifies certificates."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.drivers.rse import Rse


class Driver(Rse):
    def __init__(self, job):
        config = Path(job["scratch"], "rucio.cfg")
        config.write_text("[client]\nrucio_host = http://localhost\n", encoding="utf-8")
        os.environ["RUCIO_CONFIG"] = str(config)
        warnings.simplefilter("ignore")
        from rucio.rse.protocols.webdav import Default  # noqa: PLC0415 - it reads the configuration when it is imported

        site = job["site"]
        door = urlsplit(site["dav"])
        prefix = f"{door.path}{job['remote'][len(site['home']) :]}/"
        place = {"hostname": door.hostname, "port": door.port, "prefix": prefix}

        class Fixed(Default):
            def path2pfn(self, path):
                """Theirs takes only https for a whole PFN, and puts the address before one with http once more."""
                return path if "://" in path else super().path2pfn(path)

        super().__init__(job, Fixed, scheme=door.scheme, auth_token=site["token"], **place)
