"""What of the second line outlives a restart of the gateway."""

from __future__ import annotations

import threading

from rucio_cs3.gateway import Fault

PATCH = {"Tus_Resumable": "1.0.0", "Content_Type": "application/offset+octet-stream"}


def restarted(serve, gateway, behave, **settings):
    """Another one in its place; on the same port, which tokens for transfers name."""
    gateway.stop()
    return serve(behave, http_port=int(gateway.data_url.rpartition(":")[2]), **settings)


def home_of(wire):
    return wire.ok("GetHome").path


def test_an_upload_by_tus_goes_on(serve):
    gateway, wire = serve("opencloud")
    place = f"{home_of(wire)}/f"
    first = wire.uploads(place, 7)["tus"]
    assert wire.request("PATCH", first, b"cont", **PATCH, Upload_Offset="0").status == 204
    _, again = restarted(serve, gateway, "opencloud")
    head = again.request("HEAD", first, Tus_Resumable="1.0.0")
    assert (head.status, head.headers["Upload-Offset"]) == (200, "4")
    assert again.request("PATCH", first, b"ent", **PATCH, Upload_Offset="4").status == 204
    assert again.content(place) == b"content"


def test_terms_are_kept(serve):
    gateway, wire = serve("opencloud")
    place = f"{home_of(wire)}/f"
    endpoint = wire.uploads(place, 7, **{"Upload-Checksum": "adler32 00000001"})["simple"]
    _, again = restarted(serve, gateway, "opencloud")
    assert again.request("PUT", endpoint, b"content").status == 419
    assert not again.exists(place)


def test_checksums_ids_and_versions_are_kept(serve):
    gateway, wire = serve("opencloud")
    place = f"{home_of(wire)}/f"
    wire.put(place, b"old")
    wire.put(place, b"content")
    before = wire.stat(place), wire.ok("ListFileVersions", ref=place).versions
    _, again = restarted(serve, gateway, "opencloud")
    assert (again.stat(place), again.ok("ListFileVersions", ref=place).versions) == before


def test_processing_goes_on(serve):
    gateway, wire = serve("opencloud-async", processing=3600)
    folder = home_of(wire)
    gateway.faults.add(Fault(on="processing:*", kind="turned_down", path="*/bad"))
    wire.put(f"{folder}/good", b"content")
    wire.put(f"{folder}/bad", b"content")
    _, again = restarted(serve, gateway, "opencloud-async", processing=3600)
    assert "status" in again.stat(f"{folder}/good").opaque.map
    assert again.code("Delete", ref=f"{folder}/bad") == "TOO_EARLY"


def test_what_was_due_meanwhile_happens(serve):
    gateway, wire = serve("opencloud-async", processing=0)
    folder = home_of(wire)
    gateway.faults.add(Fault(on="processing:*", kind="turned_down", path="*/bad"))
    wire.put(f"{folder}/good", b"content")
    wire.put(f"{folder}/bad", b"content")
    _, again = restarted(serve, gateway, "opencloud-async")
    assert again.content(f"{folder}/good") == b"content"
    assert again.names(folder) == ["good"]


def test_uploads_at_the_same_time_each_find_their_file(serve):
    _, wire = serve("opencloud")
    folder = home_of(wire)
    writers = [threading.Thread(target=wire.put, args=(f"{folder}/{n}", b"%d" % n)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {name: wire.content(f"{folder}/{name}") for name in wire.names(folder)} == {
        str(n): b"%d" % n for n in range(8)
    }


def test_a_fault_strikes_at_every_door_of_a_space(serve):
    """By the CS3 path, whatever the space is called in the URL."""
    gateway, wire = serve("opencloud")
    space = home_of(wire).rpartition("/")[2]
    wire.put(f"{home_of(wire)}/f", b"content")
    gateway.faults.add(Fault("http:GET", "status", f"{home_of(wire)}/f", status="503", times=2))
    login = {"X-Access-Token": wire.token}
    urls = [f"{gateway.data_url}{base}/f" for base in ("/remote.php/webdav", f"/dav/spaces/{space}")]
    assert [wire.http.request("GET", url, headers=login).status for url in urls * 2] == [503, 503, 200, 200]
