"""Answers that the embedded gateway never gives: by a server that says whatever it is told to say."""

from __future__ import annotations

import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rucio_cs3 import errors
from rucio_cs3.config import Config
from rucio_cs3.cs3.files import Endpoint
from rucio_cs3.transfer.http import DataServers, expect
from rucio_cs3.transfer.tus import Tus
from tests.unit.credentials.given import given

SIZE = 10
SECRET = "the-session-s-secret"


class Saying(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer = 200, {}, b""

    def _serve(self):
        code, headers, body = type(self).answer
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(code)
        length = {} if "Transfer-Encoding" in headers else {"Content-Length": str(len(body))}
        for name, value in {**length, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

    def log_message(self, *_):
        pass


@pytest.fixture
def says():
    """Tells a server what to say, and gives the tus session there."""
    handler = type("Handler", (Saying,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    servers = DataServers(Config("127.0.0.1:1", tls=False, stall_timeout=5), given("t"))
    endpoint = Endpoint("tus", f"http://127.0.0.1:{server.server_port}/{SECRET}", "")

    def say(code, headers=None, body=b""):
        handler.answer = code, headers or {}, body
        return Tus(servers, endpoint, SIZE, "/f")

    say.endpoint, say.servers = endpoint, servers
    yield say
    servers.close()
    server.shutdown()
    server.server_close()


def at(offset, length=SIZE):
    return {"Upload-Offset": str(offset), "Upload-Length": str(length)}


def test_an_offset(says):
    assert says(200, at(3)).offset() == 3
    assert says(200, {"Upload-Offset": "3"}).offset() == 3


@pytest.mark.parametrize(
    "headers", [{}, at(""), at("x"), at(-1), at(SIZE + 1), at(0, SIZE + 1), at(0, SIZE - 1), at(0, "?")], ids=str
)
def test_an_offset_that_cannot_be_is_not_gone_on_from(says, headers):
    with pytest.raises(errors.SessionGone):
        says(200, headers).offset()


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_session_that_is_over(says, code):
    with pytest.raises(errors.SessionGone, match="the upload session is over"):
        says(code).offset()


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (200, b"", errors.Cs3Error),
        (409, b"", errors.Interrupted),
        (412, b"", errors.PreconditionFailed),
        (423, b"", errors.Interrupted),
        (419, b"", errors.ChecksumMismatch),
        (500, b"checksum mismatch", errors.ChecksumMismatch),
        (500, b"", errors.ServerError),
        (503, b"", errors.Unavailable),
        (507, b"", errors.StorageFull),
    ],
)
def test_only_204_is_success(says, code, body, kind):
    with pytest.raises(kind) as caught:
        says(code, None, body).patch(0, [b"0123456789"], SIZE)
    assert SECRET not in str(caught.value)


def test_an_answer_that_tells_another_offset(says):
    says(204, {"Upload-Offset": "10"}).patch(0, [b"0123456789"], SIZE)
    with pytest.raises(errors.Interrupted, match="is at 7 instead of 10"):
        says(204, {"Upload-Offset": "7"}).patch(0, [b"0123456789"], SIZE)


@pytest.mark.parametrize(
    ("told", "expires"),
    [
        ("1700000000", 1_700_000_000),
        (formatdate(1_700_000_000, usegmt=True), 1_700_000_000),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
    ],
)
def test_when_it_expires(says, told, expires):
    tus = says(200, {**at(3), "Upload-Expires": told})
    tus.offset()
    assert tus.expires == expires


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("7", 6.9, 7),
        (formatdate(4_000_000_000, usegmt=True), 1e9, 4e9),
        (formatdate(1, usegmt=True), 0, 0),
    ],
)
def test_a_wish_to_be_left_alone(says, told, least, most):
    says(503, {"Retry-After": told})
    with pytest.raises(errors.Unavailable) as caught:
        says.servers.put(says.endpoint, [b"x"], 1, path="/f")
    assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize("told", ["soon", "-1", "", "9" * 400])
def test_a_wish_that_makes_no_sense(says, told):
    says(503, {"Retry-After": told})
    with pytest.raises(errors.Unavailable) as caught:
        says.servers.put(says.endpoint, [b"x"], 1, path="/f")
    assert caught.value.retry_after is None


@pytest.mark.parametrize("promised", [{"Content-Length": "100"}, {"Transfer-Encoding": "chunked"}], ids=str)
@pytest.mark.parametrize(("code", "kind"), [(500, errors.ServerError), (507, errors.StorageFull)])
def test_a_reason_that_breaks_off(says, promised, code, kind):
    says(code, {**promised, "Connection": "close"}, b"20\r\nshort")
    with pytest.raises(kind, match=f"HTTP {code}"):
        says.servers.put(says.endpoint, [b"x"], 1, path="/f")
    with pytest.raises(kind, match=f"HTTP {code}"), says.servers.get(says.endpoint, path="/f") as response:
        expect(response, (200,), "/f")


def test_an_address_that_the_server_repeats(says):
    tus = says(400, None, f"nothing at /{SECRET}, or {SECRET}".encode())
    with pytest.raises(errors.InvalidRequest, match=r"nothing at …, or … \[") as caught:
        tus.patch(0, [b"0123456789"], SIZE)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("url", ["http://[x/data", "", "/data/x", "http://h:99999999/x", "http://", "ftp://h/x"])
def test_an_address_that_is_none(says, url):
    with pytest.raises(errors.Unsupported, match="sends us to a data server at an address that is none"):
        says.servers.put(Endpoint("simple", url, ""), [b"x"], 1, path="/f")


def test_nothing_shows_the_address(says):
    tus = says(200)
    assert SECRET not in repr(tus) + repr(tus.__dict__)
