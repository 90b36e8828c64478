"""Sites that cannot be reached or trusted: one clear error each, in bounded time, and no token where it must not go."""

from __future__ import annotations

import base64
import contextlib
import io
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from cs3.rpc.v1beta1 import code_pb2
from cs3.storage.provider.v1beta1 import provider_api_pb2 as provider

from rucio_cs3 import errors
from rucio_cs3.client import Cs3Client, shared
from rucio_cs3.config import Config
from rucio_cs3.cs3.channel import _name
from rucio_cs3.cs3.files import Endpoint
from rucio_cs3.errors import from_cs3
from rucio_cs3.gateway import Fault, Gateway, Tls
from rucio_cs3.transfer.http import DataServers, expect
from rucio_cs3.web import pool_classes

LOGIN = {"username": "einstein", "password": "relativity"}
QUICK = {"call_timeout": 0.5, "connect_timeout": 0.5, "stall_timeout": 0.5}


@pytest.fixture
def serve(tmp_path, pki):
    """Start a gateway with a certificate."""
    running = []

    def start(name="localhost", **options):
        tls = Tls(pki / f"{name}.pem", pki / f"{name}.key", options.pop("client_ca", None))
        running.append(Gateway(tmp_path, tls=tls, **options))
        return running[-1]

    yield start
    for gateway in running:
        gateway.stop()


