"""What the documentation says of the tests is so."""

from __future__ import annotations

import re
from pathlib import Path

from rucio_cs3.broker.config import load

TOP = Path(__file__).parents[2]


def test_the_tests_that_are_named_exist():
    written = "\n".join(file.read_text(encoding="utf-8") for file in (TOP / "tests").rglob("test_*.py"))
    named = {name for file in (TOP / "docs").glob("*.md") for name in re.findall(r"`(test_\w+)`", file.read_text())}
    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []


def test_the_brokers_example_is_a_configuration(tmp_path):
    [example] = re.findall(r"```toml\n(.*?)```", (TOP / "docs" / "broker.md").read_text(), re.DOTALL)
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("x")
    (tmp_path / "broker.toml").write_text(example.replace("/run/secrets/cs3", str(secret)))
    site = load(tmp_path / "broker.toml").sites["cs3.example.org:443"]
    assert [site.mapping.user(account) for account in ("jdoe", "marie", "Nobody1")] == ["einstein", "marie", None]
