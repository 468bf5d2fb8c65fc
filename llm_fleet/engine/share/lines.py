"""Who waits for the share, in order: bands are strict, with the aging share of ENGINE.md §4. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ...models import BANDS
from ..operations import Waiter

__all__ = ["Line", "Lines"]

AGED_TURN = 8
"""Every so many grants one goes to the oldest that has waited too long."""


class Line:
    """Those of one lane (and of one tenant, where it has limits): by band, each in order of arrival."""

    def __init__(self) -> None:
        self._bands: list[deque[Waiter]] = [deque() for _ in BANDS]

    def add(self, waiter: Waiter) -> None:
        self._bands[BANDS.index(waiter.need.band)].append(waiter)

    def heads(self) -> Iterator[tuple[int, Waiter]]:
        """The first of each band that has one, with the band's number; who is done, or stuck, is dropped."""
        for number, band in enumerate(self._bands):
            while band and (band[0].is_done or band[0].is_stuck):
                band.popleft()
            if band:
                yield number, band[0]


class Lines:
    """All lines of a pool. A blocked head blocks its line alone."""

    def __init__(self, aging_s: float) -> None:
        self._aging_s = aging_s
        self._lines: dict[tuple[str, str], Line] = {}
        self._grants = 0

    def add(self, waiter: Waiter, tenant: str = "") -> bool:
        """Put who waits into the line of its lane (and limited tenant); True: nobody waits before it."""
        line = self._lines.setdefault((waiter.need.lane, tenant), Line())
        is_first = next(line.heads(), None) is None
        line.add(waiter)
        return is_first

    def granted(self) -> None:
        """A head got its grant (and is done)."""
        self._grants += 1

    def first(self, now: float, blocked: set[Line]) -> tuple[Line, Waiter] | None:
        """Whose turn it is among the lines that are not blocked; `now` is monotonic, in seconds."""
        heads = [
            (band, waiter.created, line, waiter)
            for line in self._lines.values()
            if line not in blocked
            for band, waiter in line.heads()
        ]
        if not heads:
            return None
        if self._grants % AGED_TURN == AGED_TURN - 1:
            oldest = min(heads, key=lambda head: head[1])
            if now - oldest[1] > self._aging_s:
                return oldest[2], oldest[3]
        _, _, line, waiter = min(heads, key=lambda head: head[:2])
        return line, waiter
