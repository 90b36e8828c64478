"""The secrets of the stack: each is a file that only root can read, made when it is first asked for."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Vault:
    """`made` says which of them were not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.was_empty = not any(folder.iterdir())
        self.made: list[str] = []

    def secret(self, name: str) -> str:
        """Letters and digits, so that it can stand in every file and address as it is."""
        return self.kept(name, lambda: secrets.token_hex(20))

    def kept(self, name: str, make: Callable[[], str]) -> str:
        """What stands under the name; what `make` makes if nothing does."""
        file = self._folder / name
        if not self.has(name):
            self.made.append(name)
            write(file, make(), 0)
        return file.read_text()

    def has(self, name: str) -> bool:
        """Whether it is there: an empty file is what a full disk leaves."""
        file = self._folder / name
        return file.is_file() and file.stat().st_size > 0


def write(file: Path, content: str, owner: int) -> None:
    """Whole or not at all, for the owner alone."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    os.chown(new, owner, owner)
    new.write_text(content, encoding="utf-8")
    new.replace(file)
