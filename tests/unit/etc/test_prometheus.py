"""etc/prometheus and etc/grafana: looked at by promtool, and held against what is really exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rucio_cs3.gateway import DEMO_USERS, Fault
from tests.unit.cli.command import environment
from tests.unit.etc.numbers import asked, exported, unknown_labels
from tests.unit.etc.units import ETC, INSTANCE, Unit

pytestmark = pytest.mark.slow  # nothing here depends on the version of Python
promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is missing: apt-get install prometheus")

CONFIGURATION = ETC / "prometheus" / "prometheus.yml"
RULES = ETC / "prometheus" / "rucio-cs3.rules.yml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
TESTS = Path(__file__).with_name("alerts.yml")
DASHBOARD = json.loads((ETC / "grafana" / "rucio-cs3.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SECONDS = 100
COLUMNS = 24  # of Grafana's grid
# What is exported and in no panel, and why.
NOT_SHOWN: dict[str, str] = {}
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$source": ".*", "$destination": ".*", "$datasource": "x"}


def expressions(panel):
    return [target["expr"] for target in panel["targets"]]


def written(expression):
    """Without Grafana's variables."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def checked(*argv):
    done = subprocess.run(["promtool", *map(str, argv)], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@promtool
def test_the_configuration(tmp_path):
    text = CONFIGURATION.read_text()
    for path in set(re.findall(r"_file: (\S+)", text)):
        (tmp_path / Path(path).name).write_text("")
        text = text.replace(path, str(tmp_path / Path(path).name))
    shutil.copy(RULES, tmp_path)
    (tmp_path / "prometheus.yml").write_text(text)
    assert f"{len(ALERTS)} rules found" in checked("check", "config", tmp_path / "prometheus.yml")


@promtool
def test_each_alert_fires_when_it_should_and_only_then(tmp_path):
    looks = [look for case in yaml.safe_load(TESTS.read_text())["tests"] for look in case["alert_rule_test"]]
    fired, quiet = ({one["alertname"] for one in looks if bool(one["exp_alerts"]) == fires} for fires in (True, False))
    assert fired == quiet == {alert["alert"] for alert in ALERTS}
    shutil.copy(RULES, tmp_path)
    shutil.copy(TESTS, tmp_path)
    assert "SUCCESS" in checked("test", "rules", tmp_path / TESTS.name)


def test_the_jobs_of_the_alerts_are_scraped():
    scraped = yaml.safe_load(CONFIGURATION.read_text())["scrape_configs"]
    jobs = {job["job_name"] for job in scraped}
    assert {job for alert in ALERTS for job in re.findall(r'job="([^"]+)"', alert["expr"])} <= jobs


@pytest.fixture(scope="module")
def of_a_client(tmp_path_factory, etc_site):
    """The numbers of a program whose download fails after another try."""
    file = tmp_path_factory.mktemp("numbers") / "numbers.prom"
    login = {"username": DEMO_USERS[0].username, "password": DEMO_USERS[0].password}
    environ = environment({"gateway": etc_site.address, "tls": "false", "metrics": f"file:{file}", **login})
    etc_site.root.joinpath("lost").write_bytes(b"content")
    etc_site.faults.add(Fault(on="http:GET", path="*/lost", kind="cut", after=1))
    program = "from rucio_cs3 import Cs3Client; Cs3Client().download('/lost', 'lost')"
    started = {"env": environ, "cwd": file.parent, "capture_output": True, "timeout": SECONDS}
    ran = subprocess.run([sys.executable, "-c", program], check=False, **started)
    etc_site.faults.clear()
    assert b"Interrupted" in ran.stderr, ran.stderr
    return file.read_text()


@pytest.fixture(scope="module")
def known(mover_of_the_unit, broker_of_the_unit, of_a_client):
    """All names that are really exported, each with its labels."""
    told = [of_a_client]
    told += [service.ask("GET", "/metrics").text for service in (mover_of_the_unit, broker_of_the_unit)]
    [dump] = re.findall(r"echo '(rucio_cs3_\S+)'", Unit("rucio-cs3-dump@.service").file.read_text())
    told.append(f"# TYPE rucio_cs3_dump_time_seconds gauge\n{dump.replace('%i', INSTANCE)} 1\n".replace('\\"', '"'))
    return exported("\n".join(told))


def test_alerts_ask_for_what_there_is(known):
    for alert in ALERTS:
        assert asked(alert["expr"]) <= set(known), alert["alert"]
        assert unknown_labels(alert["expr"], known) == set(), alert["alert"]


def test_panels_ask_for_what_there_is(known):
    for panel in PANELS:
        for expression in expressions(panel):
            assert asked(expression) <= set(known), panel["title"]
            assert unknown_labels(expression, known) == set(), panel["title"]


def test_whatever_is_exported_is_in_a_panel_or_there_is_a_reason(known):
    shown = {base(name) for panel in PANELS for expression in expressions(panel) for name in asked(expression)}
    assert {base(name) for name in known} - shown == set(NOT_SHOWN)


def base(name):
    """The number that it is a part of."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


@promtool
def test_panels_ask_in_promql(tmp_path):
    every = [written(expression) for panel in PANELS for expression in expressions(panel)]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(every)]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    checked("check", "rules", "--lint=none", tmp_path / "panels.yml")


def test_the_dashboard_has_all_that_grafana_wants():
    assert {"title", "uid", "schemaVersion", "templating", "time", "panels"} <= DASHBOARD.keys()
    [source] = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "datasource"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0
        assert {"title", "description", "fieldConfig", "options", "type"} <= panel.keys(), panel["title"]
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_do_not_overlap():
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= COLUMNS - place["w"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} is over {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_variables_of_the_dashboard_are_there():
    names = {f"${one['name']}" for one in DASHBOARD["templating"]["list"]}
    used = {f"${name}" for panel in PANELS for each in expressions(panel) for name in re.findall(r"\$(\w+)", each)}
    assert {name for name in used if not name.startswith("$__")} <= names
    assert names <= set(VARIABLES)
