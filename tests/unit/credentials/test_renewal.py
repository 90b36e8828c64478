"""A token that ends while it is in use: nobody notices, and nothing is done twice that must not be."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.errors import TokenRejected
from rucio_cs3.gateway import Fault, Gateway

FILES, THREADS = 100, 4
LOGINS = 2  # the first, and one that nobody notices
pytestmark = pytest.mark.slow
LOGIN = {"tls": False, "username": "einstein", "password": "relativity"}


@pytest.fixture
def serve(tmp_path):
    gateways = []

    def start(**settings):
        (tmp_path / "root").mkdir(exist_ok=True)
        gateways.append(Gateway(tmp_path / "root", **settings))
        return gateways[-1], Cs3Client(gateway=gateways[-1].address, **LOGIN)

    yield start
    for gateway in gateways:
        gateway.stop()


def count(gateway, method, path=None):
    return sum(call.method == method and path in {None, call.path} for call in gateway.calls)


@pytest.mark.parametrize("by", ["time", "refusal"])
def test_in_the_middle_of_many_uploads(serve, tmp_path, by):
    """Either by its time, which is two seconds, or because the gateway says so now and then, as one whose secret
    has changed would."""
    gateway, client = serve(token_ttl=2 if by == "time" else 86_400)
    if by == "refusal":
        for method in ("Stat", "InitiateFileUpload", "Move"):
            gateway.faults.add(Fault(f"grpc:{method}", "token_expired", skip=FILES // 2, times=1))
    source = tmp_path / "source"
    source.write_bytes(b"e=mc2")
    sent = 0
    with client, ThreadPoolExecutor(THREADS) as pool:
        while not sent or count(gateway, "Authenticate") < LOGINS:  # however quick it is, tokens end in the middle
            list(pool.map(lambda number: client.upload(source, f"/run/{number}"), range(sent, sent + FILES)))
            sent += FILES
        assert len(list(client.files.list("/run"))) == sent
    assert count(gateway, "PUT") == sent
    assert count(gateway, "Authenticate") <= 60


def test_in_the_middle_of_one_long_transfer(serve, tmp_path):
    """The bytes go with a transfer token; what comes after them needs ours."""
    gateway, client = serve(token_ttl=2)
    gateway.faults.add(Fault("http:PUT", "slow", rate=1 << 18), Fault("http:GET", "slow", rate=1 << 18))
    content = bytes(range(256)) * (1 << 12)  # 1 MiB, four seconds
    (tmp_path / "source").write_bytes(content)
    with client:
        client.upload(tmp_path / "source", "/long")
        client.download("/long", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert (count(gateway, "PUT"), count(gateway, "GET")) == (1, 1)


@pytest.mark.parametrize(("times", "logins", "calls"), [(1, 2, 2), (2, 2, 2), (None, 2, 2)])
def test_a_refused_token_is_renewed_once(serve, times, logins, calls):
    gateway, client = serve()
    with client:
        gateway.faults.add(Fault("grpc:Stat", "token_expired", times=times))
        if times == 1:
            client.files.stat("/")
        else:
            with pytest.raises(TokenRejected):
                client.files.stat("/")
    assert count(gateway, "Authenticate") == logins
    assert count(gateway, "Stat") == calls


def test_what_a_token_does_not_cover_costs_one_login_not_one_for_each_denial(serve):
    """Gateways deny it in the words for a bad token."""
    gateway, client = serve()
    with client:
        client.upload(io.BytesIO(b"x"), "/x")
        gateway.faults.add(Fault("grpc:Delete", "token_expired"))
        for _ in range(10):
            with pytest.raises(TokenRejected):
                client.files.delete("/x")
            client.whoami()
    assert count(gateway, "Authenticate") == 2
    assert count(gateway, "Delete") == 11


def test_a_site_with_a_new_secret_costs_one_login(serve, tmp_path):
    gateway, client = serve()
    with client:
        client.whoami()
        port = int(gateway.address.rpartition(":")[2])
        gateway.stop()
        next((tmp_path / "root").rglob("secret")).unlink()
        gateway, _ = serve(grpc_port=port)
        with ThreadPoolExecutor(THREADS) as pool:
            assert len(list(pool.map(lambda _: client.whoami(), range(20)))) == 20
    assert count(gateway, "Authenticate") == 1
