"""Jobs as clients send them, and as they should not."""

from __future__ import annotations

import contextlib
import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rucio_cs3.mover import fts, jobs
from rucio_cs3.mover.database import Database
from rucio_cs3.mover.model import Compare
from rucio_cs3.mover.queue import Duplicate, Queue

GOOD = {
    "files": [
        {
            "sources": ["davs://a.example:443/x"],
            "destinations": ["davs://b.example/x"],
            "filesize": 3,
            "checksum": "ADLER32:1a2b3c",
            "metadata": {"request_id": "r"},
        }
    ],
    "params": {
        "verify_checksum": "both",
        "overwrite": True,
        "priority": 4,
        "retry": 1,
        "job_metadata": {"issuer": "rucio"},
    },
}


def parse(document):
    return jobs.parse(json.dumps(document).encode())


def changed(path, value):
    """A good job but for this."""
    document = copy.deepcopy(GOOD)
    place = document
    *way, last = path
    for step in way:
        place = place[step]
    place[last] = value
    return document


def test_a_good_one():
    job = parse(GOOD)
    assert (job.kind, job.compare, job.overwrite, job.priority, job.retries) == ("N", Compare.BOTH, True, 4, 1)
    [file] = job.files
    assert (file.size, file.checksum, file.metadata) == (3, "adler32:001a2b3c", {"request_id": "r"})


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    database = Database(str(tmp_path_factory.mktemp("queue") / "mover.db"))
    yield Queue(database)
    database.close()


FILE = ("files", 0)
GOOD_VALUES = {
    "no size": (changed((*FILE, "filesize"), None), lambda job: job.files[0].size is None),
    "size as text": (changed((*FILE, "filesize"), "12"), lambda job: job.files[0].size == 12),
    "no checksum": (changed((*FILE, "checksum"), None), lambda job: job.files[0].checksum is None),
    "no params": (changed(("params",), None), lambda job: (job.priority, job.compare) == (3, Compare.NONE)),
    "compare as flag": (changed(("params", "verify_checksum"), True), lambda job: job.compare == Compare.TARGET),
    "compare in capitals": (
        changed(("params", "verify_checksum"), "SOURCE"),
        lambda job: job.compare == Compare.SOURCE,
    ),
    "high priority": (changed(("params", "priority"), 99), lambda job: job.priority == 5),
    "low priority": (changed(("params", "priority"), -1), lambda job: job.priority == 1),
    "hours": (changed(("params", "max_time_in_queue"), 2), lambda job: job.longest == 7200),
    "minutes": (changed(("params", "max_time_in_queue"), "2m"), lambda job: job.longest == 120),
    "more sources": (changed((*FILE, "sources"), ["davs://a/x", "davs://c/x"]), lambda job: job.kind == "R"),
    "hops": (changed(("params", "multihop"), True), lambda job: job.kind == "H"),
    "tokens": (changed((*FILE, "destination_tokens"), ["t"]), lambda job: job.files[0].tokens == (None, "t")),
    "a query": (changed((*FILE, "sources"), ["davs://a/x?y=z"]), lambda job: job.files[0].sources[0].endswith("?y=z")),
    "unknown settings": (changed(("params", "s3alternate"), True), lambda job: True),
}


@pytest.mark.parametrize(("document", "holds"), GOOD_VALUES.values(), ids=GOOD_VALUES)
def test_what_is_taken(document, holds):
    assert holds(parse(document))


