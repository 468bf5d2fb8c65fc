"""Moments at which something is called: one timer for all of them. Lives on the I/O loop."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from .operations import Waiter

__all__ = ["Deadlines"]


class Deadlines:
    """Calls `late(waiter)` at its moment (monotonic), the earliest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[Waiter], None], Waiter]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at: float, late: Callable[[Waiter], None], waiter: Waiter) -> None:
        """Cannot be taken back: `late` looks whether it still matters."""
        heapq.heappush(self._heap, (at, next(self._numbers), late, waiter))
        self._set_timer()

    def forget(self, is_over: Callable[[Waiter], bool]) -> None:
        """Drop those that matter no more."""
        self._heap = [entry for entry in self._heap if not is_over(entry[3])]
        heapq.heapify(self._heap)

    def close(self) -> None:
        """Call nobody any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        loop, in_s = asyncio.get_running_loop(), self._heap[0][0] - time.monotonic()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + in_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(in_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        while self._heap and self._heap[0][0] <= time.monotonic():
            _, _, late, waiter = heapq.heappop(self._heap)
            late(waiter)
        if self._heap:
            self._set_timer()
