"""The other side of a third-party copy, as bad as it has to be."""

from __future__ import annotations

import functools
import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = bytes(64 << 10)
TOLD, SENT = 1_000_000, 300_000
PACE = 0.02  # seconds between the blocks of what is endless
SOME = 100  # of them, after which a copy is well under way


class OtherSide:
    """Serves until stopped. `/short` breaks off, `/moved` leads to `/short`, and `/<code>` is answered by it.

    `/endless` goes on until `enough` is set, and so does what is slowly put there; it says when a copy is `under_way`,
    and when whoever asked has `given_up`.
    `asked` has the requests: method, path, headers, and the bytes that came.
    """

    def __init__(self):
        self.asked = []
        self.enough, self.under_way, self.given_up = (threading.Event() for _ in range(3))
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
        {"/short": self.short, "/endless": self.endless, "/moved": self.moved}.get(self.path, self.code)()

    def do_PUT(self):
        told = int(self.headers.get("Content-Length", 0))
        if self.path == "/endless":
            self.take_slowly(told)
            return
        body = self.rfile.read(told)
        self.side.asked.append((self.command, self.path, dict(self.headers), len(body)))
        self.code()

    def take_slowly(self, left):
        self.side.under_way.set()
        while left and not self.side.enough.wait(PACE):
            block = self.rfile.read1(min(left, len(BLOCK)))
            left -= len(block)
            if not block:
                self.side.given_up.set()
                break
        self.close_connection = True

    def moved(self):
        self.send_response(302)
        self.send_header("Location", "/short")
        self.send_header("Content-Length", "0")
        self.end_headers()

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
            for number in itertools.count():
                if self.side.enough.wait(PACE):
                    break
                if number == SOME:
                    self.side.under_way.set()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.side.given_up.set()
            self.close_connection = True

    def log_message(self, *_):
        pass
