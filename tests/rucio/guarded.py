"""Sites of a provider's tokens, over TLS: each takes only those that are for it, and remembers what they said."""

from __future__ import annotations

import copy
import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jwt
import requests

from demo import storage
from demo.mover import Mover
from demo.storage import HOME, WEBDAV_ROOT
from rucio_cs3.gateway import DEMO_USERS, Gateway, Tls, User
from rucio_cs3.gateway.oidc import Issuer
from tests.idp.idp import RUCIO
from tests.rucio.conftest import Site

if TYPE_CHECKING:
    from pathlib import Path

    from demo.sandbox import Sandbox
    from tests.idp.idp import Idp

FOLDER = "rucio"  # for which the provider has scopes
PASSWORD = "of Rucio at the site"
SERVICE = User(RUCIO.id, PASSWORD, "service", mail="rucio@example.org", display_name="Rucio")
SECONDS = 60


class Choosy(Issuer):
    """What Reva looks at, and the audience besides."""

    def __init__(self, url: str, audience: str) -> None:
        super().__init__(url)
        self.audience = audience
        self.said: list[dict[str, Any]] = []

    def user(self, token, users):
        said = jwt.decode(token, options={"verify_signature": False})
        self.said.append(said)
        return super().user(token, users) if self.audience == said["aud"] else None

    def shown(self) -> set[tuple[str, str, str]]:
        """Whose tokens they were, and for whom and for what."""
        return {(said["sub"], said["aud"], said["scope"]) for said in self.said}


class Guarded(storage.Gateway):
    """A site at a loopback address of its own, because Rucio makes audiences of addresses."""

    def __init__(self, folder: Path, host: str, idp: Idp, pki: Path) -> None:
        super().__init__(folder)
        self.host, self.idp, self.pki = host, idp, pki
        self.tokens = Choosy(idp.url, host)

    def start(self) -> None:
        (self.home / FOLDER).mkdir(parents=True)
        self.gateway = self.cleanup.enter_context(
            Gateway(
                self.root,
                users=[*DEMO_USERS, SERVICE],
                oidc_issuer=self.idp.url,
                tls=Tls(self.pki / "site.pem", self.pki / "site.key"),
                host=self.host,
                webdav_namespace=HOME,
                tpc="honest",
                ca=self.pki / "ca.pem",
            )
        )
        self.gateway._site.login._issuer = self.tokens
        self.grpc, self.http = self.gateway.address, urlsplit(self.gateway.webdav_url).netloc

    def rse(self, name: str, sandbox, client) -> Site:
        """What an operator has before anything is moved: see the README."""
        site = Site(name, self.home / FOLDER, sandbox, client)
        client.add_rse(name)
        client.add_rse_attribute(name, "greedyDeletion", "True")
        client.set_local_account_limit("root", name, -1)
        site.add_protocol(self.davs(FOLDER))
        return site

    def table(self) -> dict[str, object]:
        """In mover.toml, without a login."""
        doors = [f"davs://{self.http}{WEBDAV_ROOT}/{FOLDER}"]
        return {"gateway": self.grpc, "ca": str(self.pki / "ca.pem"), "doors": doors, "cs3_root": f"{HOME}/{FOLDER}"}


class SecureMover(Mover):
    """A mover with TLS, which is asked by whoever has these headers."""

    def __init__(self, folder: Path, sites: dict, settings: str, ca: Path, headers: dict[str, str]) -> None:
        super().__init__(folder, sites, settings)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(ca)
        self.session.headers.update(headers)

    def ask(self, path: str) -> Any:
        answer = self.session.get(f"{self.url}{path}", timeout=SECONDS)
        answer.raise_for_status()
        return answer.json()


def with_config(sandbox: Sandbox, config: dict[str, dict[str, object]]) -> Sandbox:
    """The same Rucio, but for this in the rucio.cfg of its daemons."""
    other = copy.copy(sandbox)
    other.operator = sandbox.operator.with_config(config)
    for name in ("_daemon", "_daemons"):
        vars(other).pop(name, None)
    return other


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8].upper()}"


def know(idp: Idp, idpsecrets: Path) -> None:
    """Let Rucio's daemons ask this provider for tokens."""
    known = {"client_id": RUCIO.id, "client_secret": RUCIO.secret, "issuer": idp.url}
    idpsecrets.write_text(json.dumps({"idp": known}))
