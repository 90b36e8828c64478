"""Servers that have seen enough before they have it all, and hang up: what they said still counts, over TLS too."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest

from rucio_cs3 import errors
from rucio_cs3.config import Config
from rucio_cs3.cs3.files import Endpoint
from rucio_cs3.transfer.http import DataServers
from tests.unit.credentials.given import given

ENOUGH = 256 << 10  # bytes; Go's servers read no more of a body that they do not want
SIZE = 16 << 20


@pytest.fixture(params=["http", "https"])
def refusing(request, pki):
    """Puts a file to a server that reads a part of it, answers, and hangs up: politely, or as one that died."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "localhost.pem", pki / "localhost.key")
    secure = request.param == "https"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(answer, polite):
            raw = listener.accept()[0]
            with context.wrap_socket(raw, server_side=True) if secure else raw as connection:
                with connection.makefile("rb", buffering=0) as body:
                    read = 0
                    while read < ENOUGH:
                        read += len(body.read(ENOUGH))
                connection.sendall(answer)
                if polite:
                    socket.socket.shutdown(connection, socket.SHUT_WR)
                    hung_up.wait(0.3)  # as Go does, which then closes

        def put(answer, *, polite):
            peer = threading.Thread(target=serve, args=(answer, polite))
            peer.start()
            config = Config("h:1", tls=secure, ca=str(pki / "ca.pem") if secure else None, stall_timeout=5)
            servers = DataServers(config, given("t"))
            address = f"{request.param}://127.0.0.1:{listener.getsockname()[1]}/f"
            try:
                servers.put(
                    Endpoint("simple", address, ""), (bytes(1 << 20) for _ in range(SIZE >> 20)), SIZE, path="/f"
                )
            finally:
                hung_up.set()
                servers.close()
                peer.join()

        hung_up = threading.Event()
        yield put


@pytest.mark.parametrize("polite", [True, False])
@pytest.mark.parametrize(
    ("code", "kind"), [(403, errors.PermissionDenied), (423, errors.Locked), (507, errors.StorageFull)]
)
def test_a_refusal_in_the_middle_is_heard(refusing, code, kind, polite):
    answer = f"HTTP/1.1 {code} No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!"
    with pytest.raises(kind, match=rf"/f: no! \[HTTP {code}\]"):
        refusing(answer.encode(), polite=polite)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1."])
def test_who_says_nothing_has_broken_off(refusing, answer):
    with pytest.raises(errors.Interrupted, match=r"the connection to data server .* broke"):
        refusing(answer, polite=False)
