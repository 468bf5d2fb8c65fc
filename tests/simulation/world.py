"""Virtual time: what is to happen next, in its order. Times are whole microseconds."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

__all__ = ["MS", "S", "Event", "World"]

MS = 1_000
S = 1_000_000


class Event:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("happen", "what")

    def __init__(self, happen: Callable[..., None], what: tuple[Any, ...]) -> None:
        self.happen: Callable[..., None] | None = happen
        self.what = what

    def cancel(self) -> None:
        self.happen = None


class World:
    """The clock on which everything happens."""

    def __init__(self) -> None:
        self.now = 0
        self._events: list[tuple[int, int, Event]] = []
        self._numbers = itertools.count()

    def later(self, us: float, happen: Callable[..., None], *what: Any) -> Event:
        """Let it happen so many microseconds from now."""
        event = Event(happen, what)
        heapq.heappush(self._events, (self.now + max(0, int(us)), next(self._numbers), event))
        return event

    def run(self, until: int) -> None:
        """Let everything happen that is due by then."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, event = heapq.heappop(events)
            if event.happen is not None:
                event.happen(*event.what)
        self.now = until
