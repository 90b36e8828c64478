"""A real OpenID Connect provider as a process of its own, and the people who log in to it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import requests

from demo.process import Child, Resource, SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROVIDER = Path(__file__).with_name("provider.py")
USERS = {"einstein": "relativity", "marie": "radioactivity", "stranger": "unknown to the site"}
FOLDERS = ("/", "/rucio/")  # for which there are scopes
STORAGE = [f"storage.{what}:{folder}" for what in ("read", "modify") for folder in FOLDERS]
SCOPES = ["openid", "profile", "email", "offline_access", "fts", *STORAGE]
AUDIENCE = "rucio"  # of a token for which none was asked
LIFETIME = 3600
SECONDS = 20
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@dataclass(frozen=True)
class App:
    """A client in the sense of OAuth. One without a secret is public.

    Both get refresh tokens. A public one's are good for one use: a second use revokes all that came of the first too.
    """

    id: str
    secret: str = ""


RUCIO = App("rucio", "secret-of-rucio")  # servers and daemons: client credentials, exchange, authorization code
PEOPLE = App("people")  # command lines: device flow


class Idp(Resource):
    """Once entered it serves at `url`, which is the issuer.

    `token` asks for a token by any grant, `login` does the whole device flow for a user, and `approve` only the part in
    the browser, for a flow that something else has begun. `lifetime` is for tokens made from then on.
    """

    def start(self) -> None:
        self.folder = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="rucio-cs3-idp-")))
        self.web = self.cleanup.enter_context(requests.Session())
        self.web.trust_env = False
        # a listening socket, not a port number: nobody else can take it, and early requests wait in its queue
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self._configure()
            server = Child(
                [sys.executable, str(PROVIDER), str(self.folder), str(listening.fileno())],
                log=self.folder / "log",
                env=os.environ,
                pass_fds=[listening.fileno()],
                cwd=self.folder,
            )
        self.cleanup.callback(server.stop)
        try:
            self.known = self._page("GET", "/.well-known/openid-configuration").json()
        except (requests.RequestException, ValueError) as error:
            raise SandboxError(f"the OpenID Connect provider did not start ({error}):\n{server.last_words()}") from None

    def _configure(self) -> None:
        apps = [
            {"client_id": RUCIO.id, "client_secret": RUCIO.secret},
            {"client_id": PEOPLE.id, "token_endpoint_auth_method": "none"},
        ]
        oauth = {"issuer": self.url, "audience": AUDIENCE, "scopes_supported": SCOPES, "clients": apps}
        settings = {
            "oauth": oauth,
            "jwt": {"keys_dir": str(self.folder / "keys")},
            "device_flow": {"polling_interval": 1},
        }
        users = {"users": {name: {"password": password} for name, password in USERS.items()}}
        # every JSON is YAML too
        (self.folder / "settings.yaml").write_text(json.dumps({"config_version": 1, **settings}))
        (self.folder / "users.yaml").write_text(json.dumps({"config_version": 1, **users}))
        self.lifetime = LIFETIME

    @property
    def lifetime(self) -> int:
        """The seconds that new tokens live."""
        return int((self.folder / "lifetime").read_text())

    @lifetime.setter
    def lifetime(self, seconds: int) -> None:
        (self.folder / "new").write_text(str(seconds))
        (self.folder / "new").replace(self.folder / "lifetime")

    @contextlib.contextmanager
    def short_lived(self, seconds: int) -> Iterator[None]:
        """Within the block, tokens are made to live this long."""
        before, self.lifetime = self.lifetime, seconds
        try:
            yield
        finally:
            self.lifetime = before

    def _page(self, method: str, page: str, **options) -> requests.Response:
        answer = self.web.request(method, urljoin(self.url, page), timeout=SECONDS, **options)
        self.web.cookies.clear()
        return answer

    def ask(self, endpoint: str, app: App, **form) -> dict:
        """What an endpoint of the discovery document says to a client: an error too is an answer."""
        return self._post(endpoint, app, form).json()

    def _post(self, endpoint: str, app: App, form: dict[str, str]) -> requests.Response:
        who = {"auth": (app.id, app.secret)} if app.secret else {}
        data = form if app.secret else {"client_id": app.id, **form}
        return self._page("POST", self.known[f"{endpoint}_endpoint"], data=data, **who)

    def token(self, app: App, grant: str, **form) -> dict:
        return self.ask("token", app, grant_type=grant, **form)

    def exchange(self, token: str, app: App = RUCIO, **form) -> dict:
        """Exchange a user's token, as a server would."""
        return self.token(app, EXCHANGE, **{"subject_token": token, "subject_token_type": ACCESS_TOKEN, **form})

    def revoke(self, token: str, app: App = PEOPLE) -> None:
        """Let the client that the token was made for take it back."""
        self._post("revocation", app, {"token": token}).raise_for_status()

    def login(self, user: str, scope: str = "openid profile", app: App = PEOPLE) -> dict:
        """The tokens that the user gets by the device flow."""
        begun = self.ask("device_authorization", app, scope=scope)
        self.approve(begun["verification_uri_complete"], user)
        return self.token(app, DEVICE, device_code=begun["device_code"])

    def approve(self, address: str, user: str, decision: str = "authorize") -> None:
        """Go to the verification URL and let the device in, or `deny` it."""
        with Browser() as browser:
            browser.open(address)
            browser.submit(username=user, password=USERS[user], action=decision)


class Browser(requests.Session):
    """As much of a browser as it takes to fill in a form: it keeps the page that it is on."""

    def __init__(self, ca: Path | None = None) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = str(ca) if ca else True

    def open(self, address: str) -> None:
        self.show(self.get(address, timeout=SECONDS))

    def submit(self, **fields: str) -> None:
        """Send the first form on the page with its own values and these."""
        form = Form(self.page.text)
        address = urljoin(self.page.url, form.action)
        self.show(self.post(address, data={**form.values, **fields}, timeout=SECONDS))

    def show(self, page: requests.Response) -> None:
        page.raise_for_status()
        self.page = page


class Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.number, self.action, self.values = 0, "", {}
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.number += tag == "form"
        if tag == "form" and self.number == 1:
            self.action = found.get("action") or ""
        if tag == "input" and self.number == 1 and found.get("name"):
            self.values[found["name"]] = found.get("value") or ""
