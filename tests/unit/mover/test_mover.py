"""The queue and its door, over HTTP, in front of copies between folders."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import uuid
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.unit.mover.conftest import file, wait_for

TOKEN = "a-token-that-nobody-may-see"


def test_a_file_is_copied(mover, put, folders):
    put("davs://a.example/x", b"abc")
    job = mover.submit(file("davs://a.example/x", "davs://b.example/d/y", filesize=3, metadata={"request_id": "r"}))
    told = mover.ended(job)
    assert (told["job_state"], told["job_type"], told["http_status"]) == ("FINISHED", "N", "200 Ok")
    [entry] = told["files"]
    assert (entry["file_state"], entry["reason"], entry["file_metadata"]) == ("FINISHED", None, {"request_id": "r"})
    assert folders.path("davs://b.example/d/y").read_bytes() == b"abc"
    [whole] = mover.ask("GET", f"/jobs/{job}/files").json()
    assert (whole["filesize"], whole["file_state"]) == (3, "FINISHED")


def test_one_of_two_files(mover, put):
    job = mover.submit(
        file(put("davs://a.example/x"), "davs://b.example/x"), file("davs://a.example/none", "davs://b.example/y")
    )
    told = mover.ended(job)
    assert told["job_state"] == "FINISHEDDIRTY"
    assert [entry["file_state"] for entry in told["files"]] == ["FINISHED", "FAILED"]


def test_what_is_in_the_way_is_told_as_rucio_reads_it(mover, put):
    put("davs://b.example/x", b"older")
    job = mover.submit(file(put("davs://a.example/x"), "davs://b.example/x"))
    told = mover.ended(job)
    assert told["job_state"] == "FAILED"
    assert "Destination file exists and overwrite is not enabled" in told["files"][0]["reason"]
    again = mover.submit(file("davs://a.example/x", "davs://b.example/x"), overwrite=True)
    assert mover.ended(again)["job_state"] == "FINISHED"


def test_another_try_helps(mover, put, tmp_path):
    """And no token is told, or kept, whatever the copy says of it."""
    tokens = {"source_tokens": [TOKEN + "-s"], "destination_tokens": [TOKEN]}
    job = mover.submit(file(put("davs://a.example/x"), "davs://b.example/flaky", **tokens), retry=1, retry_delay=1)
    first = wait_for(lambda: next((e for e in mover.job(job)["files"] if e["reason"]), None))
    assert "Communication error" in first["reason"]
    assert mover.ended(job)["job_state"] == "FINISHED"
    shown = [mover.ask("GET", place).text for place in (f"/jobs/{job}/files", "/status.json", "/metrics")]
    assert not [text for text in shown if TOKEN in text]
    assert 'rucio_cs3_mover_retries_total{destination="b.example",source="a.example"} 1.0' in shown[2]
    mover.process.terminate()
    assert TOKEN not in mover.process.stderr.read()
    mover.process.wait(60)
    assert not [path for path in tmp_path.glob("mover.db*") if TOKEN.encode() in path.read_bytes()]


def test_a_retry_is_not_made_where_none_is_wanted(mover, put):
    job = mover.submit(file(put("davs://a.example/x"), "davs://b.example/flaky"), retry=-1)
    assert mover.ended(job)["job_state"] == "FAILED"


def test_tokens_wait_in_a_private_file(mover, root, put, tmp_path):
    (root / "hold").touch()
    mover.submit(file(put("davs://a.example/x"), "davs://b.example/x", destination_tokens=[TOKEN]))
    kept = list(tmp_path.glob("mover.db*"))
    assert [path for path in kept if TOKEN.encode() in path.read_bytes()]
    assert {path.stat().st_mode & 0o077 for path in kept} == {0}


def test_a_destination_is_taken_until_a_canceled_copy_has_let_go(mover, root, put):
    (root / "hold").touch()
    wanted = {"files": [file(put("davs://a.example/x"), "davs://b.example/x")]}
    job = mover.ask("POST", "/jobs", json=wanted).json()["job_id"]
    duplicate = mover.ask("POST", "/jobs", json=wanted)
    assert (duplicate.status_code, duplicate.json()["status"]) == (409, "409 Conflict")
    wait_for((root / "notes").exists)
    canceled = mover.ask("DELETE", f"/jobs/{job}").json()
    assert (canceled["job_state"], canceled["reason"]) == ("CANCELED", "Job canceled by the user")
    (root / "hold").unlink()
    again = wait_for(lambda: mover.ask("POST", "/jobs", json=wanted).json().get("job_id"))
    assert mover.ended(again)["job_state"] == "FINISHED"
    assert mover.job(job)["job_state"] == "CANCELED"


def test_what_was_not_begun_is_canceled(start, settings, root, put):
    mover = start({**settings, "limits": {"copies": 1}})
    (root / "hold").touch()
    files = [file(put(f"davs://a.example/{n}"), f"davs://b.example/{n}") for n in range(3)]
    job = mover.submit(*files)
    wait_for((root / "notes").exists)
    mover.ask("DELETE", f"/jobs/{job}")
    assert {entry["file_state"] for entry in mover.job(job)["files"]} == {"CANCELED"}
    (root / "hold").unlink()
    assert mover.ended(mover.submit(*files[1:]))["job_state"] == "FINISHED"


def test_a_job_that_waits_too_long(start, settings, root, put):
    mover = start({**settings, "limits": {"copies": 1, "lease": 2.0}})
    (root / "hold").touch()
    mover.submit(file(put("davs://a.example/x"), "davs://b.example/x"))
    job = mover.submit(file("davs://a.example/x", "davs://b.example/y"), max_time_in_queue="1s")
    told = mover.ended(job)
    assert (told["job_state"], "too long" in told["reason"]) == ("CANCELED", True)


def test_several_at_once(mover, put):
    jobs = [mover.submit(file(put(f"davs://a.example/{n}"), f"davs://b.example/{n}")) for n in range(3)]
    for job in jobs:
        mover.ended(job)
    unknown = str(uuid.uuid4())
    answer = mover.ask("GET", f"/jobs/{','.join(jobs)}?files=file_state")
    assert (answer.status_code, [job["job_id"] for job in answer.json()]) == (200, jobs)
    answer = mover.ask("GET", f"/jobs/{jobs[0]},{unknown}?files=file_state")
    assert (answer.status_code, answer.json()[1]["http_status"]) == (207, "404 Not Found")
    assert answer.json()[0]["files"] == [{"file_state": "FINISHED"}]
    answer = mover.ask("DELETE", f"/jobs/{jobs[0]},{unknown}")
    assert [job["http_status"] for job in answer.json()] == ["304 Not Modified", "404 Not Found"]


WRONG = {
    "no JSON": ("POST", "/jobs", b"{", 400),
    "no files": ("POST", "/jobs", b"{}", 400),
    "two alike": ("POST", "/jobs", json.dumps({"files": [file("davs://a/x", "davs://b/x")] * 2}).encode(), 400),
    "unknown job": ("GET", f"/jobs/{uuid.uuid4()}", None, 404),
    "unknown files": ("GET", f"/jobs/{uuid.uuid4()}/files", None, 404),
    "odd id": ("GET", "/jobs/'%20OR%201=1", None, 404),
    "unknown cancel": ("DELETE", f"/jobs/{uuid.uuid4()}", None, 404),
    "unknown place": ("GET", "/optimizer", None, 404),
    "method": ("DELETE", "/whoami", None, 405),
    "priority": ("POST", f"/jobs/{uuid.uuid4()}", b'{"params": {"priority": "high"}}', 400),
    "nothing changed": ("POST", f"/jobs/{uuid.uuid4()}", b"{}", 400),
}


@pytest.mark.parametrize(("method", "path", "body", "status"), WRONG.values(), ids=WRONG)
def test_what_is_refused(mover, method, path, body, status):
    answer = mover.ask(method, path, data=body)
    assert answer.status_code == status
    assert answer.json()["status"].startswith(f"{status} ")
    assert answer.json()["message"]


def test_a_connection_carries_many_requests(mover):
    host, port = mover.url.rpartition("/")[2].split(":")
    with contextlib.closing(HTTPConnection(host, int(port), timeout=60)) as connection:
        for first in [True] + [False] * 20:
            connection.auto_open = first
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b'{"status": "ok"}'


@pytest.mark.slow
def test_strangers_who_dawdle_are_not_in_the_way_for_long(mover):
    host, port = mover.url.rpartition("/")[2].split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(20):  # more than there are threads
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        assert mover.session.get(f"{mover.url}/health", timeout=40).status_code == 200


def test_a_request_without_an_end_is_cut(mover):
    """It is from anybody: who asks is known only after it."""
    host, port = mover.url.rpartition("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET /")
        for _ in range(1000):
            connection.sendall(bytes([ord("x")]) * (16 << 10))
    ids = ",".join(str(uuid.uuid4()) for _ in range(5000))
    assert len(mover.ask("GET", f"/jobs/{ids}").json()) == 5000


def test_numbers_for_prometheus(mover, put):
    mover.ended(mover.submit(file(put("davs://a.example/x", b"abc"), "davs://b.example/x")))
    mover.ended(mover.submit(file("davs://a.example/none", "davs://b.example/y")))
    told = mover.ask("GET", "/metrics").text
    assert 'rucio_cs3_mover_files{state="FINISHED"} 1.0' in told
    assert "rucio_cs3_mover_oldest_job_seconds 0.0" in told
    assert 'rucio_cs3_mover_bytes_total{destination="b.example",source="a.example"} 3.0' in told
    assert 'rucio_cs3_mover_failures_total{destination="b.example",side="SOURCE",source="a.example"} 1.0' in told


def test_old_jobs_go_with_their_files(mover, put, settings):
    from rucio_cs3.mover.database import Database  # noqa: PLC0415
    from rucio_cs3.mover.queue import Queue  # noqa: PLC0415

    mover.ended(mover.submit(file(put("davs://a.example/x"), "davs://b.example/x")))
    database = Database(settings["database"])
    Queue(database).forget(3600)
    assert len(database.read(lambda session: session.rows("SELECT id FROM files"))) == 1
    Queue(database).forget(-3600)
    database.close()
    with sqlite3.connect(Path(settings["database"])) as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM files)").fetchone() == (
            0,
            0,
        )
