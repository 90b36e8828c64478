"""Whom a site takes us for, and what is to be said of the token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rucio_cs3.credentials import jwt
from rucio_cs3.errors import PermissionDenied, TokenRejected

if TYPE_CHECKING:
    from rucio_cs3.client import Cs3Client
    from rucio_cs3.credentials.tokens import Tried
    from rucio_cs3.model import Ref

WHOLE = "user"  # the scope of a token that is good for everything


@dataclass(frozen=True)
class Who:
    """A token that the site takes, of which only `token` is secret."""

    username: str
    display_name: str
    limited: bool
    """whether it is good for some paths only"""
    by: Tried
    token: str = field(repr=False)


def ask(client: Cs3Client, root: Ref | None = None) -> Who:
    """Log in, and have the site confirm it; for a limited token that is a look at `root`. Raises what stops that."""
    try:
        user = client.whoami()
        username, display_name, limited = user.username, user.display_name, False
    except (TokenRejected, PermissionDenied):
        # tokens for some paths are refused here in the same words as bad ones
        claims = jwt.claims(client.tokens.held)
        if WHOLE in (claims.get("scope") or {WHOLE: ""}):
            raise
        if root:
            client.files.stat(root)
        known: dict[str, Any] = claims.get("user") or {}
        username, display_name, limited = str(known.get("username", "")), str(known.get("display_name", "")), True
    by = next(tried for tried in client.tokens.tried if tried.outcome == "won")
    return Who(username, display_name, limited, by, client.tokens.get())
