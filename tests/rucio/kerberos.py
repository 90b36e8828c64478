"""A Kerberos realm of our own: an ordinary process on a port of this machine, with its files in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from importlib.util import find_spec
from typing import TYPE_CHECKING

from demo.process import Child, Resource, SandboxError, run_or_fail

if TYPE_CHECKING:
    from pathlib import Path

REALM = "EXAMPLE.ORG"
SERVICE = "HTTP/localhost"
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])  # where Debian has what only root is to find
PACKAGES = {"krb5kdc": "krb5-kdc", "kdb5_util": "krb5-kdc", "kadmin.local": "krb5-admin-server", "kinit": "krb5-user"}
MODULES = ("gssapi", "requests_kerberos")
TRIES = 5

KRB5_CONF = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
"""
KDC_CONF = """
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
"""


def missing() -> str | None:
    """What to install before a realm can be had."""
    programs = {package for program, package in PACKAGES.items() if not shutil.which(program, path=PATH)}
    if programs:
        return f"there is no Kerberos here: apt-get install {' '.join(sorted(programs))}"
    if not all(map(find_spec, MODULES)):
        return "pip install rucio-cs3[test-kerberos], which takes libkrb5-dev and a C compiler"
    return None


class Realm(Resource):
    """People by name, and the web server `HTTP/localhost`."""

    def __init__(self, folder: Path, *names: str) -> None:
        super().__init__()
        self.folder, self.names = folder, names
        self.people, self.service = folder / "people.keytab", folder / "service.keytab"
        config = {"KRB5_CONFIG": str(folder / "krb5.conf")}
        self.environ = {"PATH": PATH, "KRB5_KDC_PROFILE": str(folder / "kdc.conf"), **config}
        self.server_environ = {"KRB5_KTNAME": str(self.service), "KRB5RCACHEDIR": str(folder), **config}

    def start(self) -> None:
        self._configure()
        run_or_fail(["kdb5_util", "create", "-s", "-P", "master"], env=self.environ)
        self._add(SERVICE, self.service)
        for name in self.names:
            self._add(name, self.people)
        for _ in range(TRIES):
            if self._serves():
                return
            self._configure()  # somebody took the port before we did
        raise SandboxError(f"krb5kdc did not start:\n{(self.folder / 'kdc.log').read_text()}")

    def ticket(self, name: str, folder: Path) -> dict[str, str]:
        """Log in, and return the environment in which the ticket is found."""
        found = {"KRB5_CONFIG": self.environ["KRB5_CONFIG"], "KRB5CCNAME": f"FILE:{folder / 'ticket'}"}
        run_or_fail(["kinit", "-k", "-t", self.people, name], env={**self.environ, **found})
        return found

    def _configure(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            values = {"realm": REALM, "folder": self.folder, "port": listening.getsockname()[1]}
        (self.folder / "krb5.conf").write_text(KRB5_CONF.format(**values))
        (self.folder / "kdc.conf").write_text(KDC_CONF.format(**values))

    def _add(self, principal: str, keytab: Path) -> None:
        for query in (f"add_principal -randkey {principal}", f"ktadd -k {keytab} {principal}"):
            run_or_fail(["kadmin.local", "-q", query], env=self.environ)

    def _serves(self) -> bool:
        log = self.folder / "kdc.out"
        kdc = Child(["krb5kdc", "-n"], log=log, env=self.environ, stderr=subprocess.PIPE)
        self.cleanup.callback(kdc.process.stderr.close)
        self.cleanup.callback(kdc.stop)
        return any(b"starting" in line for line in kdc.process.stderr)
