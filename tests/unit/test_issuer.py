from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rucio_cs3.service.issuer import fetched

TOKEN = {"Authorization": "Bearer secret"}


@contextlib.contextmanager
def serving(status, **headers):
    """Its address, and the requests that came."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps({"sub": "einstein"}).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", seen
        finally:
            server.shutdown()


def test_an_issuer_is_shown_the_token():
    with serving(200) as (url, seen):
        assert fetched(url, TOKEN) == {"sub": "einstein"}
        assert [headers["Authorization"] for headers in seen] == ["Bearer secret"]


def test_an_answer_that_is_an_error_is_closed():
    with serving(500) as (url, _), pytest.raises(urllib.error.HTTPError) as caught:
        fetched(url)
    assert caught.value.fp.isclosed()


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_a_token_does_not_follow_a_redirect(status):
    with serving(200) as (elsewhere, seen), serving(status, Location=elsewhere) as (url, _):
        with pytest.raises(urllib.error.HTTPError, match=str(status)):
            fetched(url, TOKEN)
        assert seen == []
