"""What operators say of sites, on both databases, and by whom it is kept."""

from __future__ import annotations

import pytest

from rucio_cs3.mover.callers import Known
from rucio_cs3.mover.jobs import BadJob
from rucio_cs3.mover.orders import Orders
from tests.unit.mover.conftest import file, wait_for
from tests.unit.mover.test_claims import done, files, kept, names  # noqa: F401 - a fixture
from tests.unit.mover.test_mover import TOKEN

ME = Known("operator", "vo", "certificate")
BAN = {"storage": "davs://B:443/", "message": "down", "status": "WAIT", "timeout": 60}


@pytest.fixture
def orders(kept):  # noqa: F811
    return Orders(kept.database)


def test_a_ban_holds_back_both_ways_and_nobody_else(kept, orders):  # noqa: F811
    claims = kept.mover()
    jobs = [kept.submit(*files("to", 2, "a", "b:443")), kept.submit(*files("from", 1, "b:443", "c"))]
    kept.submit(*files("beside", 1, "a", "c"))
    kept.submit(*files("other", 1, "a", "b:443"), vo="other")
    assert sorted(orders.ban(ME, BAN)) == sorted(jobs)
    assert sorted(names(claims.take(10))) == ["beside-0", "other-0"]
    assert [(ban["se"], ban["message"], ban["admin_dn"]) for ban in orders.bans("vo")] == [
        ("davs://B:443/", "down", "operator")
    ]
    assert orders.bans("other") == []
    orders.unban("other", "b:443")
    assert claims.take(10) == []
    orders.unban("vo", "b:443")
    assert sorted(names(claims.take(10))) == ["from-0", "to-0", "to-1"]


def test_a_site_without_its_port_is_the_site_with_any(kept, orders):  # noqa: F811
    kept.submit(*files("x", 1, "a", "b:443"))
    assert len(orders.ban(ME, {"storage": "b"})) == 1
    assert kept.mover().take(10) == []
    kept.submit(*files("y", 1, "a", "bb:443"))
    assert names(kept.mover().take(10)) == ["y-0"]


def test_limits_in_and_out(kept, orders):  # noqa: F811
    claims = kept.mover()
    kept.submit(*files("in", 4, "a", "b"))
    kept.submit(*files("out", 4, "b", "c"))
    orders.limit("vo", {"davs://b": {"se_info": {"inbound_max_active": 1, "outbound_max_active": 2}, "operations": {}}})
    taken = claims.take(10)
    assert sorted(names(taken)) == ["in-0", "out-0", "out-1"]
    claims.finished(next(claim for claim in taken if claim.target_site == "b"), done(taken[0]))
    assert names(claims.take(10)) == ["in-1"]
    orders.limit("vo", {"davs://b": {"se_info": {"inbound_max_active": 0}}})
    assert orders.limits("vo") == {
        "davs://b": {"se_info": {"inbound_max_active": None, "outbound_max_active": 2}, "operations": {}}
    }
    assert sorted(names(claims.take(10))) == ["in-2", "in-3"]


WRONG = {
    "nothing": {},
    "no host": {"storage": "davs://"},
    "a path": {"storage": "davs://b/x"},
    "number": {"storage": 7},
    "status": {"storage": "b", "status": "burn"},
    "message": {"storage": "b", "message": "x" * 300},
}
WRONG_LIMITS = {
    "list": {"b": []},
    "text": {"b": {"se_info": {"inbound_max_active": "many"}}},
    "flag": {"b": {"se_info": {"inbound_max_active": True}}},
    "less than nothing": {"b": {"se_info": {"inbound_max_active": -1}}},
    "throughput": {"b": {"se_info": {"inbound_max_throughput": 1.0}}},
    "staging": {"b": {"operations": {"vo": {"staging": 5}}}},
}


@pytest.mark.parametrize("document", WRONG.values(), ids=WRONG)
def test_a_ban_of_what_is_no_site(mover, document):
    assert mover.ask("POST", "/ban/se", json=document).status_code == 400
    assert mover.ask("GET", "/ban/se").json() == []


@pytest.mark.parametrize("document", WRONG_LIMITS.values(), ids=WRONG_LIMITS)
def test_limits_that_nobody_keeps_are_not_taken(mover, document):
    assert mover.ask("POST", "/config/se", json=document).status_code == 400
    assert mover.ask("GET", "/config/se").json() == {}


def test_a_ban_of_something_else_is_no_ban_less(orders):
    with pytest.raises(BadJob, match="Missing storage"):
        orders.unban("vo", "")


def test_a_ban_outlives_the_mover(start, settings, put):
    mover = start(settings)
    mover.ask("POST", "/ban/se", json=BAN)
    job = mover.submit(file(put("davs://a.example/x"), "davs://b:443/x"))
    mover.kill()
    again = start(settings)
    other = again.submit(file("davs://a.example/x", "davs://c.example/x"))
    assert again.ended(other)["job_state"] == "FINISHED"
    assert (again.job(job)["job_state"], again.ask("GET", "/status.json").json()["banned"][0]["message"]) == (
        "SUBMITTED",
        "down",
    )
    answer = again.ask("DELETE", "/ban/se?storage=davs://b:443")
    assert (answer.status_code, answer.content) == (204, b"")
    assert again.ended(job)["job_state"] == "FINISHED"


def test_the_reasons_of_sources_hold_no_token(mover, put):
    sources = ["davs://c.example/none", put("davs://a.example/x")]
    both = {"sources": sources, "destinations": ["davs://b.example/x"], "source_tokens": [TOKEN, None]}
    told = mover.ended(mover.submit(both))
    assert [entry["file_state"] for entry in told["files"]] == ["FAILED", "FINISHED"]
    assert told["files"][0]["reason"].endswith("none …")


def test_open_jobs_are_listed(mover, root, put):
    (root / "hold").touch()
    ended = mover.submit(file("davs://a.example/none", "davs://b.example/x"))
    mover.ended(ended)
    jobs = [mover.submit(file(put("davs://a.example/x"), f"davs://b.example/{n}")) for n in range(3)]
    wait_for(lambda: all(mover.job(job)["job_state"] == "ACTIVE" for job in jobs))

    def listed(query=""):
        return [job["job_id"] for job in mover.ask("GET", f"/jobs{query}").json()]

    assert sorted(listed()) == sorted(jobs)
    assert len(listed("?limit=2")) == 2
    assert listed("?state_in=SUBMITTED,FAILED") == []
    assert listed("?state_in=FAILED&limit=5") == [ended]
    assert mover.ask("GET", "/jobs?fields=job_state&limit=1").json() == [{"job_state": "ACTIVE"}]
    for wrong in ("limit=many", "limit=501", "limit=-1", "source_se=davs://a.example"):
        assert mover.ask("GET", f"/jobs?{wrong}").status_code == 400
