"""What curl is to move, as a file of its options: endpoints and tokens are asked for here, before its clock starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.conformance.wire import Wire


def main(job: dict) -> dict[str, str]:
    """Files of options, by their names."""
    if job["verb"] == "copy":
        [name] = job["files"]
        down = _moved({**job, "verb": "down"}, [("-", f"{job['remote']}/{name}")])
        up = _moved({**job, "verb": "up", "site": job["other"]}, [("-", f"{job['target']}/{name}")])
        return {"from.conf": down, "to.conf": up}
    return {"curl.conf": _moved(job, [(f"{job['local']}/{name}", f"{job['remote']}/{name}") for name in job["names"]])}


def _moved(job: dict, places: list[tuple[str, str]]) -> str:
    site = job["site"]
    wire = Wire(site["grpc"], ca=site["ca"]).login(site["user"], site["password"])
    parts = [_one(wire, job, *place) for place in places]
    wire.close()
    common = ["silent", "show-error", "fail", *([f'cacert = "{site["ca"]}"'] if site["ca"] else [])]
    several = ["parallel", "parallel-immediate", f"parallel-max = {job['threads']}"] if job["threads"] > 1 else []
    return "\n".join(several) + "\nnext\n".join("\n".join([*common, *part]) for part in parts) + "\n"


def _one(wire: Wire, job: dict, local: str, remote: str) -> list[str]:
    if job["verb"] == "up":
        endpoint = wire.uploads(remote, job["size"])["simple"]
        lines = [f'upload-file = "{local}"', 'output = "/dev/null"', 'header = "Expect:"']
    else:
        endpoint = wire.download(remote)
        lines = [f'output = "{local}"']
    tokens = [f'header = "{key}: {value}"' for key, value in wire.headers(endpoint).items()]
    return [f'url = "{endpoint.url}"', *lines, *tokens]


if __name__ == "__main__":
    work = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for file, options in main(work).items():
        config = Path(work["scratch"], file)
        config.touch(mode=0o600)
        config.write_text(options, encoding="utf-8")
