"""One check by Rucio's own auditor, in the environment of its daemons: dump, replica dumps, comparison, what follows.

`python auditor.py FOLDER RSE [process]` writes what was found to FOLDER/results, and with `process` acts on it.
"""

from __future__ import annotations

import os
import sys
import types
from datetime import timedelta
from pathlib import Path

# imported at the top of srmdumps, and used for davs://, srm:// and root:// only
sys.modules.setdefault("gfal2", types.ModuleType("gfal2"))

if __name__ == "__main__":
    from rucio.daemons import auditor
    from rucio.daemons.auditor import srmdumps

    folder, rse, *process = sys.argv[1:]
    os.chdir(folder)
    configuration = srmdumps.parse_configuration([f"{folder}/auditor"])
    results = auditor.consistency(rse, timedelta(days=3), configuration, f"{folder}/cache", f"{folder}/results")
    sys.stdout.write(Path(results).read_text())
    if process:
        auditor.process_output(results)
