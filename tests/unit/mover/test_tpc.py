"""What doors say of a third-party copy, and what becomes of the file: a door that lies in front of a real gateway."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rucio_cs3.client import Cs3Client
from rucio_cs3.gateway import Gateway
from rucio_cs3.mover import tpc
from rucio_cs3.mover.copy import Copier
from rucio_cs3.mover.model import Place, Side, Wanted
from rucio_cs3.mover.sites import Sites

CONTENT = os.urandom((1 << 20) + 5)
LOGIN = {"tls": False, "username": "einstein", "password": "relativity", "cache": "off"}
MARKER = "Perf Marker\n Timestamp: 1\n Stripe Bytes Transferred: {}\n Strip Index: 0\n Total Stripe Count: 1\nEnd\n"


class Door:
    """Answers COPY as it is told to, and can put something where the file should be, by `writes`."""

    def __init__(self, status=202, pieces=(), writes=None):
        self.status, self.pieces, self.writes = status, pieces, writes
        self.asked = []
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Answer, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, door, *args):
        self.door = door
        super().__init__(*args)

    def do_COPY(self):
        self.door.asked.append((self.path, dict(self.headers)))
        if self.door.writes:
            self.door.writes(self.path)
        self.send_response(self.door.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            for piece in self.door.pieces:
                if piece is None:
                    self.door.over.wait()
                    continue
                data = piece.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def gateways(tmp_path):
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("near", "far"):
            (tmp_path / name).mkdir()
            found.append(stack.enter_context(Gateway(tmp_path / name)))
        yield found


@pytest.fixture
def clients(gateways):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Cs3Client(gateway=one.address, **LOGIN)) for one in gateways]


@pytest.fixture
def copy(gateways, clients):
    """Copies /f at the near site to /g at the far one, whose door is the given one."""
    with contextlib.ExitStack() as stack:

        def run(door, **settings):
            stack.callback(door.stop)
            doors = [gateways[0].webdav_url, door.url]
            tables = {
                name: {**LOGIN, "gateway": one.address, "doors": [url], "cs3_root": "/", "tpc": "lend", **settings}
                for name, one, url in zip(("NEAR", "FAR"), gateways, doors)
            }
            copier = Copier(stack.enter_context(Sites.of(tables)))
            told = []
            adler = clients[0].upload(io.BytesIO(CONTENT), "/f", overwrite=True).checksums["adler32"]
            wanted = Wanted((Place(f"{doors[0]}/f"),), Place(f"{door.url}/g"), checksum=f"adler32:{adler}")
            return copier.copy(wanted, told.append), told

        yield run


@pytest.fixture
def put(clients):
    """Writes at the far site what the door is said to have copied."""
    return lambda content: lambda path: clients[1].upload(io.BytesIO(content), path)


def right(clients):
    with clients[1].open_read("/g") as file:
        assert file.read() == CONTENT
    assert [entry.name for entry in clients[1].files.list("/")] == ["g"]


def test_a_door_that_does_it(copy, clients, put):
    pieces = [MARKER.format(1000), MARKER.format(1 << 20)[:20], MARKER.format(1 << 20)[20:], "success: Created"]
    door = Door(201, pieces, put(CONTENT))
    done, told = copy(door)
    assert (done.how, told) == ("pull", [1000, 1 << 20])
    [(path, headers)] = door.asked
    assert headers["Source"].endswith("/remote.php/webdav/f")
    assert (headers["Overwrite"], headers["Credential"]) == ("F", "none")
    assert headers["X-Access-Token"]
    assert headers["TransferHeaderAuthorization"].startswith("Bearer ey")
    assert path.startswith("/.rucio-cs3-")
    right(clients)


FALSE = {
    "refused": (403, ["no"], None),
    "not there": (404, [], None),
    "redirected": (307, [], None),
    "broken": (500, ["failure"], None),
    "failure": (202, [MARKER.format(5), "failure: rejected GET: 404"], None),
    "no last line": (202, [MARKER.format(5)], None),
    "nothing said": (202, [], None),
    "a count that is none": (202, [MARKER.format("²")], None),
    "a count without end": (202, [MARKER.format("9" * 5000)], None),
    "nonsense": (202, ["\0\xff" * 5000], None),
    "nothing written": (202, ["success: Created"], None),
    "empty": (202, ["success: Created"], b""),
    "half": (202, ["success: Created"], CONTENT[:300_000]),
    "wrong byte": (202, ["success: Created"], b"x" + CONTENT[1:]),
    "right, and said to fail": (202, ["failure: of something else"], CONTENT),
}


@pytest.mark.parametrize("case", FALSE)
def test_what_is_said_is_not_believed(copy, clients, put, case):
    status, pieces, content = FALSE[case]
    done, told = copy(Door(status, pieces, None if content is None else put(content)))
    assert (done.how, told[-1]) == ("streamed", len(CONTENT))
    right(clients)


@pytest.mark.parametrize("pieces", [[None], [MARKER.format(5), None]], ids=["silent", "silent after a marker"])
def test_a_door_that_says_nothing_more(copy, clients, pieces):
    done, _ = copy(Door(202, pieces), stall_timeout=2.0)
    assert done.how == "streamed"
    right(clients)


def endless(piece):
    yield MARKER.format(5)
    while True:
        threading.Event().wait(0.05)
        yield piece


@pytest.mark.parametrize("piece", [MARKER.format(5), "Perf Marker\nEnd\n", "\n", "."])
def test_a_door_that_gets_no_further(copy, clients, piece):
    done, told = copy(Door(202, endless(piece)), stall_timeout=2.0)
    assert done.how == "streamed"
    assert told[0] == 5
    right(clients)


def test_what_a_door_repeats_of_a_token_is_not_logged(copy, clients, caplog):
    caplog.set_level(logging.DEBUG)
    door = Door(202, ["failure: "])
    door.pieces = (f"failure: {door.asked[0][1]['TransferHeaderAuthorization']}" for _ in range(1))
    copy(door)
    token = door.asked[0][1]["TransferHeaderAuthorization"].removeprefix("Bearer ")
    assert "failure: Bearer (hidden)" in caplog.text
    assert token not in caplog.text
    assert door.asked[0][1]["X-Access-Token"] not in caplog.text


def test_a_pair_that_failed_is_asked_again_after_a_while(copy, gateways, monkeypatch):
    ways, end = tpc.Ways(), _end(gateways)
    assert list(ways.between(end, end)) == ["pull", "push"]
    assert list(ways.between(end, end)) == []  # one is finding out
    ways.failed("pull", end, end)
    ways.worked("push", end, end)
    assert list(ways.between(end, end)) == ["push"]
    monkeypatch.setattr(tpc, "AGAIN_AFTER", 0.0)
    ways.failed("pull", end, end)
    ways.failed("push", end, end)
    assert list(ways.between(end, end)) == ["pull", "push"]


def _end(gateways):
    table = {**LOGIN, "gateway": gateways[0].address, "doors": [gateways[0].webdav_url], "cs3_root": "/"}
    place = Place(f"{gateways[0].webdav_url}/f", "token")
    with Sites.of({"HERE": table}) as sites, sites.open(Side.SOURCE, place) as end:
        return end
