"""What was taken is not yet durable: the client waits, and says so when it is taken back."""

from __future__ import annotations

import io

import pytest

from rucio_cs3 import errors


@pytest.fixture
def hasty(storage):
    """A client that soon loses patience."""
    with storage.client(processing_timeout=0.3, retries=0) as client:
        yield client


def upload(client, target, **options):
    return client.upload(io.BytesIO(b"content"), target, **options)


def test_an_upload_is_over_when_it_has_been_processed(client, folder):
    upload(client, f"{folder}/f")
    assert not client.files.stat(f"{folder}/f").processing
    client.download(f"{folder}/f", io.BytesIO())


def test_an_upload_that_is_turned_down(client, folder, processing):
    processing("turned_down")
    with pytest.raises(errors.TurnedDown, match="its checks turned them down"):
        upload(client, f"{folder}/f")
    assert list(client.files.list(folder)) == []


def test_a_good_file_is_there_as_before_when_an_upload_over_it_is_turned_down(client, folder, processing):
    upload(client, f"{folder}/f")
    processing("turned_down")
    with pytest.raises(errors.TurnedDown):
        client.upload(io.BytesIO(b"new"), f"{folder}/f", overwrite=True)
    sink = io.BytesIO()
    client.download(f"{folder}/f", sink)
    assert sink.getvalue() == b"content"


def test_an_upload_that_is_never_done_with(hasty, folder, processing):
    processing("never_processed")
    with pytest.raises(errors.Processing, match="still processing"):
        upload(hasty, f"{folder}/f")
    assert not hasty.files.exists(f"{folder}/f")


def test_what_is_there_can_be_read_while_the_new_one_is_processed(client, hasty, folder, processing):
    upload(client, f"{folder}/f")
    processing("never_processed")
    with pytest.raises(errors.Processing):
        hasty.upload(io.BytesIO(b"new"), f"{folder}/f", overwrite=True)
    sink = io.BytesIO()
    client.download(f"{folder}/f", sink)
    assert sink.getvalue() == b"content"


def test_what_is_processed_cannot_be_read_and_that_is_said(hasty, folder, processing, storage):
    processing("never_processed")
    storage.wire().put(f"{folder}/f", b"content")
    with pytest.raises(errors.Processing):
        hasty.download(f"{folder}/f", io.BytesIO())


def test_what_is_processed_cannot_be_deleted_and_that_is_said(hasty, folder, processing, storage):
    processing("never_processed")
    storage.wire().put(f"{folder}/f", b"content")
    with pytest.raises(errors.Processing):
        hasty.files.delete(f"{folder}/f")
