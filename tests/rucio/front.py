"""What stands in front of Rucio: TLS, as operators put it there, or somebody who refuses some of what is asked."""

from __future__ import annotations

import json
import ssl
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from demo.process import Resource

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 30
OF_ONE_CONNECTION = {"connection", "transfer-encoding"}


class TlsFront(Resource):
    """Passes on every GET that comes to `url`."""

    def __init__(self, backend: str, cert: Path, key: Path) -> None:
        super().__init__()
        self.backend, self.cert, self.key = backend, cert, key

    def start(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        handler = type("Handler", (Passing,), {"backend": self.backend})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.cleanup.callback(server.server_close)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.cleanup.callback(server.shutdown)


class RefusingFront(Resource):
    """Passes on all that comes to `url`, but for these paths."""

    def __init__(self, backend: str, *refused: str) -> None:
        super().__init__()
        self.backend, self.refused = backend, refused

    def start(self) -> None:
        handler = type("Handler", (Passing,), {"backend": self.backend, "refused": self.refused})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.cleanup.callback(server.server_close)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.cleanup.callback(server.shutdown)


class Passing(BaseHTTPRequestHandler):
    backend: str
    refused: tuple[str, ...] = ()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path in self.refused:
            self._refuse()
            return
        connection = HTTPConnection(self.backend.rpartition("/")[2], timeout=SECONDS)
        connection.request(self.command, self.path, body, headers=dict(self.headers))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in OF_ONE_CONNECTION:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET  # noqa: N815 - the names are http.server's

    def _refuse(self) -> None:
        """As Rucio does."""
        told = {"ExceptionClass": "AccessDenied", "ExceptionMessage": "not for you"}
        body = json.dumps(told).encode()
        self.send_response_only(401)
        for name, value in {**told, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
