"""gfal2 by its Python bindings, on the WebDAV door. Runs on the system's Python, so it imports nothing of ours."""

from __future__ import annotations

import gfal2


class Driver:
    def __init__(self, job):
        site = job["site"]
        self.local = f"file://{job['local']}"
        self.remote = site["dav"] + job["remote"][len(site["home"]) :]
        self.context = gfal2.creat_context()
        self.context.set_opt_boolean("HTTP PLUGIN", "INSECURE", True)
        credential = gfal2.cred_new("BEARER", site["token"])
        gfal2.cred_set(self.context, site["dav"], credential)
        self.options = self.context.transfer_parameters()
        self.options.overwrite = True
        self.options.timeout = 3600

    def up(self, name):
        self.context.filecopy(self.options, f"{self.local}/{name}", f"{self.remote}/{name}")

    def down(self, name):
        self.context.filecopy(self.options, f"{self.remote}/{name}", f"{self.local}/{name}")

    def stat(self, name):
        self.context.stat(f"{self.remote}/{name}")

    def delete(self, name):
        self.context.unlink(f"{self.remote}/{name}")
