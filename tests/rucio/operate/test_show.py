"""`rucio-cs3 rse show`."""

from __future__ import annotations

import json
import subprocess

from demo.process import BIN
from tests.rucio.operate.conftest import found, told


def test_show_tells_both_sides_and_where_settings_stand(command, client, rse, storage):
    client.set_rse_limits(rse, "MinFreeSpace", 1000)
    said = json.loads(command("show", rse, "--json").stdout)
    assert said["rucio"]["limits"] == {"MinFreeSpace": 1000}
    assert (said["site"]["username"], said["site"]["login"]) == ("einstein", "basic")
    assert found(said["site"])["WebDAV door"]["works"]
    stands = {each["name"]: (each["value"], each["origin"]) for each in said["site"]["settings"]}
    assert stands["gateway"] == (storage.gateway.address, "extended_attributes of the RSE")
    assert stands["password"] == (None, "RUCIO_CS3_PASSWORD")
    shown = command("show", rse)
    assert shown.returncode == 0
    for words in ("In Rucio", "limit MinFreeSpace", '"webdav_root": ', "RUCIO_CS3_PASSWORD", "not shown"):
        assert words in shown.stdout
    assert storage.login["password"] not in shown.stdout + json.dumps(said)


def test_show_tells_what_stands_in_rucio_when_the_site_does_not_answer(command, client, rse):
    done = command("show", rse, password="wrong")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "In Rucio" in done.stdout
    assert "refused the basic login" in done.stderr
    said = command("show", rse, "--json", password="wrong")
    assert (said.returncode, said.stderr) == (1, "")
    assert json.loads(said.stdout)["site"]["failure"]["error"] == "not_authenticated"


def test_a_secret_that_somebody_put_there_is_shown_to_nobody(command, client, rse, options):
    [old] = client.get_protocols(rse)
    bad = {"extended_attributes": {"cs3": {**old["extended_attributes"]["cs3"], "password": "put-there"}}}
    client.update_protocols(rse, "davs", bad, hostname=old["hostname"], port=old["port"])
    for words in (["show", rse], ["show", rse, "--json"], ["add", rse, *options], ["add", rse, *options, "--json"]):
        done = command(*words)
        assert "put-there" not in done.stdout + done.stderr
    told(command("add", rse, *options, "--yes", "--json"))
    assert client.get_protocols(rse) == [old]


def test_a_rucio_cfg_that_is_none_is_told_in_one_line_without_what_stands_in_it(sandbox):
    home = sandbox.user.with_config({"client": {"rucio_host": sandbox.url}})
    home.config.write_text(f"password of nobody\n{home.config.read_text()}")
    for words in ([], ["--json"]):
        argv = [BIN / "rucio-cs3", "rse", "show", "ANY", *words]
        done = subprocess.run(argv, env=home.environ, capture_output=True, text=True, timeout=60, check=False)
        said = json.loads(done.stdout)["message"] if words else done.stderr
        assert (done.returncode, done.stdout.count("\n") + done.stderr.count("\n")) == (1, 1), done.stderr
        assert f"{home.config} is not as Rucio reads it (MissingSectionHeaderError); correct it" in said
        assert "nobody" not in said


def test_show_of_what_is_none_of_ours(command, client, other):
    for name, why in (("NOWHERE", "no RSE NOWHERE"), (other, "has no protocol with impl")):
        done = command("show", name)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert why in done.stderr
        said = command("show", name, "--json")
        assert (said.returncode, said.stderr) == (1, "")
        assert why in json.loads(said.stdout)["message"]
