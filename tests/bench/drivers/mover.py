"""Our mover, asked as Rucio asks it. What is measured is the mover's process, not who asks."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

PAUSE = 0.01  # seconds between looks
CONNECTIONS = 8
ASKED = "file_state,dest_surl,finish_time,start_time,reason,source_surl,file_metadata"  # by Rucio's poller
HEADERS = {"Content-Type": "application/json", "Connection": "keep-alive"}


class Driver:
    def __init__(self, job):
        self._address = urlsplit(job["mover"]).netloc
        self._group = job["group"]
        self._connection = self._open()
        self._bodies = [json.dumps(one).encode() for one in job["jobs"]]
        self._ids = job["ids"]
        self._made = []

    def copy(self, _):
        [body] = self._bodies
        told = self._ask(self._connection, "POST", "/jobs", body)
        while told.get("job_state") not in {"FINISHED", "FAILED", "CANCELED", "FINISHEDDIRTY"}:
            time.sleep(PAUSE)
            told = self._ask(self._connection, "GET", f"/jobs/{told['job_id']}")
        assert told["job_state"] == "FINISHED", told["reason"]

    def submit(self, _):
        failed = []
        parts = [self._bodies[start::CONNECTIONS] for start in range(CONNECTIONS)]
        threads = [threading.Thread(target=self._post, args=(part, failed)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]

    bulk = submit

    def poll(self, _):
        found = self._ask(self._connection, "GET", f"/jobs/{','.join(self._ids)}?files={ASKED}")
        assert len(found) == len(self._ids)
        assert all(job["files"][0]["file_state"] in {"SUBMITTED", "ACTIVE"} for job in found)

    def _post(self, bodies, failed):
        connection = self._open()
        try:
            for body in bodies:
                self._made.append(self._ask(connection, "POST", "/jobs", body)["job_id"])
        except (OSError, http.client.HTTPException, AssertionError) as error:
            failed.append(error)
        connection.close()

    def _open(self):
        return http.client.HTTPConnection(self._address, timeout=600)

    def _ask(self, connection, method, path, body=None):
        connection.request(method, path, body, HEADERS)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 200, (answer.status, said)
        return said

    def cpu(self):
        """Of all processes of the mover."""
        ticks = sum(int(number) for _, fields in self._processes() for number in fields[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def more(self):
        """The most memory that one of them had since it began."""
        peaks = []
        for status, _ in self._processes():
            lines = status.read_text(encoding="utf-8").splitlines()
            peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
        return {"peak_mib": max(peaks), "ids": self._made}

    def _processes(self):
        """Of the mover, and what the kernel tells of each from its state on."""
        for file in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = file.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if int(fields[2]) == self._group:
                yield file.with_name("status"), fields
