"""Spaces the sends of grants that waited too long in this process (ENGINE.md §2). Time is an argument."""

from __future__ import annotations

import threading
from collections.abc import Sequence

__all__ = ["Pacer"]

EARLY_S = 0.005
"""So much before its turn a send may leave: timers are no more exact than that."""


class Pacer:
    """One line per domain: whoever joins gets a turn, one spacing after the turn before.

    A turn is no permission yet: an event loop that was busy wakes many whose turns have passed at once, so
    who comes to leave late is spaced again, after the one that left before. Any thread; times are
    monotonic, in seconds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends_at: dict[str, float] = {}
        self._opens_at: dict[str, float] = {}

    def join(self, domains: Sequence[str], spacing_s: float, now: float) -> float:
        """Take a turn: seconds until it comes. At 0 it is here, and taken: the send may leave."""
        with self._lock:
            at = max(now, *(self._ends_at.get(domain, 0.0) for domain in domains))
            self._ends_at.update(dict.fromkeys(domains, at + spacing_s))
        return at - now or self.leave(domains, spacing_s, now)

    def leave(self, domains: Sequence[str], spacing_s: float, now: float) -> float:
        """The turn should be here: 0 lets the send go, else seconds until the one before is far enough."""
        with self._lock:
            opens_at = max(self._opens_at.get(domain, 0.0) for domain in domains)
            if opens_at - now > EARLY_S:
                return opens_at - now
            self._opens_at.update(dict.fromkeys(domains, max(now, opens_at) + spacing_s))
            return 0.0
