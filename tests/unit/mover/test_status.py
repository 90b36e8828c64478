"""What movers tell of their work, and where Rucio's links lead."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from rucio_cs3.mover import flow
from rucio_cs3.mover.flow import Flow
from tests.unit.mover.conftest import file, wait_for
from tests.unit.mover.test_claims import kept  # noqa: F401 - a fixture

CHUNK = 1 << 16


def status(mover):
    return mover.ask("GET", "/status.json").json()


def test_a_copy_that_runs(mover, root, put):
    (root / "hold").write_text(str(CHUNK))
    put("davs://a.example/x", b"x" * 3 * CHUNK)
    job = mover.submit(file("davs://a.example/x", "davs://b.example/y?authz=secret", filesize=3 * CHUNK))
    [copy] = wait_for(lambda: [copy for copy in status(mover)["running"] if copy["bytes"] == CHUNK])
    assert (copy["job"], copy["file"], copy["size"]) == (job, "davs://b.example/y", 3 * CHUNK)
    [entry] = mover.job(job, "transferred,filesize,file_state")["files"]
    assert entry == {"transferred": CHUNK, "filesize": None, "file_state": "ACTIVE"}
    [link] = status(mover)["links"]
    assert (link["source"], link["destination"], link["active"]) == ("a.example", "b.example", 1)
    assert link["rate"] > 0
    (root / "hold").unlink()
    mover.ended(job)
    assert mover.job(job, "transferred,filesize")["files"] == [{"transferred": 3 * CHUNK, "filesize": 3 * CHUNK}]


def test_what_opens_a_door_is_not_logged(mover):
    job = mover.submit(file("davs://a.example/none?authz=se%2Fcret", "davs://b.example/y?authz=other"))
    [entry] = mover.ended(job)["files"]
    assert entry["reason"] == "SOURCE [2] No such file or directory: davs://a.example/none…"
    assert status(mover)["failures"][0]["reason"] == entry["reason"]
    mover.process.terminate()
    log = mover.process.stderr.read()
    assert "No such file" in log
    assert "authz" not in log


def test_what_other_movers_do_is_told_too(start, settings, empty_postgresql, root, put):
    (root / "hold").write_text(str(CHUNK))
    settings = {**settings, "database": empty_postgresql, "limits": {"copies": 1, "lease": 2.0}}
    movers = [start(settings, name) for name in ("one", "two")]
    put("davs://a.example/x", b"x" * 3 * CHUNK)
    for n in range(2):
        movers[0].submit(file("davs://a.example/x", f"davs://b.example/{n}"))

    def at_both():
        running = [status(mover)["running"] for mover in movers]
        return all(len(each) == 2 and {copy["bytes"] for copy in each} == {CHUNK} for each in running)

    wait_for(at_both)
    assert len({copy["mover"] for copy in status(movers[0])["running"]}) == 2


def test_only_the_caller_s_vo_is_named(kept):  # noqa: F811
    from rucio_cs3.mover import status as numbers  # noqa: PLC0415

    claims = kept.mover()
    for vo in ("one", "two"):
        kept.submit(file(f"davs://a/{vo}", f"davs://b/{vo}"), file(f"davs://a/{vo}-bad", f"davs://b/{vo}-bad"), vo=vo)
    for claim in claims.take(10):
        if claim.wanted.target.url.endswith("bad"):
            claims.failed(claim, "bad", again=False)
    look = kept.database.read
    assert [copy["file"] for copy in look(lambda session: numbers.theirs(session, "one", "me"))] == ["davs://b/one"]
    assert [failure["file"] for failure in look(lambda session: numbers.failures(session, "two"))] == [
        "davs://b/two-bad"
    ]


def test_the_throughput_is_remembered(kept):  # noqa: F811
    """Of all movers together, in slots that end; what has not been written yet counts as well."""
    link, other = ("a", "b"), ("a", "c")
    flows = [Flow(kept.database, name) for name in ("one", "two")]
    for each in flows:
        each.add(link, 1000)
        each.copied(other, 10)
        each.keep()
        each.keep()
    flows[0].copied(link, 500)
    told = kept.database.read(flows[0].told)
    assert told["bytes"] == 520
    assert len(told["rates"]) == flow.SLOTS
    slot = kept.database.read(lambda session: session.row("SELECT max(slot) AS slot FROM flow")["slot"])
    insert = "INSERT INTO flow (slot, mover, source_site, target_site, bytes, copied) VALUES (?, 'x', 'a', 'b', ?, 0)"
    rows = [(slot - age, flow.SLOT * 7) for age in (2, flow.SLOTS + 5)]
    kept.database.write(lambda session: session.many(insert, rows))
    told = kept.database.read(flows[0].told)
    assert (told["bytes"], 7 in told["rates"][-5:-1]) == (520, True)
    flows[0].keep()
    slots = kept.database.read(lambda session: session.row("SELECT min(slot) AS slot FROM flow")["slot"])
    assert slots == slot - 2


def test_a_rate_of_now_is_of_the_last_seconds(kept, monkeypatch):  # noqa: F811
    """Not of a slot that has hardly begun, nor of one that is long over."""
    clock = [1000.0]
    monkeypatch.setattr(flow, "monotonic", lambda: clock[0])
    link = ("a", "b")
    one = Flow(kept.database, "one")

    def rate():
        return kept.database.read(one.told)["rates"][-1]

    for second in range(30):
        clock[0] = 1000.5 + second
        one.add(link, 700)
        assert 500 <= rate() <= 1400
    one.keep()
    assert rate() == pytest.approx(700, abs=80)
    clock[0] += flow.NOW + 1
    assert rate() == 0


def test_what_came_to_nothing_is_not_counted_as_copied(mover, root, put):
    put("davs://a.example/x", b"x" * 3 * CHUNK)
    (root / "hold").write_text(str(CHUNK))
    job = mover.submit(file("davs://a.example/x", "davs://b.example/y"))
    wait_for(lambda: [copy for copy in status(mover)["running"] if copy["bytes"] == CHUNK])
    mover.ask("DELETE", f"/jobs/{job}")
    wait_for(lambda: not status(mover)["running"])
    told = status(mover)["flow"]
    assert (told["bytes"], told["rates"][-1] > 0) == (0, True)


def test_the_throughput_outlives_a_mover_that_is_told_to_stop(mover, put, settings):
    mover.ended(mover.submit(file(put("davs://a.example/x", b"x" * 12345), "davs://b.example/x")))
    mover.process.terminate()
    mover.process.wait(60)
    with sqlite3.connect(Path(settings["database"])) as connection:
        assert connection.execute("SELECT sum(bytes) FROM flow").fetchone() == (12345,)


def test_the_page(mover):
    page = mover.ask("GET", "/fts3/ftsmon/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "://" not in page.text  # it needs nobody else
    assert mover.ask("GET", "/fts3/ftsmon", allow_redirects=False).headers["Location"] == "ftsmon/"
    assert mover.ask("GET", "/fts3/ftsmon").text == page.text
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        answer = mover.ask("GET", f"/fts3/ftsmon/{name}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    assert mover.ask("GET", "/fts3/ftsmon/../../mover.db").status_code == 404
    assert mover.ask("POST", "/fts3/ftsmon/").status_code == 404


def test_a_web_page_changes_nothing(mover):
    """A browser would show its certificate whoever asks it to, and it may be on this machine."""
    for method, path in (("POST", "/jobs"), ("POST", "/ban/se"), ("DELETE", "/ban/se?storage=b.example")):
        answer = mover.ask(method, path, json={}, headers={"Origin": "https://elsewhere.example.org"})
        assert (answer.status_code, "web page" in answer.json()["message"]) == (403, True)
    assert mover.ask("GET", "/status.json", headers={"Origin": mover.url}).status_code == 200
