"""The values for Rucio's own charts, in those charts: https://github.com/rucio/helm-charts."""

from __future__ import annotations

import base64
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.helm.chart import CHART, helm, needs_helm, one, pods, yaml

CHARTS = os.environ.get("RUCIO_CS3_TEST_RUCIO_CHARTS")
VALUES = CHART.parent / "rucio-charts"
MERGE = Path(sys.prefix, "rucio/tools/merge_rucio_configs.py")  # what the images make rucio.cfg with
pytestmark = [
    needs_helm,
    pytest.mark.skipif(
        not CHARTS, reason="RUCIO_CS3_TEST_RUCIO_CHARTS does not name the folder charts of rucio/helm-charts"
    ),
]


def rendered(chart, *values, **counts):
    """Counts come in a file, because --set makes them numbers that these charts do not compare."""
    given = [word for name in values for word in ("--values", VALUES / f"{name}.yaml")]
    text = helm("template", "rucio", Path(CHARTS, chart), *given, "--values", "-", input=yaml.safe_dump(counts))
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture
def daemons():
    return rendered("rucio-daemons", "daemons", reaperCount=1, conveyorTransferSubmitterCount=1)


def test_servers_run_our_image():
    [(_, pod)] = pods(rendered("rucio-server", "server", replicaCount=1))
    assert "rucio-cs3-server:release-41.5.1" in [container["image"] for container in pod["containers"]]


def test_daemons_run_our_image_and_find_a_secret_that_others_cannot_read(daemons):
    found = list(pods(daemons))
    assert len(found) == 2
    for _, pod in found:
        [volume] = [volume for volume in pod["volumes"] if volume["name"] == "cernbox"]
        [container] = pod["containers"]
        assert container["image"] == "rucio-cs3-daemons:release-41.5.1"
        assert volume["secret"] == {"secretName": "cernbox", "defaultMode": 0o400}
        assert {"name": "cernbox", "mountPath": "/run/secrets/cernbox"} in container["volumeMounts"]


def test_the_daemons_rucio_cfg_says_who_they_are(daemons, tmp_path):
    if not MERGE.exists():
        pytest.skip("it needs Rucio's own tools: pip install rucio-cs3[demo]")
    common = one(daemons, "Secret", "rucio-rucio-daemons.config.common")["data"]["common.json"]
    (tmp_path / "common.json").write_bytes(base64.b64decode(common))
    (tmp_path / "empty.cfg").write_text("[common]\n")
    subprocess.run(
        [sys.executable, MERGE, "-s", tmp_path / "empty.cfg", tmp_path / "common.json", "-d", tmp_path / "rucio.cfg"],
        check=True,
        timeout=120,
    )
    config = configparser.ConfigParser()
    config.read(tmp_path / "rucio.cfg")
    assert dict(config["cs3:CERNBOX"]) == {"username": "rucio", "password_file": "/run/secrets/cernbox/password"}
    assert config["conveyor"]["scheme"] == "davs"
    assert config["conveyor"]["use_deterministic_id"] == "True"


@pytest.mark.parametrize(("chart", "values"), [("rucio-server", "server"), ("rucio-daemons", "daemons")])
def test_without_an_image_the_plugin_comes_first(chart, values):
    for _, pod in pods(rendered(chart, values, "no-image", replicaCount=1, reaperCount=1)):
        [install] = pod["initContainers"]
        assert "pip install --no-deps https://files.example.org/rucio_cs3-0.1.0" in install["command"][-1]
        [container] = [container for container in pod["containers"] if container["name"] == chart]
        assert {"name": "PYTHONPATH", "value": "/opt/policy_packages/"} in container["env"]
