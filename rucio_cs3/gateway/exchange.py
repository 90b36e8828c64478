"""HTTP/1.1 as the data server needs it: bodies in blocks, connections that can break at any byte."""

from __future__ import annotations

import re
import select
import socket
import struct
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, BinaryIO

from rucio_cs3.gateway.ranges import Range
from rucio_cs3.gateway.streams import BodyCut, Dropped, disturb, told_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rucio_cs3.gateway.faults import Struck

BLOCK = 1 << 20
DRAIN = 256 << 10  # unread body that is worth reading to keep the connection
LINE = 1024
NO_LINGER = struct.pack("ii", 1, 0)
CHUNK_SIZE = re.compile(rb"\s*([0-9a-fA-F]+)\s*(?:;.*)?\r?\n")


class Answered(Exception):
    """The request is done with: this is the answer."""

    def __init__(self, code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        super().__init__(code)
        self.code = code
        self.headers = headers
        self.body = body


class Exchange(BaseHTTPRequestHandler):
    """One connection. What is asked is answered once, by `answer` or `send_file`."""

    protocol_version = "HTTP/1.1"
    server_version = "rucio-cs3-gateway"
    sys_version = ""
    disable_nagle_algorithm = True
    unread: int | None  # bytes of the body still to come; None when it comes in chunks
    expects_continue: bool
    always: dict[str, str]  # headers of the answer, whatever it will be

    def log_message(self, *_: Any) -> None:
        """Say nothing: the gateway has its own log of calls."""

    def handle_expect_100(self) -> bool:
        """Not yet: who is not let in shall not send the body first."""
        return True

    def begin(self) -> None:
        """Note what comes with the request, before anything is done about it."""
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        told = self.headers.get("Content-Length", "0")
        self.unread = None if chunked else int(told) if told.isdigit() else 0
        self.expects_continue = self.headers.get("Expect", "").lower() == "100-continue"
        self.always = {}

    @property
    def length(self) -> int | None:
        """Of the body, as told; None when it comes in chunks."""
        return self.unread

    def blocks(self, struck: Struck) -> Iterator[bytes]:
        """The body as it comes, as the faults leave it. Raises BodyCut when the sender goes away too early."""
        if self.expects_continue:
            self.send_response_only(100)
            self.end_headers()
            self.expects_continue = False
        body = self._chunks() if self.unread is None else self._counted()
        return self._unless_reset(disturb(body, struck))

    def answer(self, code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self._drain()
        self.send_response(code)
        for name, value in {**self.always, **(headers or {})}.items():
            self.send_header(name, value)
        if code != 204:  # noqa: PLR2004 - No Content has no length either
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin_saying(self, code: int, headers: dict[str, str]) -> None:
        """Begin an answer that comes bit by bit, by `say`."""
        self._drain()
        self.send_response(code)
        for name, value in {**self.always, **headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def say(self, bit: bytes, *, last: bool = False) -> None:
        if bit or last:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(bit), bit))

    def polled(self, events: int) -> bool:
        """Whether any of these has come over the connection."""
        poll = select.poll()
        poll.register(self.connection, events)
        return bool(poll.poll(0))

    def send_file(
        self,
        file: BinaryIO,
        size: int,
        headers: dict[str, str],
        struck: Struck,
        *,
        code: int = 200,
        parts: Iterable[bytes | Range] | None = None,
    ) -> None:
        """`size` bytes, or fewer and a broken connection when the file has fewer; of the whole file, or `parts`."""
        self.send_response(code)
        for name, value in {**self.always, **headers}.items():
            self.send_header(name, value)
        told = told_length(size, struck)
        self.send_header("Content-Length", str(told))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.flush()
        sent = self._copy(file, parts if parts is not None else [Range(0, size)], struck)
        if sent != told:
            raise Dropped(reset=False)

    def drop(self, *, reset: bool) -> None:
        """End the connection here and now."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def _copy(self, file: BinaryIO, parts: Iterable[bytes | Range], struck: Struck) -> int:
        sent = 0
        if list(struck):
            for block in disturb(_blocks_of(file, parts), struck):
                self.connection.sendall(block)
                sent += len(block)
            return sent
        for part in parts:
            if isinstance(part, bytes):
                self.connection.sendall(part)
                sent += len(part)
            elif part.length:
                sent += self.connection.sendfile(file, part.start, part.length)
        return sent

    def _unless_reset(self, blocks: Iterator[Any]) -> Iterator[Any]:
        """Who comes back from a stall to a connection that was reset finds nothing there any more."""
        for block in blocks:
            if self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise BodyCut
            yield block

    def _counted(self) -> Iterator[bytes]:
        assert self.unread is not None
        while self.unread:
            block = self._some(self.unread)
            self.unread -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while True:
            header = CHUNK_SIZE.fullmatch(self.rfile.readline(LINE))
            if not header:
                raise BodyCut
            left = int(header[1], 16)
            if not left:
                break
            while left:
                block = self._some(left)
                left -= len(block)
                yield block
            self.rfile.readline(LINE)
        while self.rfile.readline(LINE) not in (b"\r\n", b"\n", b""):  # trailers
            pass
        self.unread = 0

    def _some(self, wanted: int) -> bytes:
        """What is there, up to a block: not waiting for more lets others see a file grow."""
        try:
            block = self.rfile.read1(min(wanted, BLOCK))
        except ConnectionError as error:
            raise BodyCut from error
        if not block:
            raise BodyCut
        return bytes(block)

    def _drain(self) -> None:
        """Read what little is left of the body, so that the connection can go on; else give it up."""
        if self.expects_continue or self.unread is None or self.unread > DRAIN:
            self.close_connection = bool(self.expects_continue or self.unread is None or self.unread)
            return
        try:
            for _ in self._counted():
                pass
        except BodyCut:
            self.close_connection = True


def _blocks_of(file: BinaryIO, parts: Iterable[bytes | Range]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        file.seek(part.start)
        left = part.length
        while left > 0:
            block = file.read(min(left, BLOCK))
            if not block:
                return
            left -= len(block)
            yield block
