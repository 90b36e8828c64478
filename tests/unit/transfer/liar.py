"""A data server that serves ranges, and lies as told: what no real one is asked to do."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import struct
import threading
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rucio_cs3.config import Config
from rucio_cs3.cs3.files import Endpoint
from rucio_cs3.model import Info, ResourceId
from rucio_cs3.transfer.download import Downloads
from rucio_cs3.transfer.http import DataServers
from tests.unit.credentials.given import given

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

MIB = 1 << 20
HANDSHAKE = 30  # seconds
REASON = {200: "OK", 206: "Partial Content", 412: "Precondition Failed", 416: "Range Not Satisfiable"}


@dataclass
class Reply:
    """`sent` bytes of the body go out, all by default, and then the `end` comes."""

    status: int
    headers: dict
    body: bytes
    sent: int | None = None
    end: str = "keep"  # or: close, reset, stall

    def but(self, status=None, end=None, sent=None, body=None, **headers):
        """Headers are written as keywords; None takes one away."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in {**self.headers, **named}.items() if value is not None}
        changes = {"status": status, "end": end, "sent": sent, "body": body}
        return dataclasses.replace(self, headers=kept, **{k: v for k, v in changes.items() if v is not None})


@dataclass
class Request:
    start: int | None
    end: int | None
    headers: dict = field(repr=False)


class Liar:
    """Each request takes the next of `lies`, a function from the honest reply to another; then it is honest.

    With `tls`, a context of the ssl module, it speaks HTTPS.
    """

    def __init__(self, content: bytes, etag='"1"', tls: ssl.SSLContext | None = None) -> None:
        self.content = content
        self.etag = etag
        self.always: Callable[[Reply], Reply] = lambda reply: reply
        self.lies: list = []
        self.delay = 0.0  # seconds that every answer is under way
        self.requests: list[Request] = []
        self.busiest = 0
        self._busy = 0
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.tls = tls
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}/data"
        self._connections: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def starts(self) -> list:
        """Where the ranges began that were asked for; None for a whole file."""
        return [request.start for request in self.requests]

    def stop(self) -> None:
        self._released.set()
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection = self._secured(connection)
            with connection, connection.makefile("rb") as lines:
                while request := _read(lines):
                    if not self._answer(connection, request):
                        return
        except OSError:
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _secured(self, plain: socket.socket) -> socket.socket:
        """Wrapped it is another one, to be known in place of the first."""
        if self.tls is None:
            return plain
        plain.settimeout(HANDSHAKE)
        secured = self.tls.wrap_socket(plain, server_side=True)
        secured.settimeout(None)
        with self._lock:
            self._connections.discard(plain)
            self._connections.add(secured)
        return secured

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        with self._lock:
            self.requests.append(request)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            lie = self.lies.pop(0) if self.lies else self.always
        reply = lie(self._honest(request))
        try:
            if self.delay:
                self._released.wait(self.delay)
            head = f"HTTP/1.1 {reply.status} {REASON.get(reply.status, 'Odd')}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
            connection.sendall(head.encode() + b"\r\n")
            connection.sendall(memoryview(reply.body)[: reply.sent])
        finally:
            with self._lock:
                self._busy -= 1
        if reply.end == "stall":
            self._released.wait()
        if reply.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return reply.end == "keep"

    def _honest(self, request: Request) -> Reply:
        size = len(self.content)
        if request.start is None:
            return Reply(200, {"Content-Length": size, "ETag": self.etag}, self.content)
        if request.start >= size:
            return Reply(416, {"Content-Length": 0, "Content-Range": f"bytes */{size}"}, b"")
        body = self.content[request.start : size if request.end is None else request.end]
        shown = f"bytes {request.start}-{request.start + len(body) - 1}/{size}"
        return Reply(206, {"Content-Length": len(body), "ETag": self.etag, "Content-Range": shown}, body)


def _read(lines) -> Request | None:
    head = []
    while line := lines.readline().strip():
        head.append(line.decode())
    if not head:
        return None
    headers = dict(line.split(": ", 1) for line in head[1:])
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("Range", ""))
    if not wanted:
        return Request(None, None, headers)
    return Request(int(wanted[1]), int(wanted[2]) + 1 if wanted[2] else None, headers)


class Site:
    """Stands for the gateway, which says what the file is and where, and for the client that holds the parts."""

    def __init__(self, liar: Liar, **settings) -> None:
        self.liar = liar
        self.info = described(liar.content)
        self.stats = 0
        tokens = given("t")
        config = Config("h:1", **{"tls": False, "stall_timeout": 5.0, **settings})
        self.servers = DataServers(config, tokens)
        self.downloads = Downloads(config, self, self.servers, tokens)

    def stat(self, ref):
        self.stats += 1
        return self.info

    def initiate_download(self, ref):
        return [Endpoint("simple", self.liar.url, "")]

    def replace(self, content: bytes, number: int) -> None:
        """Somebody overwrites the file."""
        self.liar.content, self.liar.etag = content, f'"{number}"'
        self.info = described(content, number)


def described(content: bytes, number: int = 1, **checksums) -> Info:
    checksums = checksums or {"adler32": f"{zlib.adler32(content):08x}"}
    return Info("f", "/f", ResourceId("s", "o"), "file", len(content), float(number), f"e{number}", checksums=checksums)


# Lies


def cut(after, end="close"):
    return lambda reply: reply.but(sent=after, end=end)


def says(status, **headers):
    """Another status, and no body."""
    return lambda reply: Reply(status, {"Content-Length": 0}, b"").but(**headers)


def refuses_ranges(reply):
    """As the v3 line of Reva does, which says in the same breath that it serves them."""
    if reply.status == 200:
        return reply
    return Reply(416, {"Content-Length": 0, "Accept-Ranges": "bytes"}, b"")
