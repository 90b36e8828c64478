"""fill.py TEMPLATES SECRETS TARGET: the files of TEMPLATES, with the secret of that name for each @word@."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

templates, secrets, target = map(Path, sys.argv[1:])


def secret(word: re.Match[str]) -> str:
    """As it is written between quotes, in TOML and JSON alike."""
    return json.dumps((secrets / word[1]).read_text(encoding="utf-8").strip())[1:-1]


for file in templates.glob("*.*"):
    filled = re.sub(r"@([a-z]+-secret|password)@", secret, file.read_text(encoding="utf-8"))
    (target / file.name).write_text(filled, encoding="utf-8")
