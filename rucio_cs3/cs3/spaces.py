"""Spaces: the trees of their own that the line of oCIS and OpenCloud has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cs3.storage.provider.v1beta1 import spaces_api_pb2 as api

from rucio_cs3.model import Quota, ResourceId, Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rucio_cs3.cs3.channel import Channel


class Spaces:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def list(self) -> Sequence[Space]:
        """Those that the user sees; none also while the storage behind them is down.

        Raises:
            Unsupported: the site has no spaces.
        """
        reply = self._channel.call("ListStorageSpaces", api.ListStorageSpacesRequest())
        return sorted(map(_model, reply.storage_spaces), key=lambda space: (space.kind, space.name, str(space.id)))


def _model(message: Any) -> Space:
    root, told = message.root, message.opaque.map
    total, used = (_number(told[name].value) if name in told else 0 for name in ("quota.total", "quota.used"))
    return Space(
        id=ResourceId(root.storage_id, root.opaque_id, root.space_id),
        name=message.name,
        kind=message.space_type,
        path=told["path"].value.decode("utf-8", "replace") if "path" in told else "",
        quota=Quota(total or message.quota.quota_max_bytes, used),
    )


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else 0
