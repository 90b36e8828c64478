"""etc/systemd and etc/logrotate: looked at by their own programs, and started."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from tests.unit.etc.units import ETC, INSTANCE, PROGRAM, SERVICES, UNITS, Unit

pytestmark = pytest.mark.slow  # nothing here depends on the version of Python
EXPOSURE = 2.0  # of 10, which is what a service has that says nothing; systemd calls it OK up to here


def needed(program, package):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is missing: apt-get install {package}")


def run(*argv, **options):
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, timeout=60, check=False, **options)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path):
    """All of them, with a program that is there."""
    for name in UNITS:
        text = (ETC / "systemd" / name).read_text(encoding="utf-8").replace(PROGRAM, shutil.which("true"))
        (tmp_path / name.replace("@", f"@{INSTANCE}")).write_text(text)
    return tmp_path


@needed("systemd-analyze", "systemd")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(installed, name):
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{installed}:"}
    code, said = run("systemd-analyze", "verify", "--man=no", installed / Unit(name).name, env=environ)
    ours = [line for line in said.splitlines() if "rucio-cs3" in line]
    assert (code, ours) == (0, []), said


@needed("systemd-analyze", "systemd")
@pytest.mark.parametrize("name", SERVICES)
def test_services_can_do_little_harm(installed, name):
    argv = ["security", "--offline=yes", f"--threshold={int(EXPOSURE * 10)}", "--no-pager"]
    code, said = run("systemd-analyze", *argv, installed / Unit(name).name)
    assert code == 0, said


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".timer")])
def test_a_timer_has_its_service(name):
    assert name.replace(".timer", ".service") in SERVICES


def test_the_mover_of_the_unit_copies_and_its_numbers_are_for_who_may_look(mover_of_the_unit):
    assert 'rucio_cs3_mover_files{state="FINISHED"} 1.0' in mover_of_the_unit.ask("GET", "/metrics").text
    refused = mover_of_the_unit.ask("GET", "/metrics", headers={"Authorization": "Bearer other"})
    assert refused.status_code in {401, 403}


def test_the_broker_of_the_unit_writes_its_audit_log(broker_of_the_unit):
    assert "rucio_cs3_broker_mints_total" in broker_of_the_unit.ask("GET", "/metrics").text
    [line] = (broker_of_the_unit.folder / "logs" / "audit.log").read_text().splitlines()
    assert (json.loads(line)["outcome"], json.loads(line)["account"]) == ("granted", "root")


def test_a_dump_is_kept_and_told(tmp_path):
    unit = Unit("rucio-cs3-dump@.service")
    state, exporter = tmp_path / "state", tmp_path / "node-exporter"
    state.mkdir(), exporter.mkdir()
    for name, days in (("dump_20200101", 20), ("dump_20200120", 1)):
        (state / name).touch()
        age = (state / name).stat().st_mtime - days * 86400
        os.utime(state / name, (age, age))
    environ = {"STATE_DIRECTORY": str(state)}
    [dump] = unit.commands("ExecStart", environ, {})
    assert dump[1:] == ["dump", INSTANCE, "--output", f"{state}/dump_%Y%m%d"]
    for argv in unit.commands("ExecStartPost", environ, {"/var/lib/prometheus/node-exporter": str(exporter)}):
        assert run(*argv) == (0, "")
    assert [path.name for path in state.iterdir()] == ["dump_20200120"]
    [told] = exporter.iterdir()
    assert told.name == f"rucio-cs3-dump-{INSTANCE}.prom"
    assert re.fullmatch(rf'rucio_cs3_dump_time_seconds{{rse="{INSTANCE}"}} \d{{10}}\n', told.read_text())


def test_where_there_is_no_exporter_a_dump_is_made_all_the_same(tmp_path):
    [_, tell] = Unit("rucio-cs3-dump@.service").commands(
        "ExecStartPost", {"STATE_DIRECTORY": str(tmp_path)}, {"/var/lib/prometheus/node-exporter": f"{tmp_path}/none"}
    )
    assert run(*tell)[0] == 0


@needed("systemd-sysusers", "systemd")
def test_the_user_of_the_timers(tmp_path):
    (tmp_path / "etc").mkdir()
    assert run("systemd-sysusers", f"--root={tmp_path}", ETC / "systemd" / "sysusers.conf")[0] == 0
    users = {line.split(":")[0] for line in (tmp_path / "etc" / "passwd").read_text().splitlines()}
    assert {user for name in SERVICES for user in Unit(name).values("User")} == users


@needed("logrotate", "logrotate")
def test_the_audit_log_is_rotated_and_the_broker_told(tmp_path):
    log = tmp_path / "audit.log"
    log.write_text("who got what\n")
    text = (ETC / "logrotate" / "rucio-cs3").read_text(encoding="utf-8")
    [there] = re.findall(r"^(/\S+) \{", text, re.MULTILINE)
    [tell] = re.findall(r"postrotate\n\s*(.*)\n\s*endscript", text)
    assert tell.split()[-1] in UNITS
    configuration = tmp_path / "rotate"
    configuration.write_text(text.replace(there, str(log)).replace(tell, f"touch {tmp_path}/told"))
    configuration.chmod(0o644)
    code, said = run("logrotate", "--force", "--state", tmp_path / "state", configuration)
    assert (code, said) == (0, "")
    assert (tmp_path / "told").exists()
    assert not log.exists()
    [old] = tmp_path.glob("audit.log-*.gz")
    assert run("zcat", old) == (0, "who got what\n")


def test_the_audit_log_is_where_logrotate_looks():
    [directory] = Unit("rucio-cs3-broker.service").values("LogsDirectory")
    assert f"/var/log/{directory}/audit.log" in (ETC / "logrotate" / "rucio-cs3").read_text(encoding="utf-8")
