"""RSEs and parts of rucio.cfg as the files in etc/ describe them."""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.process import run_or_fail
from rucio_cs3.service.settings import read_toml
from tests.docs.blocks import block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demo.sandbox import Sandbox

ETC = Path(__file__).parents[3] / "etc"
OFF = re.compile(r"^#(?=\w+ = )", re.MULTILINE)  # settings that are off


def template(name: str, values: Mapping[str, Any]) -> str:
    """A file of etc/rse, with what belongs in its <…>, and another port."""
    text = (ETC / "rse" / f"{name}.toml").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"<{key}>", str(value))
    assert not re.search(r'"[^"\n]*<', text)
    assert text.count("\nport = 443\n") == 1
    return text.replace("port = 443", f"port = {values['port']}")


def make(sandbox: Sandbox, rse: str, file: Path) -> dict[str, Any]:
    """As an operator would: by the Python of etc/README.md."""
    script = block("etc template")
    if sys.version_info < (3, 11):
        script = script.replace("tomllib", "tomli")
    run_or_fail([sys.executable, "-c", script, rse, file], env=sandbox.user.environ)
    return read_toml(str(file), hint="")


def cfg(name: str, here: Mapping[str, str] = {}, *, everything: bool = False) -> dict[str, dict[str, str]]:
    """A file of etc/rucio, with what else is called otherwise here; `everything` with what is off as well."""
    text = (ETC / "rucio" / f"{name}.cfg").read_text(encoding="utf-8")
    for theirs, ours in here.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    parser = configparser.ConfigParser()  # as Rucio's
    parser.read_string(OFF.sub("", text) if everything else text)
    return {section: dict(parser.items(section, raw=True)) for section in parser.sections()}
