"""The mover's numbers, where somebody submits what should not become numbers."""

from __future__ import annotations

from rucio_cs3.mover import metrics
from rucio_cs3.mover.claims import Claim
from rucio_cs3.mover.metrics import Metrics
from rucio_cs3.mover.model import Done, Side
from tests.unit.observe.test_metrics import numbers


def test_hosts_that_anybody_may_name_have_no_numbers_without_end(monkeypatch):
    monkeypatch.setattr(metrics, "MOST_LINKS", 2)
    mine = Metrics(dict, float)
    for name in ("a:1", "b:1", "c:1", "d:1", "a:1"):
        mine.failed(Claim(1, "job", "vo", name, "z:1", None), Side.SOURCE, again=True)
    told = numbers(mine.text().decode())
    assert {key[1:]: told[key] for key in told if key[0] == "mover_retries_total"} == {
        ("z:1", "a:1"): 2,
        ("z:1", "b:1"): 1,
        ("other", "other"): 2,
    }
    assert told["mover_failures_total", "other", "SOURCE", "other"] == 2


def test_a_copy_of_minutes_is_told_from_one_of_hours():
    mine = Metrics(dict, float)
    for seconds in (100.0, 7200.0):
        mine.finished(Claim(1, "job", "vo", "a:1", "z:1", None), Done("davs://a:1/x", 5, {}, "streamed"), seconds)
    said = mine.text().decode()
    assert 'rucio_cs3_mover_copy_seconds_bucket{le="60.0"} 0.0' in said
    assert 'rucio_cs3_mover_copy_seconds_bucket{le="300.0"} 1.0' in said
