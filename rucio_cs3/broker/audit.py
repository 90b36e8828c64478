"""Who got what: one line of JSON for each request, on the logger `rucio_cs3.broker.audit`."""

from __future__ import annotations

import json
import logging
import time
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone

log = logging.getLogger("rucio_cs3.broker.audit")


@dataclass
class Record:
    """What is known of a request so far. Everything in it was checked, or is our own word: no header, no body."""

    client: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    endpoint: str = "unknown"
    code: str = "ok"
    status: int = 200
    account: str | None = None
    site: str | None = None
    user: str | None = None
    trace_id: str | None = None
    began: float = field(default_factory=time.monotonic, repr=False)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def write(self) -> None:
        said = asdict(self)
        line = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "outcome": "granted" if self.code == "ok" else "refused",
            **{name: said[name] for name in said if name not in {"began", "trace_id"}},
            "duration_ms": round(self.seconds * 1000, 1),
            **({"trace_id": self.trace_id} if self.trace_id else {}),
        }
        log.info("%s", json.dumps(line))
