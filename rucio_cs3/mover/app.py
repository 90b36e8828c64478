"""FTS3's REST door, as far as Rucio goes through it, and our own addresses beside it. A WSGI application."""

from __future__ import annotations

import json
import logging
import traceback
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from urllib.parse import parse_qs

from rucio_cs3 import observe
from rucio_cs3.errors import ConfigError
from rucio_cs3.mover import fts, jobs, pages
from rucio_cs3.mover.callers import NOBODY
from rucio_cs3.mover.queue import Duplicate
from rucio_cs3.observe.metrics import CONTENT_TYPE
from rucio_cs3.service.peer import Peer
from rucio_cs3.service.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rucio_cs3.mover.callers import Known
    from rucio_cs3.mover.mover import Mover

    Environ = dict[str, Any]

log = logging.getLogger("rucio_cs3.mover")

LARGEST_BODY = 64 << 20
MOST_IDS = 5000
MOST_LISTED = 500
FILTERS = frozenset({"state_in", "limit", "fields", "vo_name"})  # the last one changes nothing: a caller has one VO
FIRSTS = frozenset({"jobs", "ban", "config", "status.json", "metrics", "health", "whoami", "fts3"})
UNSEEN = ("GET /health", "GET /metrics")  # probes would drown the rest
JSON = "application/json"
VERSION = {"major": 3, "minor": 12, "patch": 0}


class Request(NamedTuple):
    environ: Environ
    caller: Known
    ids: tuple[str, ...]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.environ.get("QUERY_STRING", ""))

    def body(self) -> bytes:
        length = self.environ.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > LARGEST_BODY:
            raise Refused("too_large", f"A body of at most {LARGEST_BODY} bytes is taken")
        return bytes(self.environ["wsgi.input"].read(int(length)))

    def document(self) -> dict[str, Any]:
        """Raises BadJob."""
        return jobs.document_of(self.body())

    def asked(self, name: str) -> str:
        return self.query.get(name, [""])[-1]


class Answer(NamedTuple):
    body: Any
    status: int = 200
    kind: str = JSON
    headers: Mapping[str, str] = {}


