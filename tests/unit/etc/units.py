"""Units of etc/systemd, and what systemd would start for them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from demo.process import BIN

if TYPE_CHECKING:
    from collections.abc import Mapping

ETC = Path(__file__).parents[3] / "etc"
PROGRAM = "/opt/rucio-cs3/bin/rucio-cs3"
INSTANCE = "CERNBOX"


class Unit:
    def __init__(self, name: str, instance: str = INSTANCE) -> None:
        self.file = ETC / "systemd" / name
        self.name = name.replace("@", f"@{instance}")
        self.instance = instance

    def values(self, key: str) -> list[str]:
        """In order; an assignment of nothing takes back those before it."""
        found: list[str] = []
        for value in re.findall(rf"^{key}=(.*)$", self.file.read_text(encoding="utf-8"), re.MULTILINE):
            found = [*found, value] if value else []
        return found

    def credentials(self) -> dict[str, str]:
        return dict(value.split(":", 1) for value in self.values("LoadCredential"))

    def environment(self) -> dict[str, str]:
        return dict(self._filled(value).split("=", 1) for value in self.values("Environment"))

    def commands(self, key: str, environ: Mapping[str, str], moved: Mapping[str, str]) -> list[list[str]]:
        """With our program, and with what else is somewhere else here."""
        return [
            self._command(value.lstrip("+-!@:"), environ, {PROGRAM: str(BIN / "rucio-cs3"), **moved})
            for value in self.values(key)
        ]

    def _command(self, value: str, environ: Mapping[str, str], moved: Mapping[str, str]) -> list[str]:
        for there, here in moved.items():
            value = value.replace(there, here)
        words = shlex.split(self._filled(value))
        return [re.sub(r"\$\{(\w+)\}", lambda found: environ[found[1]], word) for word in words]

    def _filled(self, value: str) -> str:
        known = {"%": "%", "i": self.instance, "n": self.name, "C": "/var/cache", "S": "/var/lib"}
        return re.sub("%(.)", lambda found: known[found[1]], value)


UNITS = sorted(path.name for path in (ETC / "systemd").iterdir() if path.suffix in {".service", ".timer"})
SERVICES = [name for name in UNITS if name.endswith(".service")]
