"""Any login -> a Reva token."""

from __future__ import annotations
