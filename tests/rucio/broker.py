"""The broker as operators run it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from http.client import HTTPConnection

from demo.process import Child


class Broker:
    """`rucio-cs3 broker` for one site: root is einstein there, and marie and ghost are called the same.

    `accounts` are more of them.
    """

    def __init__(self, folder, storage, rucio, more="", accounts=""):
        config = folder / "broker.toml"
        config.write_text(f"""
            [rucio]
            {rucio}
            [limits]
            timeout = 30.0
            {more}
            [sites."{storage.grpc}"]
            machine_secret_file = "{storage.folder / "secret"}"
            tls = false
            accounts = {{ root = "einstein"{accounts} }}
            template = "{{account}}"
            only = "marie|ghost"
            [sites."127.0.0.1:1"]
            machine_secret_file = "{storage.folder / "secret"}"
            tls = false
            accounts = {{ root = "einstein" }}
        """)
        argv = [sys.executable, "-c", "from rucio_cs3.cli import main; main()", "broker", "--config", str(config)]
        self.audit = folder / "audit.log"
        self.child = Child(
            [*argv, "--bind", "127.0.0.1:0"],
            log=self.audit,
            env=os.environ,
            stderr=subprocess.PIPE,
        )
        said = self.child.process.stderr.readline().decode()
        assert "Serving" in said, said + self.child.process.stderr.read().decode()
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", said)[1])
        self.site = storage.grpc

    def stop(self):
        self.child.stop()
        self.child.process.stderr.close()

    def ask(self, token, site=None):
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            body = json.dumps({"site": site or self.site})
            connection.request("POST", "/token", body, {"X-Rucio-Auth-Token": token})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
