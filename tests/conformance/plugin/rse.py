"""An RSE on the storage under test, as Rucio describes one to the plugin. Needs rucio-clients."""

from __future__ import annotations

import logging

from rucio_cs3.protocol import Default

PREFIX = "/remote.php/webdav/rucio/"


def pfn(below):
    """The PFN of a file of the RSE."""
    return f"davs://dav.example.org:443{PREFIX}{below}"


def entry(storage, folder, **changes):
    """A protocol entry whose PFNs are WebDAV addresses, and whose root is the test's folder."""
    place = {"webdav_root": "/remote.php/webdav/rucio", "cs3_root": folder}
    attributes = {
        "scheme": "davs",
        "hostname": "dav.example.org",
        "port": 443,
        "prefix": PREFIX,
        "impl": "rucio_cs3.protocol.Default",
        "auth_token": None,
        "extended_attributes": {"cs3": {"gateway": storage.address, "tls": False, **place}},
    }
    return {**attributes, **changes}


def protocol_of(storage, folder, rse="R", *, deterministic=True, **changes):
    """A protocol object, not yet connected."""
    settings = {"rse": rse, "id": f"id-of-{rse}", "deterministic": deterministic, "lfn2pfn_algorithm": "identity"}
    return Default(entry(storage, folder, **changes), settings, logger=logging.log)
