"""The HTTP data path: bytes up and down, verified."""

from __future__ import annotations
