"""The gRPC side of CS3: one channel, and one module per noun."""

from __future__ import annotations
