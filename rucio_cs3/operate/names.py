"""Names of what we make at a site to try it: all can be told from files, and those of a killed run from a living one's.

A dump for the auditor leaves out what is called so, and `rucio-cs3 rse check` removes it when it is old.
"""

from __future__ import annotations

import secrets
import time

PREFIX = ".rucio-cs3-check-"
SUFFIX = ".part"  # as the dump knows it
OLD = 3600.0  # seconds; nothing is tried for so long, so whoever left it was killed


def new() -> str:
    return f"{PREFIX}{int(time.time()):x}-{secrets.token_hex(6)}{SUFFIX}"


def age(name: str) -> float | None:
    """In seconds, by its own name; None for what is none of ours."""
    if not (name.startswith(PREFIX) and name.endswith(SUFFIX)):
        return None
    try:
        return time.time() - int(name[len(PREFIX) :].partition("-")[0], 16)
    except ValueError:
        return None
