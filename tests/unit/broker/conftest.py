"""A broker over real HTTP, a real gateway as its site, and a small server in the place of Rucio."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from rucio_cs3.broker import config
from rucio_cs3.broker.app import Broker
from rucio_cs3.gateway import Gateway

ELSEWHERE = "192.0.2.7"
SECRET = "machine-secret-of-the-site"
TOKEN = "root-/DC=org/CN=Somebody-client-0f1e2d3c4b5a69788796a5b4c3d2e1f0"


class PeerServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Peer:
    """Answers whoami as Rucio does, by a redirect to the account of the token; `answer` puts another one in place."""

    def __init__(self):
        self.tokens = {TOKEN: "root"}
        self.statuses = {}  # of accounts that are not active
        self.vos = {}  # of accounts, where it is not the one that every Rucio has
        self.seen = []
        self.answer = None
        self.hold = threading.Event()
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                token = self.headers.get("X-Rucio-Auth-Token")
                peer.seen.append((self.path, token))
                if peer.answer:
                    peer.answer(self)
                elif token not in peer.tokens:
                    self.say(401, {"ExceptionClass": "CannotAuthenticate"})
                elif self.path == "/accounts/whoami":
                    self.say(303, {}, Location=peer.tokens[token])
                elif self.path == "/auth/validate":
                    account = peer.tokens[token]
                    known = {"account": account, "identity": "'vo': 'x'", "lifetime": datetime.now(timezone.utc)}
                    self.say(200, repr({**known, "vo": peer.vos.get(account, "def")}).encode())
                else:
                    account = self.path.rpartition("/")[2]
                    self.say(200, {"account": account, "status": peer.statuses.get(account, "ACTIVE")})

            def say(self, status, answer, **headers):
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = PeerServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that hangs up is what some tests are about
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def asked(self):
        """How often it was asked who somebody is."""
        return [path for path, _ in self.seen].count("/accounts/whoami")


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(server):
    """Let a server answer in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Answer:
    status: int
    body: dict
    headers: dict
    text: str = field(repr=False)


class Caller:
    """Speaks to one broker."""

    def __init__(self, port, site):
        self.port = port
        self.site = site

    def ask(self, token=TOKEN, site=None, body=None, method="POST", path="/token", **headers):
        if token is not None:
            headers["X-Rucio-Auth-Token"] = token
        body = json.dumps({"site": site or self.site}) if body is None else body
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        # http.client, because it writes no log: in the logs of a test is only what the broker wrote
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            text = response.read().decode()
        is_json = response.headers["Content-Type"] == "application/json"
        return Answer(response.status, json.loads(text) if is_json else {}, dict(response.headers), text)

    def get(self, path, **headers):
        return self.ask(None, body=b"", method="GET", path=path, **headers)


@pytest.fixture
def peer():
    peer = Peer()
    with served(peer.server):
        yield peer
        peer.hold.set()


@pytest.fixture
def gateway(tmp_path):
    (tmp_path / "root").mkdir()
    with Gateway(tmp_path / "root", machine_secret=SECRET, token_ttl=600) as gateway:
        yield gateway


@pytest.fixture
def secret_file(tmp_path):
    file = tmp_path / "machine"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def settings(peer, gateway, secret_file, tmp_path):
    """A configuration that works, as a dictionary to be changed, and `load` to read it from a file."""
    return {
        "rucio": {"host": peer.url},
        "limits": {"timeout": 30.0},
        "sites": {
            gateway.address: {
                "machine_secret_file": str(secret_file),
                "tls": False,
                "accounts": {"root": "einstein", "by-mail": "mail:marie@example.org", "nobody": "unheard-of"},
                "template": "{account}",
                "only": "[a-z]+",
            }
        },
    }


@pytest.fixture
def load(tmp_path):
    def load(settings):
        file = tmp_path / "broker.toml"
        file.write_text(as_toml(settings))
        return config.load(file)

    return load


@pytest.fixture
def serve(load, gateway):
    """Starts a broker with these settings."""
    with contextlib.ExitStack() as stack:

        def start(settings):
            server = Server(("127.0.0.1", 0), Handler)
            server.set_app(Broker(load(settings)))
            stack.enter_context(served(server))
            return Caller(server.server_port, gateway.address)

        yield start


@pytest.fixture
def broker(serve, settings):
    return serve(settings)


@pytest.fixture
def serve_to(load, settings, gateway):
    """Starts a broker that finds these words in the environment of each request, as another server would put them."""
    with contextlib.ExitStack() as stack:

        def start(**environ):
            made = Broker(load(settings))
            server = Server(("127.0.0.1", 0), Handler)
            server.set_app(lambda given, start_response: made({**given, **environ}, start_response))
            stack.enter_context(served(server))
            return Caller(server.server_port, gateway.address)

        yield start


def as_toml(table, path=()):
    """Enough of TOML for our settings."""
    flat = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"[{'.'.join(json.dumps(part) for part in path)}]"] if path else []
    lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in flat.items()]
    for key, value in table.items():
        if isinstance(value, dict):
            lines.append(as_toml(value, (*path, key)))
    return "\n".join(lines) + "\n"
