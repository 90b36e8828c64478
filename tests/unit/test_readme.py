"""The README's Python is run as it stands, but for the port."""

from __future__ import annotations

import re
from pathlib import Path

from rucio_cs3.config import Config
from rucio_cs3.gateway import Gateway

README = Path(__file__).parents[2] / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_python_examples_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "README.md").write_text("first line\nsecond line\n")
    (tmp_path / "site").mkdir()
    monkeypatch.chdir(tmp_path)
    examples = blocks("python")
    assert examples
    with Gateway(tmp_path / "site") as gateway:
        for example in examples:
            assert '"127.0.0.1:19000"' in example
            runnable = example.replace("127.0.0.1:19000", gateway.address).replace("/tmp/", f"{tmp_path}/")
            exec(compile(runnable, str(README), "exec"), {})
    assert capsys.readouterr().out == "[('readme', 23)]\nb'first line\\n'\n"
    assert (tmp_path / "readme").read_text() == "first line\nsecond line\n"


def test_every_setting_is_in_the_table():
    table = README.read_text(encoding="utf-8")
    for name in Config.__dataclass_fields__:
        assert f"`{name}`" in table or name.endswith("_file")
