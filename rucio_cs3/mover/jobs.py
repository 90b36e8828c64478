"""What a client wants moved: a job's JSON, read as strictly as FTS3 reads it."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from rucio_cs3.mover.addresses import identity
from rucio_cs3.mover.model import Compare

SCHEMES = frozenset({"davs", "https", "dav", "http", "cs3s", "cs3"})
MOST_FILES = 10_000
LONGEST_URL = 8192
PRIORITIES = range(1, 6)
USUAL_PRIORITY = 3
MOST_RETRIES = 100
BASE_ID = uuid.UUID("01874efb-4735-4595-bc9c-591aef8240c9")  # FTS3's, so that ids are the same after a change to it
CHECKSUM_DIGITS = {
    "adler32": range(1, 9),
    "crc32": range(1, 9),
    "md5": range(32, 33),
    "sha1": range(40, 41),
    "sha256": range(64, 65),
}
COMPARES: dict[str | bool | None, Compare] = {
    True: Compare.TARGET,
    False: Compare.NONE,
    None: Compare.NONE,
    **{compare.value: compare for compare in Compare},
}
REGULAR, SOURCES, HOPS = "N", "R", "H"  # FTS3's types of jobs


class BadJob(Exception):
    """Its text is for the client."""


@dataclass(frozen=True)
class File:
    """One file of a job. `tokens` are those for the sources, then the one for the target."""

    sources: tuple[str, ...]
    target: str
    size: int | None
    checksum: str | None
    metadata: Any
    activity: str
    tokens: tuple[str | None, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Job:
    files: tuple[File, ...]
    kind: str
    compare: Compare
    overwrite: bool
    overwrite_hop: bool
    priority: int
    retries: int
    """0 means as many as the mover's configuration says, less than that means none"""
    retry_delay: int
    longest: float | None
    """seconds that it may wait in the queue"""
    metadata: Any
    sid: str | None
    """what its id is made of, where the client wants to know that beforehand"""

    def id(self, vo: str) -> str:
        if self.sid is None:
            return str(uuid.uuid4())
        return str(uuid.uuid5(uuid.uuid5(BASE_ID, vo), self.sid))


def parse(body: bytes, most_files: int = MOST_FILES) -> Job:
    """Raises BadJob."""
    document = document_of(body)
    entries, params = document.get("files"), document.get("params") or {}
    if not isinstance(params, dict):
        raise BadJob("Malformed request: params is not an object")
    if not isinstance(entries, list) or not entries:
        raise BadJob("No transfers specified")
    if len(entries) > most_files:
        raise BadJob(f"{len(entries)} files are more than the {most_files} that one job may have")
    files = tuple(_file(entry, f"files[{n}]") for n, entry in enumerate(entries))
    if len({identity(file.target) for file in files}) < len(files):
        raise BadJob("Two files of the job have the same destination")
    hops = _flag(params, "multihop")
    if hops and any(len(file.sources) > 1 for file in files):
        raise BadJob("A hop of a multihop job has one source")
    return Job(
        files=files,
        kind=HOPS if hops else SOURCES if any(len(file.sources) > 1 for file in files) else REGULAR,
        compare=_compare(params.get("verify_checksum")),
        overwrite=_flag(params, "overwrite"),
        overwrite_hop=_flag(params, "overwrite_hop"),
        priority=priority(params),
        retries=_number(params, "retry", "params", -1, MOST_RETRIES) or 0,
        retry_delay=_number(params, "retry_delay", "params", 0, 86400) or 0,
        longest=_hours(params.get("max_time_in_queue")),
        metadata=params.get("job_metadata"),
        sid=_sid(params),
    )


def document_of(body: bytes) -> dict[str, Any]:
    """The JSON object that a request carries. Raises BadJob."""
    try:
        document = json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadJob("Badly formatted JSON request") from None
    if not isinstance(document, dict):
        raise BadJob("Malformed request: an object is wanted")
    return document


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and its like are not JSON, and would not be in our answers


def priority(params: dict[str, Any]) -> int:
    """From 1 to 5. Raises BadJob."""
    if params.get("priority") is None:
        return USUAL_PRIORITY
    wanted = _number(params, "priority", "params", -(1 << 31), 1 << 31) or 0
    return min(max(wanted, PRIORITIES[0]), PRIORITIES[-1])


