from __future__ import annotations

import random

from tests.rucio.conftest import SCOPE

SIZES = [0, 1, 4096, 70_000, 1_000_003]


def make_dataset(client, site, name: str, count: int) -> dict[str, bytes]:
    """Files of mixed sizes at the site, known to Rucio as one dataset."""
    random_bytes = random.Random(count).randbytes
    files = {f"{name}-{number}": random_bytes(SIZES[number % len(SIZES)]) for number in range(count)}
    for file, content in files.items():
        site.register(file, content)
    client.add_dataset(SCOPE, name)
    client.attach_dids(SCOPE, name, [{"scope": SCOPE, "name": file} for file in files])
    return files


def test_a_rule_makes_a_file_appear_at_the_other_site(here, there, orchestra, new_name, make_file):
    here.upload(make_file("local", b"to be moved"), "--lfn", new_name)
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["OK"]
    assert list(there.stored().values()) == [b"to be moved"]
    orchestra.agree()


def test_two_hundred_files_of_mixed_sizes(here, there, orchestra, new_name, client):
    files = make_dataset(client, here, new_name, 200)
    rule = orchestra.rule(new_name, there)
    assert orchestra.settle(rule) == ["OK"]
    assert {path.rpartition("/")[2]: content for path, content in there.stored().items()} == files
    orchestra.agree()
