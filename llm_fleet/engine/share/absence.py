"""One absence of Redis, as a process goes through it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .books import Books
from .lines import Lines
from .pauses import Pauses

__all__ = ["Absence", "now_ms"]


def now_ms() -> int:
    """The clock of the share: monotonic."""
    return int(time.monotonic() * 1000)


@dataclass(slots=True)
class Absence:
    """Since when (monotonic) Redis has given nothing, as one of how many, and what is decided meanwhile.

    `epoch`: the pool's state that was known when it began, or was told of it.
    """

    since: float
    processes: int
    epoch: str
    books: Books
    pauses: Pauses
    lines: Lines
    requests: int = 0
    ends_at: float | None = None
    """When it is over, if Redis goes on answering (monotonic); None: it was not told anything yet."""