def site_of(url: str) -> str:
    """Who is at the other end, host and port in lower case: what limits and links are about."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def _file(entry: Any, where: str) -> File:
    if not isinstance(entry, dict):
        raise BadJob(f"Malformed request: {where} is not an object")
    sources, targets = (_urls(entry, name, where) for name in ("sources", "destinations"))
    if len(targets) > 1:
        raise BadJob(f"{where}: a file has one destination")
    if len(set(map(identity, sources))) < len(sources):
        raise BadJob(f"{where}: a source is there twice")
    tokens = (*_tokens(entry, "source_tokens", len(sources), where), *_tokens(entry, "destination_tokens", 1, where))
    return File(
        sources=sources,
        target=targets[0],
        size=_number(entry, "filesize", where, 0, (1 << 63) - 1),
        checksum=_checksum(entry.get("checksum", entry.get("checksums")), where),
        metadata=entry.get("metadata"),
        activity=_activity(entry.get("activity"), where),
        tokens=tokens if any(tokens) else (),
    )


def _urls(entry: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    urls = entry.get(name)
    if not isinstance(urls, list) or not urls:
        raise BadJob(f"{where}: no {name} specified")
    return tuple(_url(url, f"{where}.{name}") for url in urls)


def _url(url: Any, where: str) -> str:
    """Never repeated in an error whole: there may be a secret in it."""
    if not isinstance(url, str) or not url.isprintable() or " " in url or len(url) > LONGEST_URL:
        raise BadJob(f"Invalid value within the request: {where}: Malformed URL")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadJob(f"Invalid value within the request: {where}: Malformed URL") from None
    if parts.scheme.lower() not in SCHEMES:
        raise BadJob(f"Invalid value within the request: {where}: unknown scheme {parts.scheme[:20]!r}")
    if not host:
        raise BadJob(f"Invalid value within the request: {where}: Missing host")
    if "@" in parts.netloc:
        raise BadJob(f"Invalid value within the request: {where}: a login has no place in an address")
    if parts.path in {"", "/"} or parts.fragment:
        raise BadJob(f"Invalid value within the request: {where}: Missing path")
    return str(url)


def _tokens(entry: dict[str, Any], name: str, count: int, where: str) -> tuple[str | None, ...]:
    tokens = entry.get(name)
    if not tokens:
        return (None,) * count
    good = isinstance(tokens, list) and all(t is None or (isinstance(t, str) and t.isprintable()) for t in tokens)
    if not good or len(tokens) != count:
        raise BadJob(f"{where}: {name} is not a list of {count}")
    return tuple(tokens)


def _checksum(text: Any, where: str) -> str | None:
    """As `kind:value` in lower case, filled up with zeros where a client leaves them out."""
    if text is None or text == "":
        return None
    kind, _, value = text.lower().partition(":") if isinstance(text, str) else ("", "", "")
    digits = CHECKSUM_DIGITS.get(kind)
    if not digits or len(value) not in digits or not re.fullmatch("[0-9a-f]+", value):
        raise BadJob(f"Invalid value within the request: {where}: malformed checksum")
    return f"{kind}:{value.zfill(digits[-1])}"


def _activity(name: Any, where: str) -> str:
    if name is None or name == "":
        return "default"
    if not isinstance(name, str) or not name.isprintable():
        raise BadJob(f"Invalid value within the request: {where}.activity")
    return name


def _compare(word: Any) -> Compare:
    if isinstance(word, str):
        word = {"true": True, "false": False}.get(word.lower(), word.lower())
    if not isinstance(word, (str, bool, type(None))) or word not in COMPARES:
        raise BadJob("Invalid value within the request: verify_checksum is none of none, source, target, both")
    return COMPARES[word]


def _flag(params: dict[str, Any], name: str) -> bool:
    value = params.get(name)
    if value not in (None, True, False):
        raise BadJob(f"Invalid value within the request: {name} is not true or false")
    return bool(value)


def _number(table: dict[str, Any], name: str, where: str, least: int, most: int) -> int | None:
    value = table.get(name)
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadJob(f"Invalid value within the request: {where}.{name}")
    return value


def _hours(text: Any) -> float | None:
    """FTS3 takes hours, or a number with its unit."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([smh]?)", str(text), re.ASCII)
    if not found:
        raise BadJob("Invalid value within the request: max_time_in_queue")
    return int(found[1]) * {"s": 1.0, "m": 60.0}.get(found[2], 3600.0) or None


def _sid(params: dict[str, Any]) -> str | None:
    if params.get("id_generator", "standard") != "deterministic":
        return None
    sid = params.get("sid")
    if not isinstance(sid, str) or not sid or not sid.isprintable():
        raise BadJob("Need sid parameter for deterministic id generation")
    return sid