class App:
    def __init__(self, mover: Mover, *, authenticate: Callable[[Environ], Known]) -> None:
        self._mover = mover
        self._queue = mover.queue
        self._authenticate = authenticate
        # By method and path, of which `*` is the ids of jobs.
        self._table: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", ""): self._version,
            ("GET", "whoami"): self._whoami,
            ("GET", "jobs"): self._listed,
            ("POST", "jobs"): self._submit,
            ("PUT", "jobs"): self._submit,
            ("GET", "jobs/*"): self._jobs,
            ("POST", "jobs/*"): self._modify,
            ("DELETE", "jobs/*"): self._cancel,
            ("GET", "jobs/*/files"): self._files,
            ("GET", "ban/se"): lambda request: Answer(mover.orders.bans(request.caller.vo)),
            ("POST", "ban/se"): lambda request: Answer(mover.orders.ban(request.caller, request.document())),
            ("DELETE", "ban/se"): self._unban,
            ("GET", "config/se"): lambda request: Answer(mover.orders.limits(request.caller.vo)),
            ("POST", "config/se"): self._limit,
            ("GET", "status.json"): lambda request: Answer(mover.status(request.caller.vo)),
            ("GET", "metrics"): lambda _: Answer(mover.metrics.text(), kind=CONTENT_TYPE),
            ("GET", "health"): lambda _: Answer({"status": "ok"}),
        }

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            name = _named(environ)
            with observe.NOTHING if name in UNSEEN else observe.serving("mover", name, environ.items):
                answer = self._answer(environ)
        except Refused as refused:
            phrase = HTTPStatus(refused.status).phrase
            message = {"status": f"{refused.status} {phrase}", "message": refused.text, **refused.more}
            answer = Answer(message, refused.status, headers=refused.headers)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        fixed = {
            "Content-Type": answer.kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": pages.POLICY,
            "Referrer-Policy": "no-referrer",
        }
        if answer.status == HTTPStatus.NO_CONTENT:
            fixed = {}
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", [*{**fixed, **answer.headers}.items()])
        return [body]

    def _answer(self, environ: Environ) -> Answer:
        path, ids = _path(environ.get("PATH_INFO", ""))
        method = environ["REQUEST_METHOD"]
        if path == "health":
            return self._table["GET", path](Request(environ, NOBODY, ()))
        Peer(environ, behind_proxy=False).refuse_plaintext()
        if path in pages.FILES and method == "GET":
            return _page(path, environ["PATH_INFO"])
        caller = self._who(environ)
        allowed = sorted(known for known, place in self._table if place == path)
        if not allowed:
            raise Refused("not_found", "The requested URL was not found on the server")
        if method not in allowed:
            text = f"/{path} takes {' and '.join(allowed)} only"
            raise Refused("method_not_allowed", text, headers={"Allow": ", ".join(allowed)})
        if caller.watch and method != "GET":
            raise Refused("not_yours", f"{caller.name} may look, and change nothing")
        if "HTTP_ORIGIN" in environ and method != "GET":  # any page could, where a browser has a certificate
            raise Refused("not_yours", "A web page may look, and change nothing")
        try:
            return self._table[method, path](Request(environ, caller, ids))
        except Refused:
            raise
        except jobs.BadJob as error:
            raise Refused("bad_request", str(error)) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            raise _failed(error) from None

    def _who(self, environ: Environ) -> Known:
        try:
            return self._authenticate(environ)
        except ConfigError as error:  # of a secret's file, read just now
            raise _failed(error) from None

    def _version(self, _: Request) -> Answer:
        told = dict.fromkeys(("api", "core", "schema", "delegation"), VERSION)
        return Answer({**told, "_links": {"fts:whoami": {"href": "/whoami"}, "fts:joblist": {"href": "/jobs"}}})

    def _whoami(self, request: Request) -> Answer:
        caller = request.caller
        vo_id = str(uuid.uuid5(jobs.BASE_ID, caller.vo))
        return Answer(
            {
                "user_dn": caller.name,
                "dn": [caller.name],
                "method": caller.method,
                "delegation_id": str(uuid.uuid5(jobs.BASE_ID, f"{caller.vo} {caller.name}"))[:16].replace("-", ""),
                "base_id": str(jobs.BASE_ID),
                "vos": [caller.vo],
                "vos_id": [vo_id],
                "voms_cred": [],
                "roles": [],
                "level": fts.LEVEL,
                "is_root": False,
            }
        )

    def _submit(self, request: Request) -> Answer:
        job = jobs.parse(request.body(), self._mover.most_files)
        try:
            job_id = self._queue.submit(job, request.caller.vo, request.caller.name)
        except Duplicate as error:
            raise Refused("duplicate", str(error)) from None
        self._mover.tell()
        return Answer({"job_id": job_id})

    def _listed(self, request: Request) -> Answer:
        unknown = sorted(request.query.keys() - FILTERS)
        if unknown:
            raise Refused(
                "bad_request", f"{unknown[0][:40]!r} is not known here; jobs are listed by state_in and limit"
            )
        limit = request.asked("limit") or "0"
        if not limit.isdecimal() or int(limit) > MOST_LISTED:
            raise Refused("bad_request", f"The limit must be positive and less or equal than {MOST_LISTED}")
        states, fields = (_words(request.asked(name)) for name in ("state_in", "fields"))
        shown = map(fts.job, self._queue.listed(request.caller.vo, states, int(limit)))
        if fields:
            return Answer([{name: job[name] for name in fields if name in job} for job in shown])
        return Answer([*shown])

    def _jobs(self, request: Request) -> Answer:
        """With `files`, as Rucio asks, each job has its files with these of their fields."""
        rows = self._queue.jobs(request.ids)
        only = _words(request.asked("files"))
        files = self._queue.files(list(rows)) if only else {}
        so_far = self._mover.so_far()

        def show(row: Any) -> dict[str, Any]:
            if not only:
                return fts.job(row)
            return fts.job(row, files=_shown(files[row["id"]], so_far, only))

        return self._each(request, rows, show)

    def _files(self, request: Request) -> Answer:
        rows = self._mine(request, self._queue.jobs(request.ids))
        files = self._queue.files(list(rows))
        so_far = self._mover.so_far()
        shown = [entry for row in rows.values() for entry in _shown(files[row["id"]], so_far)]
        if len(rows) < len(request.ids):
            raise _unknown(next(job for job in request.ids if job not in rows))
        return Answer(shown)

    def _cancel(self, request: Request) -> Answer:
        return self._change(request, lambda ids: self._mover.stop(self._queue.cancel(ids)))

    def _modify(self, request: Request) -> Answer:
        params = request.document().get("params")
        if not isinstance(params, dict) or params.get("priority") is None:
            raise Refused("bad_request", "Missing parameter: priority")
        wanted = jobs.priority(params)
        return self._change(request, lambda ids: self._queue.prioritize(ids, wanted))

    def _unban(self, request: Request) -> Answer:
        self._mover.orders.unban(request.caller.vo, request.asked("storage"))
        self._mover.tell()
        return Answer(b"", HTTPStatus.NO_CONTENT)

    def _limit(self, request: Request) -> Answer:
        limits = self._mover.orders.limit(request.caller.vo, request.document())
        self._mover.tell()
        return Answer(limits)

    def _change(self, request: Request, change: Callable[[Sequence[str]], None]) -> Answer:
        """Of those jobs that have not come to their end."""
        before = self._mine(request, self._queue.jobs(request.ids))
        open_jobs = [job for job, row in before.items() if row["state"] not in fts.FINAL]
        change(open_jobs)
        rows = self._queue.jobs(request.ids)

        def show(row: Any) -> dict[str, Any]:
            if row["id"] in open_jobs:
                return fts.job(row)
            return fts.job(row, fts.UNCHANGED, http_message="The job is in a final state")

        return self._each(request, rows, show)

    def _each(self, request: Request, rows: dict[str, Any], show: Callable[[Any], dict[str, Any]]) -> Answer:
        """One job, or a list: 207 when one of several is not there."""
        rows = self._mine(request, rows)
        if len(request.ids) == 1:
            if not rows:
                raise _unknown(request.ids[0])
            return Answer(show(rows[request.ids[0]]))
        shown = [show(rows[job]) if job in rows else fts.unknown(job) for job in request.ids]
        return Answer(shown, 200 if len(rows) == len(set(request.ids)) else 207)

    @staticmethod
    def _mine(request: Request, rows: dict[str, Any]) -> dict[str, Any]:
        """Whoever is of another VO does not learn which jobs there are."""
        return {job: row for job, row in rows.items() if row["vo"] == request.caller.vo}


