"""Free space: what the storage says, and what Rucio's reaper goes by.

The reaper reads the usage with source `storage` (unless the attributes source_for_total_space and
source_for_used_space say another) and the limit MinFreeSpace: when less is free than that, it deletes replicas that
nobody needs any more, until it is. Without such a usage it only deletes what is marked as obsolete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rucio_cs3.operate.catalogue import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rucio_cs3.model import Quota
    from rucio_cs3.operate.catalogue import Catalogue

SOURCE = "storage"
LIMIT = "MinFreeSpace"
SOURCES = ("source_for_total_space", "source_for_used_space")
NO_QUOTA = "the storage sets no quota, so nobody knows how much is free"


@dataclass(frozen=True)
class Told:
    """What Rucio was told of one RSE; `quota` without a limit means nothing."""

    quota: Quota
    min_free: int | None
    notes: Sequence[str] = ()

    @property
    def free(self) -> int | None:
        return self.quota.available


def tell(rucio: Catalogue, name: str, quota: Quota, *, min_free: int | None = None) -> Told:
    """Set what the reaper reads. Where there is no quota nothing is set: any number would be a lie."""
    standing = rucio.standing(name)
    attributes = standing.attributes if standing else {}
    if quota.available is None:
        return Told(quota, None, [NO_QUOTA, *_stale(rucio, name)])
    with refusals(f"set the usage of {name}, which by its generic policy only account root may"):
        rucio.client.set_rse_usage(name, SOURCE, quota.total - quota.available, quota.available)
    if min_free is not None:
        with refusals(f"set the limit {LIMIT} of {name}"):
            rucio.client.set_rse_limits(name, LIMIT, min_free)
    limit = rucio.limits(name).get(LIMIT)
    return Told(quota, limit, [*_other_source(attributes), *_no_limit(limit)])


def _stale(rucio: Catalogue, name: str) -> list[str]:
    old = [each for each in rucio.usage(name) if each["source"] == SOURCE]
    return [f"Rucio still has what it was told on {old[0]['updated_at']}"] if old else []


def _other_source(attributes: Mapping[str, Any]) -> list[str]:
    others = [f"{key} = {attributes[key]}" for key in SOURCES if attributes.get(key, SOURCE) != SOURCE]
    return [f"the reaper looks elsewhere: {', '.join(others)}"] if others else []


def _no_limit(limit: int | None) -> list[str]:
    return [] if limit else [f"without a limit {LIMIT} the reaper makes no room: --min-free sets it"]
