"""What may be told of a copy, in the queue, the log and to clients: without secrets, in one line, not endless."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from rucio_cs3.errors import HIDDEN, without_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rucio_cs3.mover.model import Place, Wanted

LONGEST = 2000  # characters; FTS3 has 2048, and Rucio keeps 4000 with words of its own


def tellable(wanted: Wanted, *texts: str) -> list[str]:
    """The same, but for what nobody may see, and what no database takes: sites say all kinds of things."""
    places = (*wanted.sources, wanted.target)
    secrets = sorted({secret for place in places for secret in _secrets(place)}, key=len, reverse=True)
    return [_without(secrets, text) for text in texts]


def tellable_of(text: str) -> str:
    """The same where nothing is copied."""
    return _without([], text)


def all_tellable(wanted: Wanted, reasons: Mapping[str, str]) -> dict[str, str]:
    """Of each source."""
    return dict(zip(reasons, tellable(wanted, *reasons.values())))


def _without(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    told = "".join(letter if letter.isprintable() else " " for letter in without_tokens(text))
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 1]}…"


def _secrets(place: Place) -> list[str]:
    """Its token, and what follows the path: something that opens the door may stand there."""
    query = place.url.partition("?")[2]
    return [*filter(None, [place.token]), *([f"?{query}", f"?{unquote(query)}"] if query else [])]
