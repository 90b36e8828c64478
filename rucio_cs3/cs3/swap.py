"""A file in the place of another one, also on storages whose Move takes no name that is taken."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from typing import TYPE_CHECKING

from rucio_cs3 import deadline
from rucio_cs3.errors import AlreadyExists, Cs3Error, NotFound

if TYPE_CHECKING:
    from rucio_cs3.cs3.files import Files
    from rucio_cs3.model import Info, Ref

log = logging.getLogger(__name__)
RIVALS = 20  # who replace the same file meanwhile, and are faster
WAY_BACK = (0.0, 0.2, 1.0, 3.0)  # seconds between attempts to undo


def replace(files: Files, old: Ref, new: Ref, known: Info | None) -> None:
    """Rename over a file that may go. Where the storage refuses that, the file steps aside until it is done."""
    for _ in range(RIVALS):
        with contextlib.suppress(AlreadyExists):
            files.rename(old, new, known)
            return
        with deadline.apart():  # once begun it is brought to an end
            if _swap(files, old, new):
                return
    files.rename(old, new, known)


def _swap(files: Files, old: Ref, new: Ref) -> bool:
    """False when somebody else, who replaces it too, was faster."""
    aside = new.parent / f".rucio-cs3-{secrets.token_hex(6)}.old"
    try:
        try:
            files.rename(new, aside)
        except NotFound:
            return False
        done = _takes(files, old, new)
    except BaseException as error:
        with deadline.apart():  # it may be the time that was over
            _step_back(files, aside, new, error)
        raise
    try:
        files.discard(aside)
    except Cs3Error as error:
        log.warning("%s is in place, but what it replaced could not be removed: %s", new, error)
    return done


def _takes(files: Files, old: Ref, new: Ref) -> bool:
    """False when another file has the name: it is that one which has replaced what stepped aside."""
    for _ in range(RIVALS):
        with contextlib.suppress(AlreadyExists):
            files.rename(old, new)
            return True
        if files.may_write(new, overwrite=True):
            return False
    raise AlreadyExists("the storage says that it is there, and does not show it", path=str(new))


def _step_back(files: Files, aside: Ref, new: Ref, cause: BaseException) -> None:
    """Give the file its name back, if it has lost it."""
    for pause in WAY_BACK:
        time.sleep(pause)
        try:
            files.rename(aside, new)
        except NotFound:  # it never went
            return
        except Cs3Error as error:
            log.warning("%s is now called %s, and cannot be moved back: %s", new, aside, error)
        else:
            return
    if isinstance(cause, Cs3Error):
        cause.hint = f"the file that was there is now called {aside}: move it back"
