"""What the README tells operators to paste, pasted: only the example hosts and names are exchanged for ours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CONTENT = b"some bytes\n"


def commands(containing: str) -> list[list[str]]:
    """The lines of the one shell block with these words in it, as argument lists."""
    [block] = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if containing in block]
    return [shlex.split(line) for line in block.replace("\\\n", " ").replace("\n         ", " ").strip().split("\n")]


def test_the_operators_block_makes_a_working_rse(add_site, gateway, sandbox, make_file, new_name):
    site = add_site()
    exchange = {
        "CERNBOX": site.rse,
        "cernbox.example.org": gateway.http.partition(":")[0],
        "443": gateway.http.partition(":")[2],
        "/remote.php/webdav/rucio/": f"/remote.php/webdav/{site.folder.name}/",
    }
    add_rse, add_protocol = commands("rse protocol add")
    assert add_rse == ["rucio", "rse", "add", "CERNBOX"]
    words = [exchange.get(word, word) for word in add_protocol]
    words[-1] = words[-1].replace("cs3.example.org:443", gateway.grpc).replace("/eos/project/r", "/home")
    words[-1] = words[-1].replace('{"cs3": {', '{"cs3": {"tls": false, ')
    assert sandbox.rucio(*words[1:]).returncode == 0
    site.upload(make_file("local", CONTENT), "--lfn", new_name)
    assert site.path(new_name).read_bytes() == CONTENT
