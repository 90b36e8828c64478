"""The mover's numbers, where somebody submits what should not become numbers."""

from __future__ import annotations

from cryptography import x509

from rucio_cs3.gateway import Gateway, Tls
from rucio_cs3.mover import metrics
from rucio_cs3.mover.claims import Claim
from rucio_cs3.mover.metrics import Metrics
from rucio_cs3.mover.model import Done, Side
from rucio_cs3.mover.site import Site
from rucio_cs3.mover.sites import Sites
from tests.unit.mover.conftest import wait_for
from tests.unit.observe.test_metrics import numbers


def test_hosts_that_anybody_may_name_have_no_numbers_without_end(monkeypatch):
    monkeypatch.setattr(metrics, "MOST_LINKS", 2)
    mine = Metrics(dict, float)
    for name in ("a:1", "b:1", "c:1", "d:1", "a:1"):
        mine.failed(Claim(1, "job", "vo", name, "z:1", None), Side.SOURCE, again=True)
    told = numbers(mine.text().decode())
    assert {key[1:]: told[key] for key in told if key[0] == "mover_retries_total"} == {
        ("z:1", "a:1"): 2,
        ("z:1", "b:1"): 1,
        ("other", "other"): 2,
    }
    assert told["mover_failures_total", "other", "SOURCE", "other"] == 2


def certificates(*endpoints):
    """What is told of them, once the last one has been looked at."""
    mine = Metrics(dict, float, endpoints)

    def look():
        told = numbers(mine.text().decode())
        found = {key[1:]: told[key] for key in told if key[0] == "mover_certificate_expiry_timestamp_seconds"}
        return found if any(endpoints[-1].site in key for key in found) else None

    return wait_for(look)


def test_when_certificates_end(pki, tmp_path):
    pem = x509.load_pem_x509_certificate((pki / "localhost.pem").read_bytes())
    with Gateway(tmp_path, tls=Tls(pki / "localhost.pem", pki / "localhost.key")) as gateway:
        table = {"gateway": gateway.address, "ca": str(pki / "ca.pem"), "cs3_root": "/"}
        site = Site.of("A", {**table, "doors": [gateway.webdav_url]})
        clear = Site.of("B", {"gateway": "127.0.0.1:1", "tls": False})
        [door, native] = Sites(clear, site).certified()
        assert (door.speaks, native.speaks) == ("http/1.1", "h2")
        untrusted = native._replace(site="C", config=native.config.but(ca=str(pki / "other-ca.pem")))
        nobody = native._replace(site="D", port=1)
        told = certificates(nobody, untrusted, door, native)
    end = pem.not_valid_after_utc.timestamp()
    assert told == {(each.address, "A"): end for each in (door, native)}


def test_a_copy_of_minutes_is_told_from_one_of_hours():
    mine = Metrics(dict, float)
    for seconds in (100.0, 7200.0):
        mine.finished(Claim(1, "job", "vo", "a:1", "z:1", None), Done("davs://a:1/x", 5, {}, "streamed"), seconds)
    said = mine.text().decode()
    assert 'rucio_cs3_mover_copy_seconds_bucket{le="60.0"} 0.0' in said
    assert 'rucio_cs3_mover_copy_seconds_bucket{le="300.0"} 1.0' in said
