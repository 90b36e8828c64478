"""What the timers of etc/systemd start, for an RSE of a real Rucio."""

from __future__ import annotations

import pytest

from demo.process import run
from tests.unit.etc.units import Unit


@pytest.fixture
def started(site, tmp_path):
    """Runs the command of a unit for this RSE, with the rucio.cfg that the unit names."""

    def started(name):
        unit = Unit(name, site.rse)
        assert set(unit.environment()) == {"RUCIO_CONFIG", "XDG_CACHE_HOME"}
        home = site.sandbox.user.with_config(site.config())
        environ = {**home.environ, "STATE_DIRECTORY": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        [argv] = unit.commands("ExecStart", environ, {})
        return run(argv, env=environ, cwd=tmp_path)

    return started


def test_a_dump(site, started, new_name, tmp_path):
    path = site.put(new_name, b"content")
    done = started("rucio-cs3-dump@.service")
    assert done.returncode == 0, done.stdout
    [dump] = tmp_path.glob("dump_????????")
    [line] = dump.read_text().splitlines()
    assert line.endswith(f"/{site.folder.name}/{path.relative_to(site.folder)}")


def test_the_free_space(site, started):
    done = started("rucio-cs3-settings@.service")
    assert done.returncode == 0, done.stdout
    [usage] = [usage for usage in site.client.get_rse_usage(site.rse) if usage["source"] == "storage"]
    assert usage["total"] == usage["used"] + usage["free"] > 0
