"""The arithmetic of one limit: a token bucket or fixed windows, in floats, with time as an argument.

On purpose nothing like the engine's: it must find the engine's mistakes, not share them.
Knows neither accounts nor HTTP. Times are seconds on any clock that does not run backwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

__all__ = ["JUST_ABOVE_ZERO", "Bucket", "Level", "Rule", "Window"]

JUST_ABOVE_ZERO = 1e-6
"""To be asked for by what may start while anything at all is left."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit as its account states it: `limit` per `period_s` seconds.

    `burst_s`: a bucket holds what flows in during that time. `window_s`: fixed windows of that
    length instead of a bucket. `least`: neither ever holds less than this.
    """

    limit: int
    period_s: float
    burst_s: float
    window_s: float | None = None
    least: float = 0.0

    def open(self, now: float) -> Level:
        """The level of this rule, full at `now`."""
        if self.window_s is not None:
            size = self.limit * self.window_s / self.period_s
            return Window(self.limit, max(size, self.least), self.window_s, now)
        capacity = self.limit * self.burst_s / self.period_s
        return Bucket(self.limit, max(capacity, self.least), self.limit / self.period_s, now)


class Level(Protocol):
    """What is left of a limit. May fall below zero: then it has to come back first."""

    @property
    def limit(self) -> int:
        """Per period, as configured."""
        ...

    @property
    def capacity(self) -> float:
        """The most that can be there at once."""
        ...

    def available(self, now: float) -> float: ...

    def take(self, amount: float, now: float) -> None:
        """Take it, also when it is not there."""
        ...

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` is there; for more than the capacity, until all is there."""
        ...

    def full_in(self, now: float) -> float:
        """Seconds until all is there again if nothing more is taken."""
        ...

    def permitted(self, start: float, end: float) -> float:
        """The most that could be taken from `start`, when all was there, to `end`."""
        ...

    def fill(self, now: float) -> None:
        """Make it as new."""
        ...


class Bucket:
    """Fills continuously at `rate` per second up to its capacity."""

    __slots__ = ("_at", "_left", "capacity", "limit", "rate")

    def __init__(self, limit: int, capacity: float, rate: float, now: float) -> None:
        self.limit = limit
        self.capacity = capacity
        self.rate = rate
        self._left = capacity
        self._at = now

    def available(self, now: float) -> float:
        if now > self._at:
            self._left = min(self.capacity, self._left + (now - self._at) * self.rate)
            self._at = now
        return self._left

    def take(self, amount: float, now: float) -> None:
        self._left = self.available(now) - amount

    def wait(self, amount: float, now: float) -> float:
        missing = min(amount, self.capacity) - self.available(now)
        return missing / self.rate if missing > _ROUNDING else 0.0

    def full_in(self, now: float) -> float:
        return (self.capacity - self.available(now)) / self.rate

    def permitted(self, start: float, end: float) -> float:
        return self.capacity + self.rate * (end - start)

    def fill(self, now: float) -> None:
        self._left = self.capacity
        self._at = now


class Window:
    """So much per window, all of it from the window's first moment; windows follow each other.

    What was taken beyond a window's share is missing in the next ones.
    """

    __slots__ = ("_begun", "_used", "capacity", "length", "limit")

    def __init__(self, limit: int, capacity: float, length: float, now: float) -> None:
        self.limit = limit
        self.capacity = capacity
        self.length = length
        self._used = 0.0
        self._begun = now

    def available(self, now: float) -> float:
        passed = math.floor((now - self._begun) / self.length)
        if passed > 0:
            self._used = max(0.0, self._used - passed * self.capacity)
            self._begun += passed * self.length
        return self.capacity - self._used

    def take(self, amount: float, now: float) -> None:
        self._used = self.capacity - self.available(now) + amount

    def wait(self, amount: float, now: float) -> float:
        missing = min(amount, self.capacity) - self.available(now)
        if missing <= _ROUNDING:
            return 0.0
        windows = math.ceil((missing - _ROUNDING) / self.capacity)
        return self._begun + windows * self.length - now

    def full_in(self, now: float) -> float:
        return self.wait(self.capacity, now)

    def permitted(self, start: float, end: float) -> float:
        first = math.floor((start - self._begun) / self.length)
        last = math.floor((end - self._begun) / self.length)
        return self.capacity * (last - first + 1)

    def fill(self, now: float) -> None:
        self._used = 0.0
        self._begun = now
