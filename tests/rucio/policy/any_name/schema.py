"""Rucio takes from its generic schema whatever is not here."""

from __future__ import annotations

NAME = {"description": "Data Identifier name", "type": "string", "maxLength": 250, "pattern": "^[^\x00]+$"}
