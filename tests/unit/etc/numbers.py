"""What Prometheus can be asked for, and what alerts and panels ask for."""

from __future__ import annotations

import re

SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
OTHERS = {"up"}  # Prometheus's own
NAME = re.compile(r"\b(?:rucio_cs3_\w+|up\b)")
SELECTED = re.compile(r"\b(rucio_cs3_\w+){([^}]*)}")


def exported(text: str) -> dict[str, set[str]]:
    """The names of a scrape, each with its labels."""
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (rucio_cs3_\w+) (\w+)$", text, re.MULTILINE):
        if not name.endswith("_created"):
            found |= {name + suffix: set() for suffix in SUFFIXES[kind]}
    for name, labels in re.findall(r"^(rucio_cs3_\w+){(.*)} \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return {name: labels for name, labels in found.items() if not name.endswith("_created")}


def asked(expression: str) -> set[str]:
    return set(NAME.findall(expression)) - OTHERS


def unknown_labels(expression: str, known: dict[str, set[str]]) -> set[str]:
    """Those that are selected, or summed by, and that no number of the expression has."""
    selected = {
        f"{name}: {label}"
        for name, labels in SELECTED.findall(expression)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels)
        if label not in known[name]
    }
    of_any = {label for name in asked(expression) for label in known[name]} | {"instance", "job"}
    summed = {word.strip() for words in re.findall(r"\bby\s*\(([^)]*)\)", expression) for word in words.split(",")}
    return selected | (summed - of_any)