@pytest.fixture
def plain(tmp_path):
    with Gateway(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def silent():
    """A port where somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def whoami(gateway, **settings):
    with Cs3Client(gateway=gateway, **{**LOGIN, **settings}) as client:
        return client.whoami().username


def refusal(gateway, kind, **settings):
    """The one line with which it fails."""
    with pytest.raises(kind) as caught:
        whoami(gateway, **settings)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "relativity" not in text
    return text


def test_tls_with_a_ca_works_for_calls_and_bytes(serve, pki):
    with Cs3Client(gateway=serve().address, ca=str(pki / "ca.pem"), **LOGIN) as client:
        client.upload(io.BytesIO(b"secret"), "/f")
        with client.open_read("/f") as file:
            assert file.read() == b"secret"


def test_a_client_certificate_is_shown_when_asked_for(serve, pki):
    gateway = serve(client_ca=pki / "ca.pem").address
    pair = {"client_cert": str(pki / "client.pem"), "client_key": str(pki / "client.key")}
    assert whoami(gateway, ca=str(pki / "ca.pem"), **pair) == "einstein"
    refusal(gateway, errors.Unavailable, ca=str(pki / "ca.pem"))


def test_an_unknown_authority_is_not_trusted(serve, pki):
    text = refusal(serve().address, errors.Unavailable, ca=str(pki / "other-ca.pem"))
    assert "not signed by an authority known here: set ca" in text


def test_a_certificate_for_another_host_is_not_trusted(serve, pki):
    gateway = serve("elsewhere.example.org").address
    assert gateway in refusal(gateway, errors.Unavailable, ca=str(pki / "ca.pem"))


@pytest.mark.parametrize(("name", "ca"), [("elsewhere.example.org", "ca.pem"), ("localhost", "other-ca.pem")])
def test_a_data_server_is_verified_as_well(serve, pki, name, ca):
    with Cs3Client(gateway=serve().address, ca=str(pki / "ca.pem"), **LOGIN) as client:
        client.whoami()
        endpoint = Endpoint("simple", serve(name).data_url, "t")
        servers = DataServers(Config(client.config.gateway, ca=str(pki / ca)), client.tokens)
        reading = servers.get(endpoint, path="/f")
        with pytest.raises(errors.Unavailable, match=r"TLS with data server .* failed"), reading:
            pass


def test_tls_to_a_plaintext_gateway(plain, pki):
    assert "tls" in refusal(plain.address, errors.Unavailable, ca=str(pki / "ca.pem")).lower()


def test_plaintext_to_a_tls_gateway(serve):
    gateway = serve().address
    assert gateway in refusal(gateway, errors.Unavailable, tls=False)


def test_a_closed_port():
    gateway = closed_port()
    text = refusal(gateway, errors.Unavailable, tls=False)
    assert gateway in text
    assert "nothing listens there" in text


def test_an_unknown_host():
    assert "check the host name" in refusal("no-such-host.invalid:1", errors.Unavailable, tls=False)


def test_a_gateway_that_answers_nothing(silent):
    text = refusal(silent, (errors.DeadlineExceeded, errors.Unavailable), tls=False, **QUICK)
    assert silent in text


def test_a_wrong_password(plain):
    text = refusal(plain.address, errors.NotAuthenticated, tls=False, password="wrong")
    assert "refused the basic login of einstein" in text
    assert "check the user name and secret" in text


def test_a_refused_token_cannot_be_renewed_from_nothing(plain):
    text = refusal(plain.address, errors.TokenRejected, tls=False, auth="token", token="garbage")
    assert "garbage" not in text


def test_a_token_that_expires_is_renewed_without_a_word(tmp_path):
    with Gateway(tmp_path, token_ttl=2) as gateway, Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as client:
        expires = time.monotonic() + 3.5
        while time.monotonic() < expires:
            client.files.exists("/f")
        assert client.tokens.logins > 1


def test_whoami_recovers_from_a_refused_token(plain):
    with Cs3Client(gateway=plain.address, tls=False, **LOGIN) as client:
        client.whoami()
        client.tokens._token = "forged"
        assert client.whoami().username == "einstein"


def test_one_login_for_a_hundred_calls(plain):
    with Cs3Client(gateway=plain.address, tls=False, **LOGIN) as client:
        for _ in range(100):
            client.files.exists("/f")
    assert [call.method for call in plain.calls].count("Authenticate") == 1


def test_a_data_server_that_goes_silent(plain, tmp_path):
    (plain.root / "f").write_bytes(bytes(3 << 20))
    with Cs3Client(gateway=plain.address, tls=False, stall_timeout=0.5, **LOGIN) as client:
        plain.faults.add(Fault("http:*", "stall", after=1 << 20))
        with pytest.raises(errors.DeadlineExceeded, match="went silent"):
            client.download("/f", tmp_path / "got")
        assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(("on", "kind"), [("grpc:InitiateFileUpload", "full"), ("http:PUT", "full")])
def test_no_room_at_the_storage(plain, on, kind):
    with Cs3Client(gateway=plain.address, tls=False, **LOGIN) as client:
        plain.faults.add(Fault(on, kind))
        with pytest.raises(errors.StorageFull, match=r"^/f: .*; free space or raise the quota"):
            client.upload(io.BytesIO(b"content"), "/f")
        plain.faults.clear()
        assert list(client.files.list("/")) == []


def test_a_put_that_is_answered_with_206_is_not_done(plain):
    """Such a server keeps the bytes in the session, and makes no file of them."""
    with Cs3Client(gateway=plain.address, tls=False, retries=0, **LOGIN) as client:
        plain.faults.add(Fault("http:PUT", "status", status="206"))
        with pytest.raises(errors.Interrupted, match="HTTP 206"):
            client.upload(io.BytesIO(b"content"), "/f")


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_is_not_followed(plain, status):
    """The token would go to whatever host the answer names."""
    with Cs3Client(gateway=plain.address, tls=False, **LOGIN) as client:
        client.upload(io.BytesIO(b"content"), "/f")
        plain.faults.add(Fault("http:GET", "status", status=str(status)))
        with pytest.raises(errors.Unsupported, match="redirects"):
            client.download("/f", io.BytesIO())


@pytest.fixture
def eavesdropper():
    """A plaintext server that keeps what it is sent."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(str(self.headers))
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/data", heard
    server.shutdown()
    server.server_close()
    thread.join()


def test_no_token_goes_out_in_the_clear(eavesdropper, serve, pki):
    url, heard = eavesdropper
    with Cs3Client(gateway=serve().address, ca=str(pki / "ca.pem"), **LOGIN) as client:
        reading = client._servers.get(Endpoint("simple", url, "t"), path="/f")
        with pytest.raises(errors.Unsupported, match="without TLS"), reading:
            pass
    assert heard == []


def test_a_slow_link_is_not_a_silent_one():
    """The whole block takes longer than the stall timeout, but some bytes always get through."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
    connection = pool_classes(1.5)["http"].ConnectionCls("127.0.0.1")
    connection.sock = ours
    taken = []

    def dawdle():
        while block := theirs.recv(32 << 10):
            taken.append(len(block))
            threading.Event().wait(0.06)

    thread = threading.Thread(target=dawdle)
    thread.start()
    began = time.monotonic()
    connection.send(bytes(1 << 20))
    assert time.monotonic() - began > 1.5
    connection.close()
    thread.join()
    theirs.close()
    assert sum(taken) == 1 << 20


def test_no_address_of_a_data_server_is_logged(plain, caplog):
    """It says what may be done with which file, to whoever knows it."""
    caplog.set_level("DEBUG")
    with Cs3Client(gateway=plain.address, tls=False, **LOGIN) as client:
        client.upload(io.BytesIO(b"content"), "/f")
        client.download("/f", io.BytesIO())
    asked = [call.path for call in plain.calls if call.method in {"PUT", "GET"}]
    assert asked
    assert "PUT /f" not in caplog.text
    assert "GET /f at http://127.0.0.1" in caplog.text
    assert "/data" not in caplog.text


class Proxy(BaseHTTPRequestHandler):
    """Refuses whoever does not log in."""

    def do_GET(self):
        self.server.heard.append((self.path, self.headers.get("Proxy-Authorization")))
        self.send_response(200 if self.headers.get("Proxy-Authorization") else 407)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"content")

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.heard = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


FAR = Endpoint("simple", "http://data.example.org/f", "t")


@contextlib.contextmanager
def reading_far(gateway):
    with Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as client:
        reading = client._servers.get(FAR, path="/f")
        with reading as response:
            yield response


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_proxy_of_the_environment_with_its_login(plain, proxy, monkeypatch, scheme):
    monkeypatch.setenv("http_proxy", f"{scheme}user:s%40crt@127.0.0.1:{proxy.server_port}")
    with reading_far(plain) as response:
        assert response.read() == b"content"
    assert proxy.heard == [(FAR.url, "Basic " + base64.b64encode(b"user:s@crt").decode())]


def test_a_proxy_that_wants_a_login(plain, proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.server_port}")
    with reading_far(plain) as response, pytest.raises(errors.Unavailable, match="wants a login"):
        expect(response, (200,), "/f")


def test_a_proxy_that_we_do_not_speak_to(plain, monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5://user:secret@127.0.0.1:1")
    with pytest.raises(errors.ConfigError, match="http and https proxies only") as caught, reading_far(plain):
        pass
    assert "secret" not in str(caught.value)


def test_what_stays_on_this_machine_meets_no_proxy(plain, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://{closed_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with Cs3Client(gateway=plain.address, tls=False, **LOGIN) as client:
        client.upload(io.BytesIO(b"content"), "/f")
    assert (plain.root / "f").read_bytes() == b"content"


def test_a_status_that_is_newer_than_we_are():
    error = from_cs3(_name(9999), "what is this", path="/f")
    assert isinstance(error, errors.ServerError)
    assert "CODE 9999" in str(error)


def test_equal_configurations_share_a_client(plain):
    config = Config(plain.address, tls=False, **LOGIN)
    assert shared(config) is shared(Config(plain.address, tls=False, **LOGIN))
    assert shared(config) is not shared(Config(plain.address, tls=False, username="marie", password="radioactivity"))


def test_a_forked_child_gets_a_client_though_the_parent_was_making_one(plain):
    code = """if True:
        import os, sys
        from rucio_cs3 import client
        from rucio_cs3.config import Config
        with client._shared_lock:
            child = os.fork()
            if not child:
                config = Config(sys.argv[1], tls=False, username="einstein", password="relativity")
                print(client.shared(config).whoami().username, flush=True)
                os._exit(0)
        os.waitpid(child, 0)
        """
    child = [sys.executable, "-c", code, plain.address]
    done = subprocess.run(child, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "einstein\n"


def test_a_configuration_can_be_given_with_changes(plain):
    config = Config(plain.address, tls=False, username="marie", password="radioactivity")
    with Cs3Client(config, **LOGIN) as client:
        assert client.whoami().username == "einstein"
    with pytest.raises(errors.ConfigError, match="did you mean 'retries'"):
        Cs3Client(config, retrys=1)


def test_a_listing_that_repeats_a_page_is_an_error():
    """Who takes it for all there is takes the rest for gone."""
    page = provider.ListContainerResponse(
        status={"code": code_pb2.CODE_OK}, infos=[{"path": "/a"}], next_page_token="more"
    ).SerializeToString()
    methods = {"ListContainer": grpc.unary_unary_rpc_method_handler(lambda _, __: page)}
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("cs3.gateway.v1beta1.GatewayAPI", methods)])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    repeated = pytest.raises(errors.ServerError, match="the same page of the listing again")
    try:
        with Cs3Client(gateway=address, tls=False, auth="token", token="t") as client, repeated:
            list(client.files.list("/"))
    finally:
        server.stop(None).wait()


@pytest.mark.timeout(240)
def test_big_folders(plain):
    """Beyond gRPC's own 4 MiB all is well; beyond what the gateway can pass on, the error says so."""
    folder = plain.root / "big"
    folder.mkdir()
    with Cs3Client(gateway=plain.address, tls=False, **LOGIN) as client:
        for number in range(20_000):
            (folder / f"{number:06}-{'n' * 90}").touch()
        assert sum(1 for _ in client.files.list("/big")) == 20_000
        for number in range(20_000, 40_000):
            (folder / f"{number:06}-{'n' * 90}").touch()
        with pytest.raises(errors.ListingTooLarge, match="split the folder"):
            list(client.files.list("/big"))
