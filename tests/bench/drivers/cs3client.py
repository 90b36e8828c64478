"""cs3client from PyPI, with a file object: that is streamed, and bytes would be in memory."""

from __future__ import annotations

import logging
import os
from configparser import ConfigParser

import cs3client.cs3client as theirs
import grpc
from cs3client.auth import Auth
from cs3client.cs3resource import Resource


class Driver:
    def __init__(self, job):
        site = job["site"]
        config = ConfigParser()
        login = {"auth_client_id": site["user"], "auth_client_secret": site["password"]}
        tls = {"ssl_enabled": "yes", "ssl_verify": "yes"} if site["ca"] else {}
        config["bench"] = {"host": site["grpc"], "http_timeout": "600", **login, **tls}
        if site["ca"]:  # it hands the name of the file to gRPC as if it were the certificate
            os.environ["REQUESTS_CA_BUNDLE"] = os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = site["ca"]
        quiet = logging.getLogger("bench")
        quiet.setLevel(logging.CRITICAL)
        client = theirs.CS3Client(config, "bench", quiet)
        self.file, self.token = client.file, Auth(client).get_token()
        self.local, self.remote = job["local"], job["remote"]

    def up(self, name):
        with open(f"{self.local}/{name}", "rb") as file:
            self.file.write_file(self.token, self._at(name), file, os.fstat(file.fileno()).st_size)

    def down(self, name):
        with open(f"{self.local}/{name}", "wb") as file:
            for block in self.file.read_file(self.token, self._at(name)):
                if isinstance(block, grpc.RpcError):
                    raise block
                file.write(block)

    def stat(self, name):
        self.file.stat(self.token, self._at(name))

    def delete(self, name):
        self.file.remove_file(self.token, self._at(name))

    def _at(self, name):
        return Resource(abs_path=f"{self.remote}/{name}")
