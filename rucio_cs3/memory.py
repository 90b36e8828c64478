"""How threads share memory: glibc gives each a heap of its own, and what one of them frees is of no use to another."""

from __future__ import annotations

import ctypes

ARENA_MAX = -8  # in malloc.h


def one_heap() -> None:
    """For all threads of this process, of which none has begun. Does nothing where the C library is not glibc."""
    setting = getattr(ctypes.CDLL(None), "mallopt", None)
    if setting:
        setting(ARENA_MAX, 1)
