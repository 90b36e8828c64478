"""Every block of commands, code or settings in the documentation, and who runs it.

A test takes its block from here by its name, so that what it runs is what is written, and a block that nobody takes is
found. One that cannot be run has `<!-- not run: the reason -->` on the line before it.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).parents[2]
ELSEWHERE = ["docker/README.md", "etc/README.md", "etc/helm/rucio-cs3/README.md"]
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").glob("*.md"), *(TOP / page for page in ELSEWHERE)])
FENCED = re.compile(
    r"(?:^ *<!-- not run: (?P<why>[^\n]+) -->\n)?^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)

# Who runs all blocks of a page, and says so itself by a test called test_all_blocks_are_used.
WHOLE_PAGES = {"docs/orchestration.md": "tests/rucio/test_orchestration_docs.py"}

# The test, and its blocks: page, language, and words that are in no other such block of the page.
USES = {
    "tests/docs/test_examples.py": {
        "readme gateway": ("README.md", "sh", "rucio-cs3 gateway"),
        "readme python": ("README.md", "python", "open_read"),
        "python install": ("docs/python.md", "sh", "pip install ."),
        "python client": ("docs/python.md", "python", "open_read"),
        "python errors": ("docs/python.md", "python", "FileNotFoundError"),
        "python gateway": ("docs/python.md", "sh", "rucio-cs3 gateway"),
        "sites gateway": ("docs/sites.md", "sh", "rucio-cs3 gateway"),
        "settings": ("docs/settings.md", "toml", "gateway"),
    },
    "tests/stack/test_stack.py": {
        "docker up": ("docker/README.md", "sh", "docker/try"),
        "docker mover": ("docker/README.md", "sh", "mover status"),
        "docker down": ("docker/README.md", "sh", "down -v"),
    },
    "tests/rucio/etc/described.py": {
        "etc template": ("etc/README.md", "python", "add_protocol"),
    },
    "tests/docs/test_broker.py": {
        "broker start": ("docs/broker.md", "sh", "rucio-cs3 broker"),
        "broker settings": ("docs/broker.md", "toml", "[rucio]"),
    },
    "tests/docs/test_monitoring.py": {
        "monitoring mover": ("docs/monitoring.md", "toml", "[callers.prometheus]"),
        "monitoring broker": ("docs/monitoring.md", "toml", "[metrics]"),
        "monitoring daemons": ("docs/monitoring.md", "ini", "metrics = on"),
        "monitoring file": ("docs/monitoring.md", "sh", "RUCIO_CS3_METRICS"),
        "monitoring traces": ("docs/monitoring.md", "sh", "OTEL_"),
    },
    "tests/docs/test_files.py": {
        "files login": ("docs/files.md", "sh", "RUCIO_CS3_GATEWAY"),
        "files commands": ("docs/files.md", "sh", "rucio-cs3 mkdir"),
        "files python": ("docs/files.md", "python", "bulk"),
    },
    "tests/rucio/test_docs.py": {
        "readme install": ("README.md", "sh", "'.[rucio]'"),
        "readme login": ("README.md", "ini", "[cs3:CERNBOX]"),
        "readme use": ("README.md", "sh", "rucio upload"),
        "readme operators": ("README.md", "sh", "rse add"),
        "quickstart install": ("docs/quickstart.md", "sh", "'.[rucio]'"),
        "quickstart secret": ("docs/quickstart.md", "sh", "install -D"),
        "quickstart login": ("docs/quickstart.md", "ini", "[cs3:CERNBOX]"),
        "quickstart explain": ("docs/quickstart.md", "sh", "token explain"),
        "quickstart rucio": ("docs/quickstart.md", "sh", "rucio upload"),
        "quickstart files": ("docs/quickstart.md", "sh", "rucio-cs3 cp"),
        "quickstart empty": ("docs/quickstart.md", "ini", "protocol_stat_retries"),
        "credentials order": ("docs/credentials.md", "ini", "auth ="),
        "credentials commands": ("docs/credentials.md", "sh", "token explain"),
        "operators install": ("docs/operators.md", "sh", "'.[rucio]'"),
        "operators login": ("docs/operators.md", "ini", "password_file"),
        "operators look": ("docs/operators.md", "sh", "/remote.php/webdav\n"),
        "operators add": ("docs/operators.md", "sh", "/remote.php/webdav --yes\n"),
        "operators limit": ("docs/operators.md", "sh", "account limit"),
        "operators check": ("docs/operators.md", "sh", "rse check"),
        "operators show": ("docs/operators.md", "sh", "rse show"),
        "operators by hand": ("docs/operators.md", "sh", "rse protocol add"),
        "operators space": ("docs/operators.md", "sh", "rse settings"),
        "operators rotate": ("docs/operators.md", "sh", "rse rotate"),
        "operators policy": ("docs/operators.md", "ini", "[policy]"),
        "operators daemons": ("docs/operators.md", "ini", "machine_secret_file"),
        "operators accounts": ("docs/operators.md", "json", "machine_secret_file"),
        "consistency dump": ("docs/consistency.md", "sh", "rucio-cs3 dump"),
        "consistency auditor": ("docs/consistency.md", "ini", "dumps.example.org"),
    },
}


class Block(NamedTuple):
    page: str
    language: str
    text: str
    why_not: str | None

    def is_what(self, page: str, language: str, words: str) -> bool:
        return (self.page, self.language) == (page, language) and words in self.text


def read(page: Path) -> list[Block]:
    name = str(page.relative_to(TOP))
    return [
        Block(name, found["language"], textwrap.dedent(found["text"]), found["why"])
        for found in FENCED.finditer(page.read_text(encoding="utf-8"))
    ]


BLOCKS = [block for page in PAGES for block in read(page)]


def block(name: str) -> str:
    """The text of the one that is called so in the table."""
    [what] = [uses[name] for uses in USES.values() if name in uses]
    [found] = [each for each in BLOCKS if each.is_what(*what)]
    return found.text
