"""Locks on files and folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs3.storage.provider.v1beta1 import provider_api_pb2 as provider

from rucio_cs3.cs3 import wire
from rucio_cs3.errors import NotFound
from rucio_cs3.model import Ref

if TYPE_CHECKING:
    from rucio_cs3.cs3.channel import Channel
    from rucio_cs3.model import Target


class Locks:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def find(self, target: Target) -> str | None:
        """The id of the lock on what is there; None for none, and for what does not exist.

        Raises:
            Cs3Error: of any kind, ServerError mostly, where the storage has no locks.
        """
        ref = Ref.of(target)
        request = provider.GetLockRequest(ref=wire.reference(ref))
        try:
            return str(self._channel.call("GetLock", request, path=str(ref)).lock.lock_id)
        except NotFound:
            return None
