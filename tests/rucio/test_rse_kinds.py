from __future__ import annotations

from dataclasses import replace

import pytest

from demo.storage import EVERYTHING, Protocol

CONTENT = b"some bytes\n"
POSIX = "rucio.rse.protocols.posix.Default"


def prioritised(first: Protocol, second: Protocol) -> list[Protocol]:
    """Give the first protocol priority over the second in everything."""
    ranks = [{area: dict.fromkeys(what, rank) for area, what in EVERYTHING.items()} for rank in (1, 2)]
    return [replace(protocol, domains=rank) for protocol, rank in zip((first, second), ranks)]


def posix(site) -> Protocol:
    return Protocol("file", "localhost", 0, f"{site.folder}/", POSIX)


def closed(protocol: Protocol) -> Protocol:
    """Return the same protocol at a port where nobody listens."""
    attributes = protocol.extended_attributes and {
        "cs3": {**protocol.extended_attributes["cs3"], "gateway": "127.0.0.1:1"}
    }
    return replace(protocol, port=1, extended_attributes=attributes)


def test_the_operators_commands(add_site, gateway, sandbox, client, make_file, new_name):
    site = add_site()
    protocol = gateway.davs(site.folder.name)
    done = sandbox.rucio("rse", "protocol", "add", site.rse, *protocol.as_options())
    assert done.returncode == 0
    [entry] = client.get_protocols(site.rse)
    assert (entry["impl"], entry["extended_attributes"]) == (protocol.impl, protocol.extended_attributes)
    assert "cs3" in sandbox.rucio("rse", "show", site.rse).stdout
    site.upload(make_file("local", CONTENT), "--lfn", new_name)
    assert site.replica(new_name)["state"] == "AVAILABLE"


def test_a_davs_entry_lists_the_sites_own_webdav_addresses(site, gateway, sandbox, new_name):
    site.register(new_name, CONTENT)
    below = site.path(new_name).relative_to(site.folder)
    said = sandbox.rucio("replica", "list", "file", f"test:{new_name}", "--pfns").stdout
    assert f"davs://{gateway.http}/remote.php/webdav/{site.folder.name}/{below}" in said


def test_a_native_entry(add_site, gateway, make_file, new_name, tmp_path):
    site = add_site()
    site.add_protocol(gateway.native(site.folder.name))
    site.upload(make_file("local", CONTENT), "--lfn", new_name)
    assert site.path(new_name).read_bytes() == CONTENT
    # a stock server's clients do not take the scheme for one they know: it has to be named
    site.download(new_name, tmp_path / "down", "--protocol", "cs3")
    assert (tmp_path / "down" / new_name).read_bytes() == CONTENT
    site.expire(new_name)
    site.reap()
    assert (site.stored(), site.replica(new_name)) == ({}, None)


def test_a_non_deterministic_rse(add_site, gateway, make_file, new_name, tmp_path):
    site = add_site(deterministic=False)
    protocol = gateway.davs(site.folder.name)
    site.add_protocol(protocol)
    pfn = f"davs://{protocol.hostname}:{protocol.port}{protocol.prefix}run%201/r%C3%A9sum%C3%A9%20%231.root"
    site.upload(make_file("local", CONTENT), "--lfn", new_name, "--pfn", pfn)
    assert site.stored() == {"run 1/résumé #1.root": CONTENT}
    assert list(site.replica(new_name)["pfns"]) == [pfn]
    site.download(new_name, tmp_path / "down")
    assert (tmp_path / "down" / new_name).read_bytes() == CONTENT
    site.expire(new_name)
    site.reap()
    assert (site.stored(), site.replica(new_name)) == ({}, None)


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "posix first"])
def test_the_protocol_with_priority_is_used(add_site, gateway, make_file, new_name, ours_first):
    site = add_site()
    ours, theirs = gateway.davs(site.folder.name), posix(site)
    for protocol in prioritised(ours, theirs) if ours_first else prioritised(theirs, ours):
        site.add_protocol(protocol)
    said = site.upload(make_file("local", CONTENT), "--lfn", new_name).stdout
    assert f"Trying upload with {'davs' if ours_first else 'file'}" in said
    assert site.replica(new_name)["state"] == "AVAILABLE"


def test_davs_and_native_entries_name_the_same_file(add_site, gateway, make_file, new_name, tmp_path):
    site = add_site()
    for protocol in prioritised(gateway.davs(site.folder.name), gateway.native(site.folder.name)):
        site.add_protocol(protocol)
    site.upload(make_file("local", CONTENT), "--lfn", new_name)
    assert {pfn.partition(":")[0] for pfn in site.replica(new_name)["pfns"]} == {"davs"}  # what a stock server lists
    for scheme in ("davs", "cs3"):
        site.download(new_name, tmp_path / scheme, "--protocol", scheme)
        assert (tmp_path / scheme / new_name).read_bytes() == CONTENT


def test_a_download_falls_over_to_the_other_protocol(add_site, gateway, new_name, tmp_path):
    site = add_site()
    for protocol in prioritised(closed(gateway.davs(site.folder.name)), posix(site)):
        site.add_protocol(protocol)
    site.register(new_name, CONTENT)
    said = site.download(new_name, tmp_path / "down").stdout
    assert (tmp_path / "down" / new_name).read_bytes() == CONTENT, said
