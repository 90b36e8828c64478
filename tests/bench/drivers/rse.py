"""A plugin of Rucio's, called as Rucio's upload, download and reaper call it."""

from __future__ import annotations

import logging

ENTRY = {"prefix": "/", "auth_token": None, "extended_attributes": None}


class Rse:
    shared = False

    def __init__(self, job, protocol, **attributes):
        name = "BENCH"
        settings = {"rse": name, "id": name, "deterministic": True, "lfn2pfn_algorithm": "identity", "sign_url": None}
        quiet = logging.getLogger("bench").log
        self.protocol = protocol({**ENTRY, "impl": "", **attributes}, settings, logger=quiet)
        self.protocol.connect()
        self.local = job["local"]

    def up(self, name):
        final = self._pfn(name)
        temporary = f"{final}.rucio.upload"
        self.protocol.put(name, temporary, self.local, transfer_timeout=360)
        self.protocol.stat(temporary)
        self.protocol.rename(temporary, final)

    def down(self, name):
        self.protocol.get(self._pfn(name), f"{self.local}/{name}", transfer_timeout=None)

    def stat(self, name):
        self.protocol.stat(self._pfn(name))

    def delete(self, name):
        self.protocol.delete(self._pfn(name))

    def _pfn(self, name):
        return self.protocol.path2pfn(name)
