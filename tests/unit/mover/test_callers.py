"""Who may ask, over real TLS."""

from __future__ import annotations

import datetime as dt
import socket
from pathlib import Path

import pytest
import requests
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rucio_cs3.errors import ConfigError
from rucio_cs3.mover import config
from tests.unit.broker.conftest import as_toml
from tests.unit.mover.conftest import file, wait_for

BEARER = "the-secret-of-rucio"


class Pki:
    """A server's certificate, one of a caller, a proxy made from that, and one of somebody else."""

    def __init__(self, folder):
        self.ca = trustme.CA()
        self.place = lambda name: str(folder / name)
        self.ca.cert_pem.write_to_path(self.place("ca.pem"))
        server = self.ca.issue_cert("127.0.0.1")
        server.private_key_pem.write_to_path(self.place("server.key"))
        server.cert_chain_pems[0].write_to_path(self.place("server.pem"))
        for name, ca in (("rucio", self.ca), ("mallory", self.ca), ("rucio2", self.ca), ("stranger", trustme.CA())):
            issued = ca.issue_cert(common_name=name, organization_name="Grid", organization_unit_name="Tests")
            issued.private_key_and_cert_chain_pem.write_to_path(self.place(f"{name}.pem"))
        self._proxy()

    def subject(self, name):
        pem = Path(self.place(f"{name}.pem")).read_bytes()
        names = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT") :]).subject
        short = {NameOID.COMMON_NAME: "CN", NameOID.ORGANIZATION_NAME: "O", NameOID.ORGANIZATIONAL_UNIT_NAME: "OU"}
        return "".join(f"/{short[part.oid]}={part.value}" for part in names)

    def _proxy(self):
        """As RFC 3820 has them."""
        pem = Path(self.place("rucio.pem")).read_bytes()
        maker = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT") :])
        maker_key = serialization.load_pem_private_key(pem, None)
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.timezone.utc)
        any_rights = bytes.fromhex("300a06082b06010505071501")  # inheritAll
        info = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14"), b"\x30\x0c" + any_rights)
        name = x509.Name([*maker.subject, x509.NameAttribute(NameOID.COMMON_NAME, "12345")])
        made = (
            x509.CertificateBuilder(maker.subject, name, key.public_key(), 12345)
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(info, critical=True)
            .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
            .sign(maker_key, hashes.SHA256())
        )
        form = (
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        Path(self.place("proxy.pem")).write_bytes(
            made.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(*form)
            + pem[pem.index(b"-----BEGIN CERT") :]
        )


@pytest.fixture
def pki(tmp_path):
    return Pki(tmp_path)


@pytest.fixture
def secured(settings, pki, tmp_path):
    secret, other = tmp_path / "secret", tmp_path / "other"
    for place, content in ((secret, BEARER), (other, "of-another-vo")):
        place.touch(mode=0o600)
        place.write_text(content)
    return {
        **settings,
        "tls_cert": pki.place("server.pem"),
        "tls_key": pki.place("server.key"),
        "client_ca": pki.place("ca.pem"),
        "callers": {
            "rucio": {"bearer_file": str(secret), "subjects": [pki.subject("rucio")]},
            "other": {"bearer_file": str(other), "vo": "other"},
            "screen": {"bearer": "only-looks", "watch": True},
        },
    }


@pytest.fixture
def mover(start, secured, pki):
    served = start(secured)
    served.session.verify = pki.place("ca.pem")
    return served


def bearer(secret):
    return {"headers": {"Authorization": f"Bearer {secret}"}}


@pytest.mark.parametrize("name", ["rucio", "proxy"])
def test_by_certificate(mover, pki, name):
    told = mover.ask("GET", "/whoami", cert=pki.place(f"{name}.pem"))
    assert (told.status_code, told.json()["user_dn"], told.json()["method"]) == (200, "rucio", "certificate")


def test_by_token(mover):
    assert mover.ask("GET", "/whoami", **bearer(BEARER)).json()["method"] == "oauth2"


@pytest.mark.parametrize("shown", [None, "", "wrong", BEARER[:-1], f"{BEARER}x", "\xff"])
def test_by_a_wrong_token(mover, shown):
    for method, path in (("GET", "/whoami"), ("POST", "/jobs"), ("GET", "/status.json"), ("GET", "/metrics")):
        answer = mover.ask(method, path, **(bearer(shown) if shown is not None else {}))
        assert (answer.status_code, answer.json()["status"]) == (403, "403 Forbidden")
    assert mover.ask("GET", "/health").status_code == 200


def test_by_a_certificate_of_somebody_else(mover, pki):
    for name in ("mallory", "rucio2"):
        assert mover.ask("GET", "/whoami", cert=pki.place(f"{name}.pem")).status_code == 403
    with pytest.raises(requests.exceptions.ConnectionError):
        mover.ask("GET", "/whoami", cert=pki.place("stranger.pem"))


def test_another_vo_does_not_see_the_job(mover, put):
    wanted = {"files": [file(put("davs://a.example/x"), "davs://b.example/x")]}
    job = mover.ask("POST", "/jobs", json=wanted, **bearer(BEARER)).json()["job_id"]
    for method in ("GET", "DELETE"):
        assert mover.ask(method, f"/jobs/{job}", **bearer("of-another-vo")).status_code == 404
    assert mover.ask("GET", f"/jobs/{job}", **bearer("only-looks")).status_code == 200
    assert mover.ask("DELETE", f"/jobs/{job}", **bearer("only-looks")).status_code == 403


def test_another_vo_does_not_see_what_became_of_the_job(mover):
    wanted = {"files": [file("davs://a.example/none", "davs://b.example/x")]}
    job = mover.ask("POST", "/jobs", json=wanted, **bearer(BEARER)).json()["job_id"]
    wait_for(lambda: mover.ask("GET", f"/jobs/{job}", **bearer(BEARER)).json()["job_state"] == "FAILED")
    for who, seen in (("only-looks", [job]), ("of-another-vo", [])):
        told = mover.ask("GET", "/status.json", **bearer(who)).json()
        assert [failure["job"] for failure in told["failures"]] == seen


def test_a_secret_that_is_gone_is_told_to_nobody(mover, secured):
    Path(secured["callers"]["other"]["bearer_file"]).unlink()
    answer = mover.ask("GET", "/whoami", **bearer(BEARER))
    assert answer.status_code == 500
    assert "request id" in answer.json()["message"]


def test_a_connection_that_says_nothing_is_in_nobodys_way(mover):
    host, port = mover.url.rpartition("/")[2].split(":")
    with socket.create_connection((host, int(port))):
        assert mover.ask("GET", "/health").status_code == 200


MISTAKES = {
    "anybody": ({"listen": "0.0.0.0:0", "callers": {}, "client_ca": ""}, "would take jobs from anybody"),
    "nobody": ({"callers": {"rucio": {}}, "client_ca": ""}, "caller rucio: nothing says who it is"),
    "two secrets": ({"callers": {"r": {"bearer": "x", "bearer_file": "y"}}}, "bearer and bearer_file are both set"),
    "issuer alone": ({"callers": {"r": {"issuer": "https://idp.example"}}}, "issuer and audience go together"),
    "issuer in the clear": (
        {"callers": {"r": {"issuer": "http://idp.example", "audience": "m"}}},
        "caller r: issuer http://idp.example could be anybody",
    ),
    "issuer at no address": (
        {"callers": {"r": {"issuer": "https://[idp", "audience": "m"}}},
        "caller r: issuer https://[idp could be anybody",
    ),
    "subjects alone": ({"client_ca": ""}, "client_ca and the subjects of a caller go together"),
    "no such ca": ({"client_ca": "/nowhere"}, "client_ca /nowhere is no file"),
    "limit": ({"limits": {"copies": 0}}, "limits: copies must be more than 0"),
    "site limits": ({"site_limits": {"a.example": "many"}}, "site_limits is not a table of whole numbers"),
    "sites": ({"sites": {"A": "davs://a.example"}}, "sites is not a table of tables"),
    "misspelt": ({"limits": {"copys": 1}}, "did you mean 'copies'?"),
    "no key": ({"tls_key": ""}, "TLS needs both tls_cert and tls_key"),
    "no address": ({"listen": "8446"}, "listen 8446 is not HOST:PORT"),
}


@pytest.mark.parametrize(("change", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_in_one_line(secured, tmp_path, change, words):
    wrong = {name: value for name, value in {**secured, **change}.items() if value != ""}
    place = tmp_path / "mover.toml"
    place.touch(mode=0o600)
    place.write_text(as_toml(wrong))
    with pytest.raises(ConfigError) as caught:
        config.load(place)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert BEARER not in str(caught.value)


def test_a_secret_makes_the_file_private(secured, settings, tmp_path):
    place = tmp_path / "mover.toml"
    place.write_text(as_toml(secured))
    place.chmod(0o644)
    with pytest.raises(ConfigError, match="a caller's bearer stands in it"):
        config.load(place)
    place.write_text(as_toml({**settings, "sites": {"A": {"gateway": "a.example:443", "machine_secret": "s"}}}))
    with pytest.raises(ConfigError, match="a site's login stands in it"):
        config.load(place)
