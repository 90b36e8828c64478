"""What a service's one TOML file says, each value checked against the dataclass that it is for."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rucio_cs3.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def read_toml(place: str, hint: str) -> dict[str, Any]:
    """Raises ConfigError."""
    try:
        document: dict[str, Any] = tomllib.loads(Path(place).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {place}: {error.strerror}", hint=hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place} is not TOML: {error}") from None  # the error's context may hold a secret
    return document


def fill(kind: Callable[..., T], table: Any, where: str) -> T:
    """An object of this dataclass, each value checked against its field; values are never shown, some are secrets."""
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: a table of settings is wanted")
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name, value in table.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(f"{where}: unknown setting {name!r}", hint=f"did you mean {near[0]!r}?" if near else None)
        fits, meaning = _KINDS.get(str(known[name].type), _ANY)
        if not fits(value):
            raise ConfigError(f"{where}: {name} is not {meaning}")
    missing = [f.name for f in known.values() if f.name not in table and _required(f)]
    if missing:
        raise ConfigError(f"{where}: no {missing[0]} is given")
    return kind(**table)


def _required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_number_table(value: Any) -> bool:
    return isinstance(value, dict) and all(type(number) is int and number > 0 for number in value.values())


def _is_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(table, dict) for table in value.values())


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


_TEXT = (lambda value: isinstance(value, str), "text")
_ANY = (lambda _: True, "")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (lambda value: _is_number(value) and isinstance(value, int), "a whole number"),
    "float": (_is_number, "a number of seconds"),
    "str": _TEXT,
    "str | None": _TEXT,
    "int | None": (lambda value: _is_number(value) and isinstance(value, int), "a whole number"),
    "list[str]": (_is_texts, "a list of texts"),
    "dict[str, int]": (_is_number_table, "a table of whole numbers"),
    "dict[str, dict[str, Any]]": (_is_tables, "a table of tables"),
    "dict[str, str]": (_is_text_table, "a table of account = user"),
}
