"""WLCG Bearer Token Discovery: where other tools put the user's token."""

from __future__ import annotations

import os
from pathlib import Path

from rucio_cs3.errors import NoLogin
from rucio_cs3.private import read_secret, there


def discover() -> str:
    """The token in BEARER_TOKEN, or in the file that BEARER_TOKEN_FILE names, or in the user's own places.

    Raises:
        NoLogin: there is none.
        ConfigError: there is one that cannot be read, or that others can.
    """
    token = os.environ.get("BEARER_TOKEN", "").strip()
    if token:
        return token
    file = os.environ.get("BEARER_TOKEN_FILE")
    if file:
        return read_secret(file, "BEARER_TOKEN_FILE")
    name = f"bt_u{os.geteuid()}"
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), "/tmp"):  # noqa: S108 - so it is agreed
        if folder and there(Path(folder, name)):
            return read_secret(str(Path(folder, name)), "the bearer token file", strict=True)
    raise NoLogin("no BEARER_TOKEN, no BEARER_TOKEN_FILE, and no bt_u file of this user")
