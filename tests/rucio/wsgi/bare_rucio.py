"""Rucio's server where nobody has installed rucio-cs3."""

from __future__ import annotations

import sys

sys.modules["rucio_cs3"] = None

from rucio.web.rest.flaskapi.v1.main import application  # noqa: E402, F401 - now it is not to be found
