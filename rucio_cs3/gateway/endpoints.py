"""Where the bytes of an upload or download go: addresses on the data server, open or behind a transfer token."""

from __future__ import annotations

import posixpath
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from cs3.gateway.v1beta1 import resources_pb2 as gateway
from cs3.storage.provider.v1beta1 import resources_pb2 as storage

from rucio_cs3.gateway.namespace import clean, is_relative

if TYPE_CHECKING:
    from rucio_cs3.gateway.site import Site
    from rucio_cs3.gateway.users import User

DATA = "/data"
DATA_GATEWAY = "/datagateway"
KINDS = storage.ResourceChecksumType.Value


def _checksums(priorities: dict[str, int]) -> list[Any]:
    return [
        storage.ResourceChecksumPriority(type=KINDS(f"RESOURCE_CHECKSUM_TYPE_{kind}"), priority=priority)
        for kind, priority in priorities.items()
    ]


ADVERTISED = _checksums({"ADLER32": 10, "MD5": 100, "UNSET": 1000})  # by configuration, and computed by nobody
COMPUTED = _checksums({"SHA1": 10, "MD5": 20, "ADLER32": 30})


class Endpoints:
    def __init__(self, site: Site, data_url: str) -> None:
        self._site = site
        self._data_url = data_url
        self._checksums = COMPUTED if site.behaviour.checks_uploads else ADVERTISED

    def for_upload(self, reference: Any, user: User, request: Any, length: int) -> list[Any]:
        """In any order, as Reva's map gives them."""
        site = self._site
        place = site.namespace.resolve(reference, user)
        if site.behaviour.stages_uploads:
            below = site.uploads.begin(place, user, request, length).id
        else:
            site.uploads.check(place, length)
            below = place.below
        protocols = random.sample(site.behaviour.upload_protocols, len(site.behaviour.upload_protocols))
        return [
            gateway.FileUploadProtocol(
                protocol=protocol, upload_endpoint=url, token=token, available_checksums=self._checksums
            )
            for protocol in protocols
            for url, token in [self._address(protocol, below)]
        ]

    def for_download(self, reference: Any, user: User) -> list[Any]:
        """Nothing is checked at all. An id that comes without a path beginning with a dot gets lost, as in Reva."""
        self._site.namespace.check(reference)
        reference = self._site.namespace.relative(reference, user)
        protocol, below = "simple", reference.path
        if is_relative(reference):
            where = reference.resource_id
            protocol, below = "spaces", posixpath.join(self._site.namespace.spelt(where), reference.path)
        elif not reference.HasField("resource_id"):
            below = self._site.namespace.resolve(reference, user).below
        url, token = self._address(protocol, below)
        return [gateway.FileDownloadProtocol(protocol=protocol, download_endpoint=url, token=token)]

    def upload_target(self, protocols: list[Any]) -> str:
        """What the data server knows an upload by, from what `for_upload` told: to be given to its `receive`."""
        [simple] = [one for one in protocols if one.protocol == "simple"]
        url = self._site.tokens.transfer_target(simple.token) if simple.token else simple.upload_endpoint
        return unquote(urlsplit(url or "").path[len(f"{DATA}/simple/") :])

    def _address(self, protocol: str, below: str) -> tuple[str, str]:
        target = f"{DATA}/{protocol}{quote(clean(below))}"
        if self._site.behaviour.exposes_data_server:
            return f"{self._data_url}{target}", ""
        return f"{self._data_url}{DATA_GATEWAY}", self._site.tokens.mint_transfer(f"{self._data_url}{target}")
