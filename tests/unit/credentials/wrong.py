"""OpenID Connect providers that answer as no real one can be made to."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Wrong(ThreadingHTTPServer):
    """With something the matter: `answers` maps the end of a path to status, content and pause, or a list of these."""

    daemon_threads = True

    def __init__(self, answers):
        self.over = threading.Event()
        self.seen = []
        wrong = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                self.do_GET()

            def do_GET(self):
                length = int(self.headers.get("Content-Length") or 0)
                wrong.seen.append((self.path, dict(self.headers), self.rfile.read(length).decode()))
                said = answers[self.path.rpartition("/")[2]]
                status, content, pause = said.pop(0) if isinstance(said, list) else said
                wrong.over.wait(pause)
                content = content.replace("ME", wrong.url).replace("BODY", wrong.seen[-1][2])
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Location", f"{wrong.url}/token")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content.encode())

        super().__init__(("127.0.0.1", 0), Handler)
        self.handle_error = lambda *_: None  # a client that hangs up is what some tests are about
        self.url = f"http://127.0.0.1:{self.server_port}"


KNOWN = (200, '{"issuer": "ME", "token_endpoint": "ME/token", "device_authorization_endpoint": "ME/device"}', 0)
