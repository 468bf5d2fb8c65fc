"""Waiting for other processes: until something is so, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["eventually"]


def eventually(condition: Callable[[], object], *, within_s: float = 5.0) -> bool:
    """Whether `condition` becomes true within the time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
