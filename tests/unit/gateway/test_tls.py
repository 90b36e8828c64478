from __future__ import annotations

import contextlib
import socket

import grpc
import pytest
import trustme
import urllib3

from rucio_cs3.gateway import CannotServe, Gateway, Tls
from tests.conformance.wire import Wire


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, a server's certificate and a client's."""
    folder = tmp_path_factory.mktemp("pki")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    for name, certificate in (("server", ca.issue_cert("127.0.0.1")), ("client", ca.issue_cert("client.example.org"))):
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
    return folder


@pytest.fixture
def serve(tmp_path, pki):
    with contextlib.ExitStack() as stack:

        def start(client_ca=None, pair=(None, None)):
            tls = Tls(pki / "server.pem", pki / "server.key", client_ca)
            gateway = stack.enter_context(Gateway(tmp_path, tls=tls))
            wire = Wire(gateway.address, ca=str(pki / "ca.pem"), pair=pair)
            stack.callback(wire.close)
            return gateway, wire

        yield start


def test_both_doors_speak_tls(serve):
    gateway, wire = serve()
    assert gateway.data_url.startswith("https://")
    assert wire.login().put("/f", bytes(3_000_000)) == 200
    assert wire.content("/f") == bytes(3_000_000)


def test_neither_speaks_plaintext(serve):
    gateway, _ = serve()
    plain = Wire(gateway.address)
    assert plain.code("Authenticate") == "grpc:UNAVAILABLE"
    with pytest.raises(urllib3.exceptions.HTTPError):
        plain.http.request("GET", gateway.data_url.replace("https", "http"))
    plain.close()


def test_client_certificates(serve, pki):
    gateway, wire = serve(client_ca=pki / "ca.pem", pair=(str(pki / "client.pem"), str(pki / "client.key")))
    assert wire.login().put("/f", b"content") == 200
    without = Wire(gateway.address, ca=str(pki / "ca.pem"))
    assert without.code("Authenticate") == "grpc:UNAVAILABLE"
    with pytest.raises(urllib3.exceptions.HTTPError):
        without.http.request("GET", gateway.data_url)
    without.close()


def test_a_client_that_says_nothing_keeps_nobody_waiting(serve):
    gateway, wire = serve()
    port = int(gateway.data_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert wire.login().put("/f", b"content") == 200


@pytest.mark.parametrize("broken", ["cert", "key", "client_ca"])
def test_a_certificate_that_is_none(tmp_path, pki, broken):
    (tmp_path / "garbage").write_text("garbage")
    files = {"cert": pki / "server.pem", "key": pki / "server.key", "client_ca": pki / "ca.pem"}
    with pytest.raises(CannotServe, match="not a certificate with its key"):
        Gateway(tmp_path, tls=Tls(**{**files, broken: tmp_path / "garbage"}))


def test_the_other_ca_is_not_trusted(serve, tmp_path):
    gateway, _ = serve()
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    wire = Wire(gateway.address, ca=str(tmp_path / "other.pem"))
    with pytest.raises(grpc.RpcError):
        wire.call("Authenticate")
    wire.close()
