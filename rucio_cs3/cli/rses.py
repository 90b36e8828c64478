"""Names of Rucio's RSEs, for a shell that completes one."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from rucio_cs3.errors import Cs3Error

if TYPE_CHECKING:
    import click

PATIENCE = 2.0  # seconds; nobody waits longer for a key


def rse_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """All of them, if Rucio tells them at once."""
    del ctx, param
    found: list[CompletionItem] = []
    asking = threading.Thread(target=_ask, args=(incomplete, found), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return found.copy()


def _ask(incomplete: str, found: list[CompletionItem]) -> None:
    from rucio_cs3.operate.catalogue import Catalogue  # noqa: PLC0415 - a command that completes nothing needs no Rucio

    with contextlib.suppress(Cs3Error):
        found += [CompletionItem(name) for name in Catalogue().names() if name.startswith(incomplete)]
