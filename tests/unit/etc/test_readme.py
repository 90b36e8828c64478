from __future__ import annotations

import re

from tests.unit.etc.units import ETC

OF_THEIR_OWN = {"helm"}  # folders that have a README and tests


def test_each_file_is_in_the_table():
    rows = [line.split("|")[1] for line in (ETC / "README.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    files = {str(path.relative_to(ETC)) for path in ETC.rglob("*") if path.is_file()} - {"README.md"}
    assert sorted(named) == sorted(name for name in files if name.split("/")[0] not in OF_THEIR_OWN)
