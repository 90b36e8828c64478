"""What becomes of an upload after it was taken: for a while nobody may read it, and then it may be turned down."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from rucio_cs3.gateway.nodes import FATE, STATUS

if TYPE_CHECKING:
    from rucio_cs3.gateway.faults import Faults
    from rucio_cs3.gateway.metadata import Metadata
    from rucio_cs3.gateway.nodes import Nodes

KEPT, TURNED_DOWN = "kept", "turned-down"


class Processing:
    """Nobody works on it: whoever comes next finds what is over by then. It goes on over a restart."""

    def __init__(self, nodes: Nodes, metadata: Metadata, faults: Faults, seconds: float) -> None:
        self._nodes = nodes
        self._metadata = metadata
        self._faults = faults
        self._seconds = seconds
        self._lock = threading.Lock()

    def begin(self, path: str) -> dict[str, str]:
        """What a file that has just been uploaded is to remember."""
        struck = self._faults.take("processing", "Upload", path)
        until = math.inf if struck.get("never_processed") else time.time() + self._seconds
        return {STATUS: "processing", FATE: f"{until} {TURNED_DOWN if struck.get('turned_down') else KEPT}"}

    def settle(self) -> None:
        """Let happen what should have happened by now."""
        with self._lock:
            for key, fate in self._metadata.having(FATE):
                until, _, outcome = fate.partition(" ")
                if float(until) > time.time():
                    continue
                if outcome == KEPT:
                    self._metadata.unset(key, (STATUS, FATE))
                else:
                    self._nodes.take_back(key)