WRONG_VALUES = {
    "files": [None, [], {}, "x", [5], [None], [[]], [{}]],
    "params": [5, "x", [1]],
    "files.sources": [None, [], "davs://a/x", [5], ["davs://a/x", "davs://a/x"]],
    "files.destinations": [None, [], ["davs://b/x", "davs://b/y"]],
    "files.filesize": [-1, 1.5, "x", True, 1 << 63, [], "١٢"],
    "files.checksum": [5, "x", "adler32", "adler32:", "adler32:xyz", "adler32:123456789", "crc99:1", "md5:12", ":1"],
    "files.activity": [5, "a\nb", "\ud800", []],
    "files.source_tokens": ["t", [5], ["a", "b"], ["a\nb"], {"a": 1}],
    "params.verify_checksum": ["sometimes", 5, [], {}],
    "params.overwrite": ["yes", 5, []],
    "params.retry": ["many", -2, 1000, True],
    "params.priority": ["high", 1.5, [], True],
    "params.max_time_in_queue": ["soon", -1, [], "5d"],
    "params.multihop": ["true", 7],
    "params.job_metadata": [float("nan")],
}
URLS = [
    *("", "x", "/x", "file:///etc/passwd", "gsiftp://a/x", "root://a//x", "davs:///x", "davs://a", "davs://a/"),
    *("davs://u:p@a/x", "davs://a:port/x", "davs://[::1/x", "davs://a/x\ny", "davs://a/x y", "davs://a/x#y"),
    *("davs://a/" + "x" * 9000, "javascript:alert(1)", "davs://a:99999/x"),
]


def _wrong():
    for name, values in WRONG_VALUES.items():
        where = [
            step for part in name.split(".") for step in ((part, 0) if part == "files" and "." in name else (part,))
        ]
        yield from (pytest.param(changed(where, value), id=f"{name}-{value!r}"[:40]) for value in values)
    for end in ("sources", "destinations"):
        yield from (pytest.param(changed((*FILE, end), [url]), id=f"{end}-{url!r}"[:40]) for url in URLS)


@pytest.mark.parametrize("document", list(_wrong()))
def test_what_is_refused(document):
    with pytest.raises(jobs.BadJob) as caught:
        parse(document)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 100_000, b'{"files": NaN}'])
def test_what_is_no_job(body):
    with pytest.raises(jobs.BadJob):
        jobs.parse(body)


def test_two_files_for_one_place():
    with pytest.raises(jobs.BadJob, match="same destination"):
        parse({"files": GOOD["files"] * 2})


def test_how_many_files():
    files = [{"sources": ["davs://a/x"], "destinations": [f"davs://b/{n}"]} for n in range(jobs.MOST_FILES + 1)]
    assert len(parse({"files": files[1:]}).files) == jobs.MOST_FILES
    with pytest.raises(jobs.BadJob, match="10001 files are more than the 10000"):
        parse({"files": files})


def test_no_token_is_shown():
    job = parse(changed((*FILE, "source_tokens"), ["a-secret"]))
    assert "a-secret" not in repr(job)
    with pytest.raises(jobs.BadJob) as caught:
        parse(changed((*FILE, "source_tokens"), ["a-secret", "more"]))
    assert "a-secret" not in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)
PLACES = [(*FILE, name) for name in (*GOOD["files"][0], "source_tokens", "activity", "checksums")] + [
    ("params", name)
    for name in (*GOOD["params"], "multihop", "retry_delay", "max_time_in_queue", "sid", "id_generator")
]


@settings(deadline=None)
@given(st.sampled_from(PLACES), VALUES)
def test_any_value_is_taken_or_refused(place, value):
    try:
        job = parse(changed(place, value))
    except jobs.BadJob:
        return
    assert all(file.size is None or file.size >= 0 for file in job.files)
    json.dumps([file.metadata for file in job.files])


@settings(deadline=None)
@given(st.sampled_from(PLACES), VALUES)
def test_what_is_taken_can_be_kept_and_shown(queue, place, value):
    try:
        job = parse(changed(place, value))
    except jobs.BadJob:
        return
    with contextlib.suppress(Duplicate):  # of the example before
        submitted = queue.submit(job, "vo", "caller")
        row = queue.jobs([submitted])[submitted]
        shown = [entry for file in queue.files([submitted])[submitted] for entry in fts.files(file)]
        assert shown[0]["file_metadata"] == job.files[0].metadata
        assert json.loads(json.dumps(fts.job(row, files=shown)))["job_id"] == submitted
        queue.cancel([submitted])
        assert queue.jobs([submitted])[submitted]["state"] == "CANCELED"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(body):
    with pytest.raises(jobs.BadJob):
        jobs.parse(body)
