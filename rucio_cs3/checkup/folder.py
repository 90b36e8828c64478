"""The RSE's root folder, which the plugin never makes."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from rucio_cs3.checkup.model import failed, failure, passed
from rucio_cs3.errors import Cs3Error, NotDirectory, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.checkup.model import Finding
    from rucio_cs3.model import Ref

SHOWN = 5  # names


def root(case: Case) -> Iterator[Finding]:
    """It can be seen, and is a folder."""
    place = case.site.root
    try:
        resolved = case.root.resolve()
    except NotDirectory as error:
        yield failure(error, f"a file is there: {_origin(case)}")
    except Unavailable as error:
        near = _nearest(case, place)
        yield failed(f"{error.path}: {error.message}{near and '; '}{near}", f"make the folder, or {_origin(case)}")
    else:
        yield passed(f"{place} is there, and is addressed by {'its id' if resolved.id else 'its path'}")


def _origin(case: Case) -> str:
    """Which settings say so."""
    if case.wish.rse:
        return "check cs3_root, space and webdav_root in extended_attributes of the RSE, and the prefix"
    return "check --path"


def _nearest(case: Case, place: Ref) -> str:
    """How far the path is right, and what is there instead of what comes next."""
    missing = place
    for above in place.ancestors():
        try:
            names = sorted(entry.name for page in case.client.files.briefs(above) for entry in page)
        except Cs3Error:
            missing = above
            continue
        alike = difflib.get_close_matches(missing.name, names, n=1)
        shown = ", ".join(names[:SHOWN]) + ", …" * (len(names) > SHOWN) if names else "nothing"
        return f"{above} is there, {f'did you mean {alike[0]}?' if alike else f'and holds {shown}'}"
    return ""
