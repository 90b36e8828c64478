"""Names of Rucio's RSEs, for a shell that completes one: kept for a while, as Rucio takes longer than a key may."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from rucio_cs3.credentials.store import write_private

if TYPE_CHECKING:
    import click

PATIENCE = 2.0  # seconds; nobody waits longer for a key
KEPT = 300.0  # seconds in which Rucio is not asked again
UNHEARD = 60.0  # the same where it has told nothing: then there may be none
RUCIOS = ("RUCIO_CONFIG", "RUCIO_HOME", "RUCIO_ACCOUNT", "RUCIO_VO", "VIRTUAL_ENV")  # what may lead to another one


def rse_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For an argument that is one."""
    del ctx, param
    return [CompletionItem(name) for name in known(incomplete)]


def known(begun: str) -> list[str]:
    """Those that begin so, if Rucio tells them at once, or has told them a moment ago."""
    file = _file()
    names = _kept(file)
    if names is None:
        names = _asked()
        _keep(file, names)
    return [name for name in names if name.startswith(begun)]


def forget() -> None:
    """There is a new one."""
    with contextlib.suppress(OSError):
        _file().unlink()


def _asked() -> list[str]:
    found: list[str] = []
    asking = threading.Thread(target=_ask, args=(found,), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return found.copy()


def _ask(found: list[str]) -> None:
    with contextlib.suppress(Exception):  # whatever it is, whoever types a word is not told
        from rucio_cs3.operate.catalogue import Catalogue  # noqa: PLC0415 - what completes nothing needs no Rucio

        found += Catalogue().names()


def _file() -> Path:
    """Without asking Rucio which one it is: to import it takes as long as to ask it."""
    which = "\0".join(os.environ.get(name, "") for name in RUCIOS)
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - there may be no home
    return Path(folder, "rucio-cs3", "rses", f"{hashlib.sha256(which.encode()).hexdigest()[:16]}.json")


def _kept(file: Path) -> list[str] | None:
    try:
        age = time.time() - file.stat().st_mtime
        names = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return names if 0 <= age < (KEPT if names else UNHEARD) else None


def _keep(file: Path, names: list[str]) -> None:
    """Whole, or not at all."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(0o700, parents=True, exist_ok=True)
        write_private(file, names)
