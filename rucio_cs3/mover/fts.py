"""FTS3's words: the states of jobs and files, and how both are shown to a client."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    Row = Mapping[str, Any]

SUBMITTED, ACTIVE, FINISHED, FAILED, CANCELED = "SUBMITTED", "ACTIVE", "FINISHED", "FAILED", "CANCELED"
DIRTY, NOT_USED = "FINISHEDDIRTY", "NOT_USED"
WAITING = "WAITING"  # ours: SUBMITTED, and to be tried again only later
FINAL = frozenset({FINISHED, FAILED, CANCELED, DIRTY})
GOOD, UNCHANGED = "200 Ok", "304 Not Modified"
LEVEL = {"transfer": "vo", "deleg": "vo", "config": "vo"}


def verdict(finished: int, canceled: int, files: int) -> str:
    """The state of a job that has come to its end."""
    if finished == files:
        return FINISHED
    if finished:
        return DIRTY
    return CANCELED if canceled else FAILED


def time_of(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def job(row: Row, http_status: str = GOOD, **more: Any) -> dict[str, Any]:
    return {
        "job_id": row["id"],
        "job_state": row["state"],
        "job_type": row["kind"],
        "job_metadata": json.loads(row["metadata"]),
        "vo_name": row["vo"],
        "user_dn": row["caller"],
        "priority": row["priority"],
        "submit_time": time_of(row["submitted"]),
        "job_finished": time_of(row["ended"]),
        "verify_checksum": row["compare"],
        "overwrite_flag": bool(row["overwrite"]),
        "reason": row["reason"],
        "http_status": http_status,
        **more,
    }


def unknown(job_id: str) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "http_status": "404 Not Found",
        "http_message": f'No job with the id "{job_id}" has been found',
    }


def files(row: Row, only: Collection[str] = (), so_far: int | None = None) -> Iterable[dict[str, Any]]:
    """One entry for each source, as in FTS3. `so_far` is how many bytes were moved, where the caller knows better."""
    sources = json.loads(row["sources"])
    tried = json.loads(row["tried"] or "{}") if row["state"] in {FINISHED, FAILED} else {}
    for source in sources:
        at_source, reason = _outcome(row, source, sources[0], tried)
        shown = {
            "file_id": row["id"],
            "file_index": row["position"],
            "job_id": row["job"],
            "file_state": at_source,
            "source_surl": source,
            "dest_surl": row["target"],
            "source_se": row["source_site"],
            "dest_se": row["target_site"],
            "user_filesize": row["size"],
            "filesize": row["bytes"] if row["ended"] else None,
            "transferred": so_far if so_far is not None else row["bytes"],
            "checksum": row["checksum"],
            "start_time": time_of(row["began"]),
            "finish_time": time_of(row["ended"]),
            "staging_start": None,
            "staging_finished": None,
            "reason": reason,
            "file_metadata": json.loads(row["metadata"]),
            "retry": row["tries"],
            "activity": row["activity"],
        }
        yield {name: shown[name] for name in only if name in shown} if only else shown


def _outcome(row: Row, source: str, first: str, tried: Mapping[str, str]) -> tuple[str, str | None]:
    """State and reason of one source: those that were tried failed, and where one was used, the others were not."""
    if source in tried:
        return FAILED, tried[source]
    if source == (row["used"] or first) or row["state"] == CANCELED or (row["state"] == FAILED and not tried):
        return SUBMITTED if row["state"] == WAITING else row["state"], row["reason"]
    return NOT_USED, None
