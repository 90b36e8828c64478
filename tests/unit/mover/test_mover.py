from __future__ import annotations


def file(source, target, **more):
    return {"sources": [source] if isinstance(source, str) else source, "destinations": [target], **more}


def test_a_file_is_copied(mover, put, folders):
    put("davs://a.example/x", b"abc")
    job = mover.submit(file("davs://a.example/x", "davs://b.example/d/y", filesize=3, metadata={"request_id": "r"}))
    told = mover.ended(job)
    assert (told["job_state"], told["job_type"], told["http_status"]) == ("FINISHED", "N", "200 Ok")
    [entry] = told["files"]
    assert (entry["file_state"], entry["reason"], entry["file_metadata"]) == ("FINISHED", None, {"request_id": "r"})
    assert folders.path("davs://b.example/d/y").read_bytes() == b"abc"
