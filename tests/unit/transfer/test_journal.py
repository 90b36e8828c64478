"""The journal of a bulk job: what was written is read, whatever tore it, and it is nobody else's."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rucio_cs3.errors import ConfigError, LocalTargetError
from rucio_cs3.transfer.journal import Journal

JOB = ["cp", "a", "b"]
NAMES = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates, line ends and all
FACTS = st.dictionaries(st.sampled_from(["source", "target"]), st.dictionaries(st.text(max_size=5), st.integers()))
ENTRIES = st.dictionaries(NAMES, FACTS, max_size=8)
quickly = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "journal"


def written(file, entries, job=JOB):
    file.unlink(missing_ok=True)
    with Journal(str(file), job) as journal:
        for key, facts in entries.items():
            journal.add(key, facts)
    return file.read_bytes()


def read(file, keys, job=JOB):
    with Journal(str(file), job) as journal:
        return {key: journal.get(key) for key in keys if journal.get(key) is not None}


@quickly
@given(ENTRIES)
def test_what_is_written_is_read(file, entries):
    written(file, entries)
    assert read(file, entries) == entries


@quickly
@given(ENTRIES, st.data())
def test_torn_anywhere_it_loses_the_torn_line_only_and_goes_on(file, entries, data):
    content = written(file, entries)
    cut = data.draw(st.integers(0, len(content)))
    file.write_bytes(content[:cut])
    whole = max(content[:cut].count(b"\n") - 1, 0)
    kept = dict(list(entries.items())[:whole])
    with Journal(str(file), JOB) as journal:
        assert {key: journal.get(key) for key in entries if journal.get(key) is not None} == kept
        journal.add("one more", {"n": 1})
    assert read(file, [*entries, "one more"]) == {**kept, "one more": {"n": 1}}


@quickly
@given(ENTRIES, st.binary(max_size=30), st.data())
def test_rubbish_between_the_lines_harms_no_other(file, entries, rubbish, data):
    lines = written(file, entries).splitlines(keepends=True)
    at = data.draw(st.integers(1, len(lines)))
    file.write_bytes(b"".join([*lines[:at], b"!" + rubbish.replace(b"\n", b"") + b"\n", *lines[at:]]))
    assert read(file, entries) == entries


@pytest.mark.parametrize(
    "content", [b"notes", b"notes\n", b"{}\n", b'{"rucio-cs3-journal":1,"job":"x"}\n', b"[" * 9999 + b"\n"]
)
def test_another_file_is_refused_and_left_as_it_was(file, content):
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="journal"):
        Journal(str(file), JOB)
    assert file.read_bytes() == content


def test_another_job_is_refused(file):
    written(file, {"a": {}})
    with pytest.raises(ConfigError, match="of another job; give the job that it was begun with, or another file"):
        Journal(str(file), [*JOB, "c"])


def test_it_is_for_nobody_else(file):
    written(file, {})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_two_processes_cannot_share_it(file):
    code = "import sys; from rucio_cs3.transfer.journal import Journal; Journal(sys.argv[1], ['cp', 'a', 'b'])"
    argv = [sys.executable, "-c", code, str(file)]
    with Journal(str(file), JOB):
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 1
        assert "is in use by another process" in ran.stderr
    subprocess.run(argv, timeout=60, check=True)


def test_it_does_not_write_through_a_link(file, tmp_path):
    (tmp_path / "other").write_bytes(b"")
    file.symlink_to(tmp_path / "other")
    with pytest.raises(LocalTargetError):
        Journal(str(file), JOB)


def test_a_full_disk_is_told(file):
    with Journal(str(file), JOB) as journal:
        kept, journal._file = journal._file, os.open("/dev/full", os.O_WRONLY)
        try:
            with pytest.raises(LocalTargetError, match="No space"):
                journal.add("a", {})
        finally:
            os.close(journal._file)
            journal._file = kept


def test_after_the_end_nothing_is_written(file):
    journal = Journal(str(file), JOB)
    journal.close()
    journal.add("late", {})
    assert [json.loads(line).keys() for line in file.read_text().splitlines()] == [{"rucio-cs3-journal", "job"}]


def test_what_is_done_is_not_held_in_memory(file):
    def facts(number):
        return {"source": {"name": f"{number}".zfill(20_000)}}

    with Journal(str(file), JOB) as journal:
        tracemalloc.start()
        try:
            for number in range(500):
                journal.add(str(number), facts(number))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 1_000_000
        assert journal.get("123") == facts(123)
    with Journal(str(file), JOB) as journal:
        assert journal.get("499") == facts(499)
        assert journal.get("500") is None
