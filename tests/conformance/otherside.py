"""The other side of a third-party copy, as bad as it has to be."""

from __future__ import annotations

import functools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = bytes(64 << 10)
TOLD, SENT = 1_000_000, 300_000
PACE = 0.05  # seconds between the blocks of what is endless


class OtherSide:
    """Serves until stopped. `/short` breaks off, `/endless` goes on until `enough` is set, `/<code>` is answered by it.

    `asked` has the requests: method, path, headers, and the bytes that came.
    """

    def __init__(self):
        self.asked = []
        self.enough, self.given_up = threading.Event(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.enough.set()
        self.server.shutdown()
        self.server.server_close()


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, side, *args):
        self.side = side
        super().__init__(*args)

    def do_GET(self):
        self.side.asked.append((self.command, self.path, dict(self.headers), 0))
        {"/short": self.short, "/endless": self.endless}.get(self.path, self.code)()

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.side.asked.append((self.command, self.path, dict(self.headers), len(body)))
        self.code()

    def code(self):
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def short(self):
        self.send_response(200)
        self.send_header("Content-Length", str(TOLD))
        self.end_headers()
        self.wfile.write(b"s" * SENT)
        self.close_connection = True

    def endless(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while not self.side.enough.wait(PACE):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.side.given_up.set()
            self.close_connection = True

    def log_message(self, *_):
        pass
