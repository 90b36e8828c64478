"""Uploads that are cut, and what is seen of them."""

from __future__ import annotations

import pytest

from rucio_cs3 import errors
from rucio_cs3.gateway import Fault

MIB = 1 << 20
SIZE = 3 * MIB + 7  # of the fixture `source`


def content(client, path):
    with client.open_read(path) as file:
        return file.read()


def names(client, gateway):
    return sorted(entry.name for entry in client.files.list(gateway.behaviour.mount))


def asked(gateway, method):
    """How often, over HTTP."""
    return sum(call.door == "http" and call.method == method for call in gateway.calls)


def left(state):
    return sorted(state.glob("*.json")) if state.exists() else []


def cut(gateway, client, source, place, after=2 * MIB, **options):
    """An upload that is cut at `after`, for good."""
    gateway.faults.add(Fault("http:PATCH", "cut", after=after))
    with pytest.raises(errors.Interrupted) as caught:
        client.upload(source, place, **options)
    gateway.faults.clear()
    gateway.calls.clear()
    return str(caught.value)
