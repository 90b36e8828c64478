"""Python, and the embedded gateway to try it on, as they are written, but for ports and folders."""

from __future__ import annotations

import os
import re

import pytest

from rucio_cs3.cli.gateway import gateway as gateway_command
from rucio_cs3.config import Config
from rucio_cs3.gateway import BEHAVIOURS, Gateway
from tests.docs.blocks import TOP, block
from tests.docs.shell import exchanged, service, shell

EXAMPLE = '"127.0.0.1:19000"'


def run(code, address, folder):
    names = {EXAMPLE: f'"{address}"', "/tmp/": f"{folder}/"}
    exec(compile(exchanged(code, names), "the documentation", "exec"), {})


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("first line\nsecond line\n")
    return tmp_path


@pytest.mark.parametrize("name", ["readme gateway", "python gateway", "sites gateway"])
def test_a_storage_to_try_it_on(name, here):
    """What the other examples expect: that address, unless it is told another, and that user."""
    script = block(name).replace("rucio-cs3 gateway", "rucio-cs3 gateway --port 0 --http-port 0")
    with service(script, os.environ, here, names={"/tmp/site": str(here / "site")}) as child:
        said = "".join(iter(child.process.stdout.readline, "Stop it with Ctrl-C.\n"))
    assert re.search(r"login .*einstein/relativity", said)
    assert re.search(r"path +(/|/users/\S+ for einstein)$", said, re.MULTILINE)


def test_it_is_at_the_address_of_the_examples():
    [port] = [option.default for option in gateway_command.params if option.name == "port"]
    assert f'"127.0.0.1:{port}"' == EXAMPLE


@pytest.fixture
def gateway(here):
    (here / "site").mkdir()
    with Gateway(here / "site") as gateway:
        yield gateway


@pytest.mark.parametrize("name", ["readme python", "python client"])
def test_the_client(name, gateway, here, capsys):
    run(block(name), gateway.address, here)
    assert capsys.readouterr().out == "[('readme', 23)]\nb'first line\\n'\n"
    if "site.download" in block(name):
        assert (here / "readme").read_text() == "first line\nsecond line\n"


def test_errors(gateway, here, capsys):
    run(block("python errors"), gateway.address, here)
    assert capsys.readouterr().out == "not_found\nnot_found NOT_FOUND\n"


def test_the_client_alone_has_no_dependency_on_rucio(here):
    assert shell(block("python install"), os.environ, here) == ""
    [needs] = re.findall(
        r"^dependencies = \[\n(.*?)^\]", (TOP / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE
    )
    assert "rucio" not in needs
    assert "click" not in needs


def test_settings_in_a_file(here):
    (here / "settings.toml").write_text(block("settings"))
    config = Config.load(environ={"RUCIO_CS3_CONFIG": str(here / "settings.toml")})
    assert (config.gateway, config.username, config.stall_timeout) == ("cs3.example.org:443", "einstein", 120.0)


def test_the_behaviours_that_are_named_are_all():
    [line] = re.findall(r"^`--behave` takes (.*?)\.", (TOP / "docs" / "sites.md").read_text(), re.DOTALL | re.MULTILINE)
    assert re.findall(r"`([\w-]+)`", line) == list(BEHAVIOURS)
