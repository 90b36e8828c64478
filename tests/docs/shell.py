"""Blocks of commands, run by a shell as their reader would, but for the names that things have here."""

from __future__ import annotations

import contextlib
import re
import subprocess
from typing import TYPE_CHECKING

from demo.process import BIN, COMMAND_SECONDS, Child
from tests.docs.blocks import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PIP = re.compile(r"^pip install (?:\.|'\.\[(?P<extra>[\w-]+)\]') *(?:#.*)?\n", re.MULTILINE)


def exchanged(text: str, names: Mapping[str, str]) -> str:
    """The longest first: one may be a part of another."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    return text


def without_installing(script: str) -> str:
    """What is to be installed is here; the extra that is named has to exist."""
    project = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    for extra in filter(None, (found["extra"] for found in PIP.finditer(script))):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), f"there is no extra {extra}"
    left = PIP.sub("", script)
    assert "pip install" not in left
    return left


def shell(
    script: str, environ: Mapping[str, str], folder: Path, *, names: Mapping[str, str] | None = None, stdin: str = ""
) -> str:
    """Run it to its end, and return what it said."""
    ran = subprocess.run(
        ["sh", "-euc", exchanged(without_installing(script), names or {})],
        env={**environ, "PATH": f"{BIN}:{environ['PATH']}"},
        cwd=folder,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@contextlib.contextmanager
def service(
    script: str, environ: Mapping[str, str], folder: Path, *, names: Mapping[str, str], says: str = "stdout"
) -> Iterator[Child]:
    """The last command is a server: it runs until the end of the block. What it `says` can be read from that pipe."""
    child = Child(
        ["sh", "-euc", exchanged(without_installing(script), names)],
        log=folder / "service.log",
        env={**environ, "PATH": f"{BIN}:{environ['PATH']}"},
        cwd=folder,
        text=True,
        **{says: subprocess.PIPE},
    )
    try:
        yield child
    finally:
        child.stop()
        getattr(child.process, says).close()
