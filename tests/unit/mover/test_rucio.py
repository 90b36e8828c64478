"""What Rucio's own transfertool sends, and what it makes of the answers."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
import zlib
from pathlib import Path

import pytest

from tests.unit.mover.conftest import wait_for

pytest.importorskip("rucio", reason="pip install rucio-cs3[demo]")
pytest.importorskip("rucio.transfertool", reason="it is in the server's package: pip install rucio-cs3[demo]")
SCRIPT = Path(__file__).with_name("transfertool.py")
CONTENT = b"content"


class Tool:
    def __init__(self, process, url=None):
        self._process = process
        self._url = url

    def of(self, mover):
        return Tool(self._process, mover.url)

    def __call__(self, call, **arguments):
        self._process.stdin.write(json.dumps({"url": self._url, "call": call, **arguments}) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["answer"]

    def ended(self, job, *requests):
        """Once the poller would have something to write for all of them."""

        def look():
            reports = self("bulk_query", requests={job: list(requests)})[job]
            return reports if len(reports) == len(requests) and all(r["state"] for r in reports.values()) else None

        return wait_for(look)


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    home = tmp_path_factory.mktemp("rucio")
    (home / "etc").mkdir()
    (home / "etc" / "rucio.cfg").write_text(
        "[common]\n[database]\ndefault = sqlite://\n[conveyor]\nuse_deterministic_id = True\n"
    )
    environ = {**os.environ, "RUCIO_HOME": str(home)}
    environ.pop("RUCIO_CONFIG", None)  # which a sandbox of Rucio may have left in this process
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(SCRIPT)], env=environ, **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def tool(process, mover):
    return Tool(process).of(mover)


def hop(source, target, request="r1"):
    sources = [source] if isinstance(source, str) else source
    adler32 = f"{zlib.adler32(CONTENT):08x}"
    return {"request_id": request, "sources": sources, "target": target, "size": len(CONTENT), "adler32": adler32}


def test_a_transfer(tool, put, folders):
    source = put("davs://a.example/x", CONTENT)
    [job] = tool("submit", paths=[[hop(source, "davs://b.example/x")]])
    report = tool.ended(job, "r1")["r1"]
    assert (report["state"], report["err_msg"]) == ("DONE", None)
    assert report["started"] <= report["transferred"] != "None"
    assert folders.path("davs://b.example/x").read_bytes() == CONTENT


def test_the_id_is_what_rucio_expects(tool, put):
    """It takes that one when the answer got lost."""
    [job] = tool("submit", paths=[[hop(put("davs://a.example/x"), "davs://b.example/x", "some-request")]])
    whoami = tool("whoami")
    assert job == str(uuid.uuid5(uuid.uuid5(uuid.UUID(whoami["base_id"]), whoami["vos"][0]), "some-request"))


def test_many_files_in_one_job(tool, put):
    paths = [[hop(put(f"davs://a.example/{n}", CONTENT), f"davs://b.example/{n}", f"r{n}")] for n in range(20)]
    [job] = tool("submit", paths=paths)
    reports = tool.ended(job, *(f"r{n}" for n in range(20)))
    assert {report["state"] for report in reports.values()} == {"DONE"}


def test_a_source_that_is_not_there(tool):
    [job] = tool("submit", paths=[[hop("davs://a.example/none", "davs://b.example/x")]])
    report = tool.ended(job, "r1")["r1"]
    assert report["state"] == "FAILED"
    assert "SOURCE [2] No such file or directory" in report["err_msg"]


def test_the_source_that_was_used(tool, put):
    sources = ["davs://a.example/none", put("davs://c.example/x", CONTENT)]
    [job] = tool("submit", paths=[[hop(sources, "davs://b.example/x")]])
    report = tool.ended(job, "r1")["r1"]
    assert (report["state"], report["source"]) == ("DONE", "davs://c.example/x")


def test_hops(tool, put, folders):
    source = put("davs://a.example/x", CONTENT)
    path = [hop(source, "davs://b.example/x", "r1"), hop("davs://b.example/x", "davs://c.example/x", "r2")]
    [job] = tool("submit", paths=[path])
    assert {report["state"] for report in tool.ended(job, "r1", "r2").values()} == {"DONE"}
    assert folders.path("davs://c.example/x").read_bytes() == CONTENT


def test_a_hop_that_fails_ends_the_way(tool):
    middle = "davs://b.example/x"
    path = [hop("davs://a.example/none", middle, "r1"), hop(middle, "davs://c.example/x", "r2")]
    [job] = tool("submit", paths=[path])
    reports = tool.ended(job, "r1", "r2")
    assert {report["state"] for report in reports.values()} == {"FAILED"}
    assert "Unused hop in multi-hop" in reports["r2"]["err_msg"]


def test_a_lost_job_is_known_to_be_lost(tool, put):
    lost, others = str(uuid.uuid4()), [str(uuid.uuid4()), str(uuid.uuid4())]
    assert tool("bulk_query", requests={lost: ["r1"]}) == {lost: "None"}
    [job] = tool("submit", paths=[[hop(put("davs://a.example/x", CONTENT), "davs://b.example/x")]])
    tool.ended(job, "r1")
    found = tool("bulk_query", requests={job: ["r1"], **{other: ["r2"] for other in others}})
    assert [found[job]["r1"]["state"], *(found[other] for other in others)] == ["DONE", "None", "None"]


def test_a_duplicate(tool, root, put):
    """Rucio 41 does not see the 409: it believes in the id that it expected, and learns that there is no such job."""
    (root / "hold").touch()
    source = put("davs://a.example/x", CONTENT)
    [first] = tool("submit", paths=[[hop(source, "davs://b.example/x")]])
    [job] = tool("submit", paths=[[hop(source, "davs://b.example/x", "r2")]])
    assert tool("bulk_query", requests={first: ["r1"], job: ["r2"]})[job] == "None"


def test_cancel_and_priority(tool, mover, root, put, folders):
    (root / "hold").touch()
    [job] = tool("submit", paths=[[hop(put("davs://a.example/x", CONTENT), "davs://b.example/x")]])
    assert tool("update_priority", transfer_id=job, priority=5)["priority"] == 5
    wait_for((root / "notes").exists)
    assert tool("cancel", transfer_ids=[job])["job_state"] == "CANCELED"
    report = tool.ended(job, "r1")["r1"]
    assert (report["state"], "canceled" in report["err_msg"]) == ("FAILED", True)
    wait_for(lambda: mover.running() == [])
    assert not folders.path("davs://b.example/x").exists()
    assert tool("cancel", transfer_ids=[job])["http_status"] == "304 Not Modified"


def test_who_and_what(tool):
    assert tool("whoami")["vos"] == ["rucio"]
    assert tool("version")["api"]["major"] == 3
    assert tool("list_se_status") == []
    assert tool("query", transfer_ids=[tool("submit", paths=[[hop("davs://a.example/x", "davs://b.example/y")]])[0]])


def test_a_banned_site_waits(tool, mover, put):
    """Rucio names a storage as FTS3 does. It asks for jobs to be canceled, here they wait: that is less to undo."""
    assert tool("set_se_status", storage_element="davs://b.example", message="down", ban=True) == 0
    [job] = tool("submit", paths=[[hop(put("davs://a.example/x", CONTENT), "davs://b.example/x")]])
    [other] = tool("submit", paths=[[hop(put("davs://a.example/y", CONTENT), "davs://c.example/y", "r2")]])
    assert tool.ended(other, "r2")["r2"]["state"] == "DONE"
    assert mover.job(job)["job_state"] == "SUBMITTED"
    [ban] = tool("list_se_status")
    assert (ban["se"], ban["message"], ban["status"]) == ("davs://b.example", "down", "WAIT_AS")
    assert tool("set_se_status", storage_element="davs://b.example", message="up", ban=False) == 0
    assert tool("list_se_status") == []
    assert tool.ended(job, "r1")["r1"]["state"] == "DONE"


def test_a_site_s_limits(tool):
    site = "davs://b.example"
    told = tool("set_se_config", storage_element=site, inbound_max_active=3)
    assert told[site]["se_info"] == {"inbound_max_active": 3, "outbound_max_active": None}
    tool("set_se_config", storage_element=site, outbound_max_active=2)
    assert tool("get_se_config", storage_element=site)["se_info"] == {"inbound_max_active": 3, "outbound_max_active": 2}
    with pytest.raises(RuntimeError, match="Could not set the configuration"):
        tool("set_se_config", storage_element=site, inbound_max_throughput=5.0)


def test_each_source_that_was_tried_tells_its_own_reason(tool, mover, put):
    sources = [
        "davs://a.example/none",
        "davs://d.example/none",
        put("davs://c.example/x", CONTENT),
        "davs://e.example/x",
    ]
    [job] = tool("submit", paths=[[hop(sources, "davs://b.example/x")]])
    assert tool.ended(job, "r1")["r1"]["source"] == sources[2]
    told = [(entry["file_state"], entry["reason"]) for entry in mover.job(job)["files"]]
    reasons = [f"SOURCE [2] No such file or directory: {url}" for url in sources[:2]]
    assert told == [("FAILED", reasons[0]), ("FAILED", reasons[1]), ("FINISHED", None), ("NOT_USED", None)]
    [bad] = tool("submit", paths=[[hop(sources[:2], "davs://b.example/y", "r2")]])
    report = tool.ended(bad, "r2")["r2"]
    assert (report["state"], report["source"], report["err_msg"].count("SOURCE")) == ("FAILED", sources[1], 1)


def test_its_link_leads_to_the_page(process, start, settings):
    """Also where the mover listens on FTS3's port for jobs: Rucio takes it for the one of FTS3's pages then."""
    host = ".".join(["127", *(str(random.randrange(1, 255)) for _ in range(3))])
    for port in (0, 8446):
        mover = start({**settings, "listen": f"{host}:{port}", "database": f"{settings['database']}-{port}"})
        link = Tool(process).of(mover)("link", job="some-id")
        assert link.endswith("/fts3/ftsmon/#/job/some-id")
        assert (":8449/" in link) == (port == 8446)
        mover.url, _, place = link.partition("/fts3")
        assert "<title>Mover</title>" in mover.ask("GET", f"/fts3{place.partition('#')[0]}").text
