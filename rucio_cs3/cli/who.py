"""Whom a site takes us for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rucio_cs3.credentials import who
from rucio_cs3.credentials.who import Who

if TYPE_CHECKING:
    from rucio_cs3.cli.site import Site
    from rucio_cs3.client import Cs3Client

__all__ = ["Who", "ask"]


def ask(site: Site, client: Cs3Client) -> Who:
    """Log in, and have the site confirm it. Raises what stops that."""
    return who.ask(client, site.root)
