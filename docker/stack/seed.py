"""Makes the stack's secrets and certificates, and gives each service its own folder of configuration.

What is there stays as it is; what is missing is made, and told. `conf/KIND/` holds what a service of this kind gets.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pki import Authority
from vault import Vault, write

HERE = Path(__file__).parent
REVA = ("common.toml", "reva-local.toml")  # which the conformance suite starts a daemon with, too
WORD = re.compile(r"@([A-Z][A-Z_]*)@")
OURS = 10001  # as whom our images run
SETTINGS = {"LOGLEVEL": os.environ.get("LOGLEVEL") or "WARNING", "ISSUER": "https://idp:9000"}
# The database knows these, too, so they cannot be made anew
BOUND = ("DATABASE_PASSWORD", "OPERATOR_PASSWORD", "EINSTEIN_PASSWORD")
REMEDY = "bring the volume `vault` back, or begin anew: docker-compose down -v, which removes all files of the stack"


@dataclass(frozen=True)
class Service:
    """Whose folder it is, and what belongs into it."""

    name: str
    kind: str
    owner: int = OURS
    serves: bool = True
    client: str = ""
    """a file with a client's certificate"""

    def prefix(self) -> str:
        """Of the names of secrets that are this service's own."""
        return f"{self.name.upper().replace('-', '_')}_" if self.kind == "site" else ""


SERVICES = (
    Service("database", "database", owner=0),
    Service("idp", "idp"),
    Service("rucio", "rucio", client="daemon.pem"),
    Service("broker", "broker"),
    Service("mover", "mover"),
    Service("site-a", "site"),
    Service("site-b", "site"),
    Service("client", "client", serves=False),
    Service("fts", "fts", owner=0),
)


class Seed:
    """`out` has a folder for each service; `reva` has Reva's configuration, where the sites are Revas."""

    def __init__(self, vault: Vault, out: Path, reva: Path) -> None:
        self.vault = vault
        self.out = out
        self.reva = reva
        self.authority = Authority(vault)

    def service(self, service: Service) -> str | None:
        """Give it what it lacks; say what that was."""
        folder = self.out / service.name
        was_empty = not any(folder.iterdir())
        wanted = self.files(service)
        written = [name for name, content in wanted.items() if self.put(folder / name, content, service.owner)]
        for name, hosts in self.certificates(service).items():
            if not self.good(folder / name):
                common_name = "rucio" if name == service.client else service.name
                write(folder / name, self.authority.issue(common_name, hosts), service.owner)
                written.append(name)
        os.chown(folder, service.owner, service.owner)
        folder.chmod(0o750)
        if was_empty or not written:
            return None
        return f"{service.name}: written again: {', '.join(sorted(written))}"

    def files(self, service: Service) -> dict[str, str]:
        """By name, filled in."""
        found = {file.name: file.read_text(encoding="utf-8") for file in (HERE / "conf" / service.kind).glob("*")}
        if service.kind == "site" and self.reva.is_dir():
            found["reva.toml"] = "".join((self.reva / part).read_text(encoding="utf-8") for part in REVA)
            found |= {file.name: file.read_text(encoding="utf-8") for file in (self.reva / "site").iterdir()}
        filled = {name: self.fill(text, service) for name, text in found.items()}
        return {**filled, "ca.pem": self.authority.pem}

    def certificates(self, service: Service) -> dict[str, tuple[str, ...]]:
        """By file, with the hosts that each is for."""
        names = {"cert.pem": (service.name, "localhost", "127.0.0.1")} if service.serves else {}
        return {**names, **({service.client: ()} if service.client else {})}

    def fill(self, text: str, service: Service) -> str:
        """Put secrets and settings in the place of @WORDS@."""

        def word(found: re.Match[str]) -> str:
            name = found[1]
            if name.endswith(("_SECRET", "_PASSWORD")):
                return self.vault.secret(service.prefix() + name)
            return {**SETTINGS, **reva_words(service.name)}[name]

        return WORD.sub(word, text)

    def put(self, file: Path, content: str, owner: int) -> bool:
        """Write it unless it is so already."""
        if file.is_file() and file.read_text(encoding="utf-8") == content:
            return False
        write(file, content, owner)
        return True

    def good(self, file: Path) -> bool:
        """Whether there is a certificate that the others trust."""
        return file.is_file() and self.authority.issued(file.read_text(encoding="utf-8"))


def reva_words(site: str) -> dict[str, str]:
    """What Reva's configuration has besides secrets, for a Reva behind a front that speaks TLS for it."""
    host = site.replace("site", "reva")
    ports = {
        "GRPC": "19000",
        "HTTP": "19001",
        "DATA": "19002",
        "MACHINE": "19003",
        "BEARER": "19004",
        "APPAUTH": "19005",
    }
    files = {"ROOT": "/data", "USERS": "/conf/reva-users.json", "GROUPS": "/conf/reva-groups.json"}
    ways = {"SITE": site, "HOST": host, "DOOR": f"https://{site}:19001", "MOUNT": "/", "COPIES": "false"}
    return {**ports, **files, **ways}


def refusal(vault: Vault, database: Path) -> str | None:
    """Why it makes no sense to go on: the database was made with secrets that are gone."""
    lost = [name for name in BOUND if not vault.has(name)]
    if (database / "PG_VERSION").exists() and lost:
        return f"the database was made with {', '.join(lost)}, and the secrets are gone: {REMEDY}"
    return None


def told(vault: Vault, mended: list[str], services: int) -> list[str]:
    """What a person wants to know."""
    if vault.was_empty:
        return [f"made {len(vault.made)} secrets, certificates and the configuration of {services} services"]
    lost = [f"made anew: {name}" for name in vault.made]
    if not (lost or mended):
        return ["everything is there"]
    return [*lost, *mended, "what runs already has to be started anew to know it: docker-compose restart"]


def main(vault_folder: Path, out: Path, database: Path, reva: Path) -> str | None:
    """Seed; say what is wrong."""
    vault = Vault(vault_folder)
    problem = refusal(vault, database)
    if problem:
        return f"seed: {problem}"
    try:
        seed = Seed(vault, out, reva)
    except ValueError as error:
        return f"seed: the certificate authority is damaged ({error}): remove ca.key and ca.pem in the volume `vault`"
    services = [service for service in SERVICES if (out / service.name).is_dir()]
    mended = [line for line in map(seed.service, services) if line]
    for line in told(vault, mended, len(services)):
        print(f"seed: {line}", flush=True)
    return None


if __name__ == "__main__":
    sys.exit(main(Path("/vault"), Path("/out"), Path("/database"), Path("/reva")))
