"""Ground for RSEs that are broken on purpose, each in one way: what `rucio-cs3 rse check` has to tell apart."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import subprocess
import time
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jwt
import trustme

from demo import storage
from demo.process import BIN
from demo.storage import EVERYTHING, HOME, LOGIN
from rucio_cs3.gateway import BEHAVIOURS, DEMO_USERS, Gateway, Tls, nodes
from rucio_cs3.gateway.data import DataHandler

if TYPE_CHECKING:
    from pathlib import Path

    from demo.sandbox import Sections
    from demo.storage import Protocol
    from tests.rucio.conftest import Site

SECONDS = 120
PROBES = ".rucio-cs3-check-"
DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.timezone.utc)
numbers = itertools.count(1)


class Own(storage.Gateway):
    """A gateway in this process, as `options` say; `gateway` is what it is."""

    def __init__(self, folder: Path, behave: str = "reva-local", **options: Any) -> None:
        super().__init__(folder)
        self.behave, self.settings = behave, options
        self.cs3_home = f"/users/{DEMO_USERS[0].id}" if BEHAVIOURS[behave].has_spaces else HOME

    def start(self) -> None:
        self.home.mkdir(parents=True)
        self.gateway = self.cleanup.enter_context(
            Gateway(self.root, self.behave, webdav_namespace=self.cs3_home, **self.settings)
        )
        self.grpc, self.http = self.gateway.address, urlsplit(self.gateway.webdav_url).netloc

    def davs(self, folder: str) -> Protocol:
        entry = super().davs(folder)
        return with_attributes(entry, cs3_root=self.cs3_home, tls="tls" in self.settings)


def with_attributes(entry: Protocol, **attributes: Any) -> Protocol:
    return replace(entry, extended_attributes={"cs3": {**entry.extended_attributes["cs3"], **attributes}})


@dataclass
class Answer:
    """What the check said."""

    code: int
    checks: list[dict[str, str]]
    said: str

    def having(self, outcome: str) -> list[dict[str, str]]:
        return [check for check in self.checks if check["outcome"] == outcome]

    def names(self, outcome: str) -> list[str]:
        return [check["check"] for check in self.having(outcome)]

    def of(self, name: str) -> str:
        return next(f"{check['outcome']}: {check['seen']}" for check in self.checks if check["check"] == name)


def asked(environ: dict[str, str], *arguments: str | Path) -> Answer:
    """Run the command."""
    argv = [str(word) for word in (BIN / "rucio-cs3", "rse", "check", *arguments, "--json")]
    ran = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.stdout, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return Answer(ran.returncode, json.loads(ran.stdout)["checks"], ran.stdout + ran.stderr)


@dataclass
class Ground:
    """An RSE at a gateway, and the means to break it; then `check` it."""

    request: Any
    add_site: Any
    gateway: storage.Gateway
    folder: Path
    site: Site = field(init=False)
    entry: Protocol = field(init=False)
    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """in the RSE's section of rucio.cfg"""
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.use(self.gateway)

    def wanted(self, name: str) -> Any:
        """A fixture, for the few who want it."""
        return self.request.getfixturevalue(name)

    def use(self, gateway: storage.Gateway) -> None:
        self.gateway = gateway
        self.site = self.add_site(at=gateway)
        self.entry = gateway.davs(self.site.folder.name)

    def own(self, **options: Any) -> Own:
        """Another gateway, until the test is over."""
        gateway = Own(self.folder / f"own-{next(numbers)}", **options)
        gateway.__enter__()
        self.request.addfinalizer(gateway.stop)
        return gateway

    # How to break it

    def attributes(self, **attributes: Any) -> None:
        self.entry = with_attributes(self.entry, **attributes)

    def protocol(self, **fields: Any) -> None:
        self.entry = replace(self.entry, **fields)

    def native(self) -> None:
        self.entry = self.gateway.native(self.site.folder.name)

    def call_it(self, name: str) -> None:
        """To the check, and nowhere else."""
        self.name = name

    def config(self, **options: Any) -> None:
        self.options |= options

    def faults(self, *faults: dict[str, Any]) -> None:
        self.wanted("set_faults")(*({"path": f"*{PROBES}*", **fault} for fault in faults))

    def file(self, content: str, mode: int = 0o600) -> Path:
        path = self.folder / f"file-{next(numbers)}"
        path.write_text(content)
        path.chmod(mode)
        return path

    def secure(self, *names: str, ca: bool = True, self_signed: bool = False, **dates: dt.datetime) -> None:
        """A site with TLS, and the certificate for it."""
        authority = trustme.CA()
        issued = authority.issue_cert(*(names or ["127.0.0.1"]), **dates)
        key, cert = self.folder / "site.key", self.folder / "site.pem"
        (authority if self_signed else issued).private_key_pem.write_to_path(str(key))
        cert.write_bytes(authority.cert_pem.bytes() if self_signed else issued.cert_chain_pems[0].bytes())
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        self.use(self.own(tls=Tls(cert, key)))
        if ca:
            self.config(ca=self.folder / "ca.pem")

    def reva_token(self, **claims: Any) -> str:
        secret = (self.gateway.root / ".cs3-gateway" / "secret").read_text()
        return jwt.encode({"iat": time.time() - 7200, **claims}, secret, algorithm="HS256")

    def move_root(self) -> None:
        self.site.folder.rmdir()

    def lie_about_checksums(self) -> None:
        honest = nodes._add_content

        def lying(info, facts, **options):
            honest(info, {**facts, nodes.ADLER32: "00000001"}, **options)

        self.wanted("monkeypatch").setattr(nodes, "_add_content", lying)
        self.spaces()

    def spaces(self, **options: Any) -> None:
        """A site of the second line; its folders are made by its own calls."""
        from tests.conformance.wire import Wire  # noqa: PLC0415 - few need it

        gateway = self.own(behave="opencloud", **options)
        self.use(gateway)
        wire = Wire(gateway.grpc).login(LOGIN["username"], LOGIN["password"])
        wire.mkdir(f"{gateway.cs3_home}/{self.site.folder.name}")
        wire.close()

    def skew(self, seconds: float) -> None:
        def told(*_: Any) -> str:
            return formatdate(time.time() + seconds, usegmt=True)

        self.wanted("monkeypatch").setattr(DataHandler, "date_time_string", told)
        self.use(self.own())

    def without_plugin(self) -> None:
        from tests.rucio.conftest import behind_tls  # noqa: PLC0415 - it needs the other's fixtures

        certificates = self.wanted("certificates")
        served = behind_tls(self.wanted("sandbox"), certificates, "bare_rucio")
        url = served.__enter__()
        self.request.addfinalizer(lambda: served.__exit__(None, None, None))
        self.sections["client"] = {"rucio_host": url, "auth_host": url, "ca_cert": certificates / "ca.pem"}

    def beside(self, other: storage.Gateway, *, joined: bool = True, **fields: Any) -> Site:
        """Another RSE, to copy from and to; `fields` are of its protocol entry."""
        there = self.add_site(at=other)
        there.add_protocol(replace(other.davs(there.folder.name), **fields))
        self.sections[f"cs3:{there.rse}"] = LOGIN
        self.arguments += ["--with", there.rse]
        self.fts(self.wanted("mover").url)
        for pair in [(self.site, there), (there, self.site)] if joined else []:
            self.site.client.add_distance(pair[0].rse, pair[1].rse, {"distance": 1})
        return there

    def liar(self) -> None:
        """A door that says that it has pushed what the other one has refused."""
        other = self.own()
        self.use(self.own(tpc="as-seen"))
        self.beside(other)
        from rucio_cs3.gateway import Fault  # noqa: PLC0415

        fault = Fault(on="http:PUT", kind="status", status="500", path=f"*{PROBES}*", skip=1)
        other.gateway.faults.add(fault)

    def fts(self, url: str) -> None:
        self.site.client.add_rse_attribute(self.site.rse, "fts", url)

    def domains(self, **wan: Any) -> None:
        self.protocol(domains={**EVERYTHING, "wan": {**EVERYTHING["wan"], **wan}})

    # And what is said then

    def environ(self) -> dict[str, str]:
        sections: Sections = {**self.site.config(**self.options), **self.sections}
        return self.site.sandbox.user.with_config(sections).environ

    def check(self, *arguments: str) -> Answer:
        self.site.add_protocol(self.entry)
        return asked(self.environ(), self.name or self.site.rse, *self.arguments, *arguments)
