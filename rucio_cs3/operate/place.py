"""Which folder of a site an RSE is: that it is there, and what is there instead."""

from __future__ import annotations

import contextlib
import difflib
from typing import TYPE_CHECKING

from rucio_cs3.errors import ConfigError, Cs3Error, NotDirectory, NotFound
from rucio_cs3.model import Ref, ResourceId

if TYPE_CHECKING:
    from rucio_cs3.client import Cs3Client
    from rucio_cs3.model import Info

SHOWN = 5  # names


def named(path: str | None, space: str | None, below: str) -> Ref | None:
    """None where neither is named. Raises ConfigError, InvalidName."""
    if path and space:
        raise ConfigError("--path and --space both say where the RSE is", hint="keep one of them")
    if space:
        return Ref(below, ResourceId.parse(space))
    if path and not path.startswith("/"):
        raise ConfigError(f"--path {path} is no CS3 path", hint=f"begin it with a slash: /{path}")
    return Ref(f"{path}/{below}") if path else None


def look(client: Cs3Client, root: Ref) -> Info:
    """The RSE's root folder, which the plugin never makes.

    Raises:
        NotFound: it is not there; the hint names what is.
        NotDirectory: it is a file.
    """
    try:
        info = client.files.stat(root)
    except NotFound as missing:
        raise NotFound(
            "there is no such folder, and the plugin never makes it",
            path=str(root),
            status=missing.status,
            hint=f"{nearest(client, root)}; rucio-cs3 mkdir makes it",
        ) from missing
    if not info.is_directory:
        raise NotDirectory(f"it is a {info.kind}, and an RSE is a folder", path=str(root))
    return info


def nearest(client: Cs3Client, root: Ref) -> str:
    """How far the way to it is right, and what is there instead of what comes next."""
    lower = root
    for place in root.ancestors():
        with contextlib.suppress(Cs3Error):
            if client.files.stat(place).is_directory:
                return f"{place} is there, {_in(client, place, lower.name)}"
        lower = place
    with contextlib.suppress(Cs3Error):
        return f"nothing above it is there either: your own place is {client.files.home()}"
    return "nothing above it is there either"


def _in(client: Cs3Client, place: Ref, name: str) -> str:
    """The folders in it, those first that are called like what was looked for."""
    with contextlib.suppress(Cs3Error):
        names = sorted(entry.name for entry in client.files.list(place) if entry.is_directory)
        shown = difflib.get_close_matches(name, names, n=SHOWN) or names[:SHOWN]
        if shown:
            return f"with {', '.join(shown)}{', …' * (len(names) > len(shown))} in it"
    return "without folders in it"


def choices(client: Cs3Client) -> str:
    """How to name a folder, where there are no spaces to choose from."""
    with contextlib.suppress(Cs3Error):
        home = client.files.home()
        return f"give --path, a folder such as {home.rstrip('/')}/rucio"
    return "give --path, the CS3 path of a folder"
