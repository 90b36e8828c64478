"""File objects on a data server that honours ranges, which no behaviour of the embedded gateway does yet."""

from __future__ import annotations

import contextlib
import random
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rucio_cs3.config import Config
from rucio_cs3.cs3.files import Endpoint
from rucio_cs3.errors import Interrupted
from rucio_cs3.model import Info, Ref, ResourceId
from rucio_cs3.transfer.http import DataServers
from rucio_cs3.transfer.stream import BUFFER, RemoteFile
from tests.unit.credentials.given import given as given_token

CONTENT = random.Random(1).randbytes(3 * BUFFER + 17)


class RangeServer(ThreadingHTTPServer):
    """Serves CONTENT, whole or from an offset on."""

    daemon_threads = True
    etag = '"1"'

    def __init__(self):
        self.ranges = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/data"

    def handle_error(self, request, client_address):
        """A reader that has seen enough hangs up."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        self.server.ranges.append(start)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(CONTENT[start:])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = RangeServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Endpoints:
    """Stands for the gateway, which says where the file is."""

    def __init__(self, url):
        self.url = url

    def endpoint(self, ref):
        return Endpoint("simple", self.url, "")


@contextlib.contextmanager
def opened(server):
    info = Info("f", "/f", ResourceId("s", "o"), "file", len(CONTENT), 0.0, "")
    servers = DataServers(Config("h:1", tls=False), given_token("t"))
    with RemoteFile(Ref("/f"), info, Endpoints(server.url), servers) as file:
        yield file
    servers.close()


def read(file, size):
    buffer = bytearray(size)
    return bytes(buffer[: file.readinto(buffer)])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) + 5), st.integers(0, 2 * BUFFER)), max_size=5))
def test_any_offset_gives_the_bytes_there(server, steps):
    with opened(server) as file:
        for offset, size in steps:
            file.seek(offset)
            found = read(file, size)
            assert found == CONTENT[offset : offset + len(found)]
            assert found or size == 0 or offset >= len(CONTENT)


def test_a_far_seek_asks_for_a_range_and_a_near_one_reads_on(server):
    server.ranges.clear()
    with opened(server) as file:
        assert read(file, 10) == CONTENT[:10]
        file.seek(1000)
        assert read(file, 10) == CONTENT[1000:1010]
        file.seek(2 * BUFFER + 5)
        assert read(file, 10) == CONTENT[2 * BUFFER + 5 :][:10]
    assert server.ranges == [0, 2 * BUFFER + 5]


def test_ranges_of_two_versions_do_not_make_a_file(server, monkeypatch):
    with opened(server) as file:
        read(file, 10)
        monkeypatch.setattr(server, "etag", '"2"')
        file.seek(2 * BUFFER)
        with pytest.raises(Interrupted, match="was replaced"):
            read(file, 10)


def test_nothing_is_asked_for_beyond_the_end(server):
    server.ranges.clear()
    with opened(server) as file:
        file.seek(len(CONTENT))
        assert read(file, 10) == b""
    assert server.ranges == []
