"""The RSE's root folder, which the plugin never makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.checkup.model import failed, failure, passed
from rucio_cs3.errors import NotDirectory, Unavailable
from rucio_cs3.operate.place import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.checkup.model import Finding


def root(case: Case) -> Iterator[Finding]:
    """It can be seen, and is a folder."""
    place = case.site.root
    try:
        resolved = case.root.resolve()
    except NotDirectory as error:
        yield failure(error, f"a file is there: {_origin(case)}")
    except Unavailable as error:
        near = nearest(case.client, place)
        yield failed(f"{error.path}: {error.message}; {near}", f"make the folder, or {_origin(case)}")
    else:
        yield passed(f"{place} is there, and is addressed by {'its id' if resolved.id else 'its path'}")


def _origin(case: Case) -> str:
    """Which settings say so."""
    if case.wish.rse:
        return "check cs3_root, space and webdav_root in extended_attributes of the RSE, and the prefix"
    return "check --path"
