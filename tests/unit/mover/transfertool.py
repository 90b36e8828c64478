"""Rucio's own FTS3Transfertool in a process of its own, because it wants to be a Rucio server.

Takes one JSON object a line on stdin, {"url", "call", …}, and answers with one: {"answer"} or {"error"}.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from unittest import mock


def rse(name, **attributes):
    is_tape = lambda: False  # noqa: E731 - it stands for a method
    return SimpleNamespace(
        name=name, id=f"id-{name}", attributes=attributes, is_tape=is_tape, is_tape_or_staging_required=is_tape
    )


class Transfer:
    """What a DirectTransfer is to the transfertool."""

    def __init__(self, request_id, sources, target, size, adler32):
        self.rws = SimpleNamespace(
            request_id=request_id,
            scope="test",
            name=request_id,
            activity="User Subscriptions",
            request_type="TRANSFER",
            byte_count=size,
            md5=None,
            adler32=adler32,
            account="root",
            attributes={},
            priority=3,
            rule_id="rule",
        )
        self.sources = [SimpleNamespace(rse=rse(f"S{n}"), url=url, scheme="davs") for n, url in enumerate(sources)]
        self.src = self.sources[0]
        self.dst = SimpleNamespace(rse=rse("T"), scheme="davs")
        self.dest_url = target

    def source_url(self, source):
        return source.url


class Calls:
    def __init__(self):
        from rucio.transfertool.fts3 import FTS3Transfertool  # noqa: PLC0415 - reads the configuration when imported

        self._tool = FTS3Transfertool

    def submit(self, tool, paths):
        """Each path is a list of hops; gives the ids of jobs."""
        paths = [[Transfer(**hop) for hop in path] for path in paths]
        jobs = tool.group_into_submit_jobs(paths)
        return [tool.submit(job["transfers"], job["job_params"], timeout=60) for job in jobs]

    def bulk_query(self, tool, requests):
        found = tool.bulk_query({job: {one: {"request_id": one} for one in ones} for job, ones in requests.items()}, 60)
        return {job: self._told(report) for job, report in found.items()}

    def link(self, tool, job):
        """Where Rucio's events and its web pages say that a transfer can be looked at."""
        from rucio.transfertool.fts3 import FTS3ApiTransferStatusReport as Report  # noqa: PLC0415

        return Report(
            tool.external_host, "r", {"job_id": job, "job_metadata": {}}, {"file_metadata": {}}
        )._transfer_link()

    def _told(self, reports):
        if not isinstance(reports, dict):
            return repr(reports)
        return {one: self._report(report) for one, report in reports.items()}

    def _report(self, report):
        """What the poller would write: as it does, but for the database."""
        report._request = {"external_id": report._transfer_id, "state": None, "external_host": None, "attributes": {}}
        report.request = lambda session: report._request
        report._find_used_source_rse = lambda session, logger: (report._src_url, None)
        import rucio.transfertool.fts3 as module  # noqa: PLC0415

        with mock.patch.object(module, "config_get_bool", return_value=False):  # it would look into the database
            report.initialize(None)
        return {
            "state": report.state and report.state.name,
            "err_msg": report.err_msg,
            "started": str(report.started_at),
            "transferred": str(report.transferred_at),
            "source": report._src_url,
        }

    def run(self, url, call, **arguments):
        tool = self._tool(url, group_bulk=100)
        if hasattr(self, call):
            return getattr(self, call)(tool, **arguments)
        return getattr(tool, call)(**arguments)


def main():
    out, sys.stdout = sys.stdout, sys.stderr
    calls = Calls()
    for line in sys.stdin:
        try:
            said = {"answer": calls.run(**json.loads(line))}
        except Exception as error:  # noqa: BLE001 - it is what the test wants to know
            said = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(said, default=str) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
