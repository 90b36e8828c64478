"""A Rucio policy package that says one thing: `cs3s` is a scheme that Rucio may list and make transfers for.

    [policy]
    package = rucio_cs3.policy    # in rucio.cfg of the server and of the daemons

There are no permissions and no schemas here, so that Rucio takes its own, whichever they are; it warns that it does.
A policy package of an experiment imports this one, to the same effect.
"""

from __future__ import annotations

from rucio.common.constants import SUPPORTED_PROTOCOLS

# No SUPPORTED_VERSION: a Rucio without this list cannot import us, and says so.
if "cs3s" not in SUPPORTED_PROTOCOLS:
    SUPPORTED_PROTOCOLS.append("cs3s")  # in place, because whoever imported it has the same list
