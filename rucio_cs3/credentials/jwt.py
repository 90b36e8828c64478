"""What a JWT says of itself. Unverified: only its issuer can verify it, we only want to know when and for whom."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS = 3  # header, claims, signature
END_OF_TIME = 1e11  # seconds; some five thousand years from now, and calendars end later


def is_jwt(token: str | None) -> bool:
    """Rucio calls three parts between dots a JWT; an x509 identity with two dots in it is none."""
    return "alg" in _decoded(token, 0)


def claims(token: str | None) -> dict[str, Any]:
    """Empty for what is no JWT."""
    return _decoded(token, 1)


def expiry(token: str | None) -> float | None:
    """In seconds since 1970; None when it does not tell."""
    return number(claims(token), "exp")


def number(known: Mapping[str, Any], name: str) -> float | None:
    try:
        value = float(known[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return value if abs(value) < END_OF_TIME else None


def _decoded(token: str | None, part: int) -> dict[str, Any]:
    parts = (token or "").split(".")
    if len(parts) != PARTS:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