def _path(text: str) -> tuple[str, tuple[str, ...]]:
    """The path as the table knows it, and the ids in it."""
    parts = [part for part in text.split("/") if part]
    if len(parts) > 1 and parts[0] == "jobs":
        ids = tuple(part for part in parts[1].split(",") if part)
        if len(ids) > MOST_IDS:
            raise Refused("bad_request", f"At most {MOST_IDS} jobs can be asked for at once")
        parts[1] = "*" if ids else ""
        return "/".join(parts), ids
    return "/".join(parts), ()


def _shown(files: Iterable[Any], so_far: Mapping[int, int], only: Sequence[str] = ()) -> list[dict[str, Any]]:
    return [entry for file in files for entry in fts.files(file, only, so_far.get(file["id"]))]


def _named(environ: Environ) -> str:
    """What is asked, without what it is asked of."""
    first = environ.get("PATH_INFO", "").strip("/").partition("/")[0]
    return f"{environ['REQUEST_METHOD']} /{first if first in FIRSTS else ''}"


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _page(path: str, asked: str) -> Answer:
    """With a slash at the end, because the page names its other files by what follows it."""
    if path == pages.PLACE and not asked.endswith("/"):
        return Answer(b"", HTTPStatus.PERMANENT_REDIRECT, headers={"Location": f"{path.rpartition('/')[2]}/"})
    content, kind = pages.read(path)
    return Answer(content, kind=kind)


def _unknown(job_id: str) -> Refused:
    """With what Rucio looks for, to know that the job is lost; FTS3 says it only of one among several."""
    said = fts.unknown(job_id)
    return Refused("not_found", said["http_message"], more=said)


def _failed(error: Exception) -> Refused:
    """Without the error's text, in the log as well: nobody knows what stands in it."""
    number = uuid.uuid4().hex
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s: %s\n%s", number, type(error).__name__, where)
    return Refused("internal_error", f"The mover failed; show its operator the request id {number}")
