"""The settings files that the chart renders, read by the programs that they are for."""

from __future__ import annotations

import pytest

from rucio_cs3.broker import config as broker
from rucio_cs3.mover import config as mover
from rucio_cs3.mover.sites import Sites
from tests.unit.helm.chart import needs_helm, one, render

pytestmark = needs_helm


@pytest.mark.parametrize("variant", ["mover", "movers", "demo"])
def test_the_mover_reads_its_settings(variant, as_mounted):
    file = as_mounted(render(variant), "cs3-mover")
    config = mover.load(file)
    Sites.of(config.sites, str(file)).close()
    assert config.listen == "0.0.0.0:8446"
    assert config.gunicorn()["certfile"].endswith("/secret/mover-tls/tls.crt" if variant != "demo" else "tls.crt")
    assert all(caller.secret() in {None, "s3cret"} for caller in config.callers.values())


def test_one_mover_keeps_its_queue_on_its_volume(as_mounted):
    documents = render("mover")
    config = mover.load(as_mounted(documents, "cs3-mover"))
    deployment = one(documents, "Deployment", "cs3-mover")["spec"]
    mounts = {m["name"]: m["mountPath"] for m in deployment["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert config.database == f"{mounts['queue']}/mover.db"
    assert deployment["strategy"]["type"] == "Recreate"
    assert one(documents, "PersistentVolumeClaim", "cs3-mover")["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert not [document for document in documents if document["kind"] == "PodDisruptionBudget"]


def test_several_movers_share_a_postgresql(as_mounted):
    documents = render("movers")
    config = mover.load(as_mounted(documents, "cs3-mover"))
    address, _, options = config.database.partition("?")
    assert address == "postgresql://mover-db-rw:5432/rucio_cs3_mover"
    assert options.startswith("sslmode=verify-full&sslrootcert=")
    assert options.endswith("secret%2Fmover-db-ca%2Fca.crt")
    container = one(documents, "Deployment", "cs3-mover")["spec"]["template"]["spec"]["containers"][0]
    shown = {v["name"]: v["valueFrom"]["secretKeyRef"] for v in container["env"] if "valueFrom" in v}
    assert shown == {
        "PGUSER": {"name": "mover-db-app", "key": "username"},
        "PGPASSWORD": {"name": "mover-db-app", "key": "password"},
    }
    assert one(documents, "PodDisruptionBudget", "cs3-mover")["spec"]["maxUnavailable"] == 1
    assert not [document for document in documents if document["kind"] == "PersistentVolumeClaim"]


def test_numbers_stay_what_they_are(as_mounted):
    config = mover.load(as_mounted(render("movers", "--set", "mover.settings.limits.link=7"), "cs3-mover"))
    limits = config.limits
    assert (limits.copies, limits.site, limits.link, limits.lease) == (32, 64, 7, 45.5)
    assert config.site_limits == {"cernbox.example.org:443": 20}
    assert config.sites["CERNBOX"]["stall_timeout"] == 90


def test_the_broker_reads_its_settings(as_mounted):
    config = broker.load(as_mounted(render("broker"), "cs3-broker"))
    site = config.sites["cs3.cernbox.example.org:443"]
    assert (site.secret(), site.accounts, site.only) == ("s3cret", {"root": "rucio-svc", "jdoe": "einstein"}, "[a-z]+")
    assert config.behind_proxy
    assert config.metrics.secret() == "s3cret"


def test_prometheus_shows_what_the_settings_name():
    for variant, name, more in (
        ("movers", "cs3-mover", []),
        ("broker", "cs3-broker", ["--set", "broker.settings.behind_proxy=false,broker.serviceMonitor.enabled=true"]),
    ):
        endpoint = one(render(variant, *more), "ServiceMonitor", name)["spec"]["endpoints"][0]
        assert endpoint["authorization"]["credentials"] == {
            "name": f"{name.replace('cs3-', '')}-metrics",
            "key": "token",
        }
        assert endpoint["tlsConfig"]["serverName"] == f"{name}.rucio.svc"
        assert (endpoint["scheme"], endpoint["port"], endpoint["path"]) == ("https", "https", "/metrics")


def test_the_demo_adds_its_sites(as_mounted):
    config = mover.load(as_mounted(render("demo"), "cs3-mover"))
    assert {name: site["gateway"] for name, site in config.sites.items()} == {
        "ONE": "cs3-one:19000",
        "TWO": "cs3-two:19000",
    }


def test_another_setting_makes_another_pod():
    def stamp(*more):
        deployment = one(render("mover", *more), "Deployment", "cs3-mover")
        return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]

    assert stamp() == stamp()
    assert stamp() != stamp("--set", "mover.settings.limits.copies=3")
