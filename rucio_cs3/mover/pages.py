"""The status page. Its three files are for everybody; what they show, they ask for as the caller who looks at them."""

from __future__ import annotations

from importlib import resources

PLACE = "fts3/ftsmon"  # where Rucio's links lead: <address>/fts3/ftsmon/#/job/<id>
POLICY = (  # for whatever a browser is given, so that nothing runs or is fetched but the page's own files
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
FILES = {
    PLACE: ("page.html", "text/html; charset=utf-8"),
    f"{PLACE}/page.css": ("page.css", "text/css; charset=utf-8"),
    f"{PLACE}/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


def read(path: str) -> tuple[bytes, str]:
    """Content and kind."""
    name, kind = FILES[path]
    return resources.files(__package__).joinpath("page").joinpath(name).read_bytes(), kind
