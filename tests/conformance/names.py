"""Names that are legal, and that somebody has got wrong."""

from __future__ import annotations

NAMES = [
    "a b",
    "ünïcode-日本",
    "100%",
    "%41",
    "a#b",
    "a+b",
    "q?x=1",
    'it\'s "quoted"',
    "back\\slash",
    "tab\there",
    "new\nline",
    "-dash",
    "..dots",
    ".hidden",
    "n" * 255,
]
