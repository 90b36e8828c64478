"""What goes wrong with an HTTP connection is told alike, whoever is asked."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from rucio_cs3.config import Config
from rucio_cs3.credentials.ask import Services
from rucio_cs3.cs3.files import Endpoint
from rucio_cs3.errors import DeadlineExceeded, Interrupted, Unavailable
from rucio_cs3.transfer.http import DataServers
from tests.unit.credentials.given import given

QUICK = {"call_timeout": 0.3, "stall_timeout": 0.3}


@contextlib.contextmanager
def peer(answer):
    """A port where `answer` is done with each connection, once it has asked something."""
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as open_:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection = open_.enter_context(listening.accept()[0])
                    connection.recv(65_536)
                    answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def hang_up(connection):
    connection.shutdown(socket.SHUT_RDWR)


def stay_silent(connection):
    pass


def say_no(connection):
    connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.shutdown(socket.SHUT_RDWR)


def ask_service(url, **settings):
    with contextlib.closing(Services(Config("h:1", tls=False, **settings))) as services:
        services.get(url, "WHO")


def ask_data_server(url, **settings):
    servers = DataServers(Config("h:1", tls=False, **settings), given("t"))
    with contextlib.closing(servers), servers.get(Endpoint("simple", url, "t"), path="/f"):
        pass


SPEAKERS = {"WHO": (ask_service, "call_timeout"), "data server URL": (ask_data_server, "stall_timeout")}
CASES = {
    "it hangs up": (hang_up, "http", Interrupted, "the connection to WHO broke"),
    "it is silent": (stay_silent, "http", DeadlineExceeded, "WHO went silent; try again, or raise TIMEOUT"),
    "it speaks no TLS": (say_no, "https", Unavailable, "TLS with WHO failed: "),
    "nobody listens": (None, "http", Unavailable, "WHO cannot be reached; check its address and whether it is up"),
}


def told(speaker, url, kind):
    ask, timeout = SPEAKERS[speaker]
    with pytest.raises(kind) as caught:
        ask(url, **(QUICK if kind is DeadlineExceeded else {}))
    said = str(caught.value).removeprefix("/f: ")
    return said.replace(speaker.replace("URL", url), "WHO").replace(timeout, "TIMEOUT")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_peer_that_fails(speaker, case):
    answer, scheme, kind, words = CASES[case]
    with peer(answer or hang_up) as address:
        if answer:
            assert told(speaker, f"{scheme}://{address}", kind).startswith(words)
    if not answer:
        assert told(speaker, f"{scheme}://{address}", kind) == words


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_proxy_that_refuses(speaker, monkeypatch):
    with peer(say_no) as address:
        monkeypatch.setenv("https_proxy", f"http://{address}")
        monkeypatch.delenv("no_proxy", raising=False)
        said = told(speaker, "https://far.example.org", Unavailable)
    assert said.startswith("the proxy on the way to WHO refuses: ")
    assert "403" in said
    assert said.endswith("or name the site in no_proxy")


def test_a_proxy_that_refuses_is_hung_up_on(monkeypatch):
    """At once, and not when the garbage collector comes."""
    gone = threading.Event()

    def say_no_and_wait(connection):
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        if not connection.recv(1):
            gone.set()

    with peer(say_no_and_wait) as address:
        monkeypatch.setenv("https_proxy", f"http://{address}")
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(Unavailable) as caught:
            ask_data_server("https://far.example.org")
        assert gone.wait(30), caught
