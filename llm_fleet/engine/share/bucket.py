"""Integer token buckets as lua/lib/limit, bucket and charge have them, for a share of a limit.

Pure: `now` is an argument, in ms. A test holds them against the Lua, operation by operation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..values import RESOURCES, Bucket

__all__ = ["NEVER", "LocalBucket", "Shape", "Taken", "shape_of"]

UNIT = 60_000
DAY_MS = 86_400_000
NEVER = math.inf
"""A wait that time alone does not end."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a limit means: one tick (ms) refills `rate` units; `unit` is one request or token in units.

    `most` is the largest amount that may be asked for at once; `kind` names the limit in Redis.
    """

    resource: str
    rule: str
    tick: int
    rate: int
    capacity: int
    unit: int
    most: int
    is_window: bool

    @property
    def kind(self) -> int:
        return RESOURCES.index(self.resource) + 1 + (10 if self.tick > 1 else 0)


def shape_of(limit: Bucket, amount: int) -> Shape:
    """The shape of `amount` (at least 1) of a limit: ENGINE.md §2, as lua/lib/limit has it."""
    rate, depth, most = amount, amount * limit.burst_ms, amount
    jitter = limit.jitter_ms
    if limit.period_ms == DAY_MS:
        depth, jitter = amount * UNIT, 0
    window = limit.window_ms * UNIT // limit.period_ms
    if window > 0:
        allowed = amount * window
        depth = min(depth, allowed // 10)
        rate, most = max(1, amount - _ceil(depth, window)), max(1, allowed // UNIT)
    capacity, unit = depth - rate * jitter, UNIT
    if capacity < UNIT:
        capacity = UNIT
        if limit.resource == "requests":
            rate, capacity = amount, _spaced(amount, jitter, window, most)
            unit = capacity
    tick = limit.period_ms // UNIT
    return Shape(limit.resource, limit.rule, tick, rate, capacity, unit, most, window > 0)


def _spaced(amount: int, jitter: int, window: int, most: int) -> int:
    """The cost of a request where less than one would be left: it keeps requests apart."""
    unit = UNIT + amount * jitter
    return max(unit, _ceil((window + jitter) * amount, most)) if window > 0 else unit


def _ceil(amount: int, divisor: int) -> int:
    return -(-amount // divisor)


@dataclass(slots=True)
class Taken:
    """What a lease has charged, and holds, in units."""

    charged: int
    hold: int


class LocalBucket:
    """A bucket, empty at `at` but for a `lead`; and what Redis was not told yet: `charged`, all that was
    taken net of what came back, and `moved`, what leases have charged that Redis counts from now on.
    `advance` was told before it was spent (None: nothing yet), `lost` since then what did not fit."""

    __slots__ = ("advance", "at", "charged", "held", "idle", "lead", "level", "lost", "moved", "shape")

    def __init__(self, shape: Shape, at: int, lead: int = 0) -> None:
        self.shape, self.at, self.lead, self.level = shape, at, lead, lead
        self.held = self.idle = self.charged = self.moved = self.lost = 0
        self.advance: int | None = None

    def refill(self, now: int) -> None:
        """Bring the level to `now`; a clock that went back changes nothing."""
        shape, ticks = self.shape, now // self.shape.tick - self.at // self.shape.tick
        if now <= self.at:
            return
        filled = self.level + shape.rate * ticks
        self.at, self.level, self.idle = now, min(filled, shape.capacity), 0
        self.lost += filled - self.level
        if filled > shape.capacity and shape.is_window:
            self.idle = min(filled, shape.most * shape.unit) - shape.capacity

    def need_of(self, input_tokens: int, output_tokens: int, predicted: int, is_cold: bool) -> int:
        """The units that a ticket takes or, as produced, holds: an eighth at most while nothing is known."""
        shape = self.shape
        if shape.rule != "as_produced":
            return amount_of(shape.resource, input_tokens, output_tokens) * shape.unit
        most = shape.capacity // 8 if is_cold else shape.capacity
        return min(amount_of(shape.resource, input_tokens, predicted) * shape.unit, most)

    def stake(self, need: int, is_cold: bool) -> int:
        """Units that stay when a ticket goes of whose output nothing is known: as much again.

        Redis leaves half of the bucket; ours begins empty, and would not serve anybody for half a minute.
        """
        return need if is_cold and self.shape.rule == "as_produced" else 0

    def fits(self, need: int) -> bool:
        """False of what is larger than the share itself: it can never go."""
        return self.shape.rule == "as_produced" or need <= self.shape.most * self.shape.unit

    def wait_ms(self, need: int, ahead: int, now: int) -> float:
        """Milliseconds until `need` is there beside `ahead`; 0 is now. `now` is when it was refilled."""
        shape, level = self.shape, self.level
        wanted, most = min(need, shape.capacity), shape.capacity
        if shape.is_window and need > shape.capacity:
            level += self.idle if level == shape.capacity else 0
            wanted, most = need, shape.most * shape.unit
        deficit = wanted - (level - self.held - ahead)
        if deficit <= 0:
            return 0
        if level + deficit > most:
            return NEVER
        return (now // shape.tick + _ceil(deficit, shape.rate)) * shape.tick - now

    def take(self, need: int) -> Taken:
        """Charge a grant or, as produced, hold it."""
        if self.shape.rule == "as_produced":
            self.held += need
            return Taken(0, need)
        self._charge(need)
        return Taken(need, 0)

    def settle(self, taken: Taken, units: int | None) -> None:
        """End a charge with what was consumed; None: nobody knows, then all of it was."""
        if self.shape.rule == "as_produced":
            used = taken.charged + taken.hold if units is None else units
            self._charge(max(0, used - taken.charged))
            self.held -= taken.hold
        elif self.shape.rule == "at_start_adjust" and units is not None:
            self._charge(units - taken.charged)

    def give_back(self, taken: Taken) -> None:
        """Undo a charge: the request was not sent."""
        self._charge(-taken.charged)
        self.held -= taken.hold

    def move(self, taken: Taken) -> None:
        """From now on Redis counts this charge; here it stays, for what is left of the absence."""
        self.charged -= taken.charged
        self.moved += taken.charged

    def _charge(self, units: int) -> None:
        self.charged += units
        self.level = min(self.shape.capacity, self.level - units)

    def tell(self, ahead_ms: int) -> tuple[int, int]:
        """By how much Redis, which goes on refilling, has too much of this limit, in units: {lack, debt}.

        First all that was charged, as far as it is still missing here (a lead is none of the provider's):
        what has been full since has refilled at the provider too. Then what differs from what was told:
        below 0 it comes back. `ahead_ms`: what can be spent in that time is told in advance.
        The debt is what of it lies below an empty bucket: all that a Redis that lost its state must know.
        """
        if self.advance is None:
            missing = self.shape.capacity + self.lead - self.level - self.moved
            lack, debt = max(0, min(self.charged, missing)), max(0, -self.level - self.moved)
        else:
            lack, debt = self.charged - self.advance + self.lost, max(0, self.charged)
        refilled = self.shape.rate * (ahead_ms // self.shape.tick)
        self.advance = max(0, min(self.level + refilled, self.shape.capacity)) if ahead_ms else 0
        self.charged = self.moved = self.lost = 0
        return lack + self.advance, debt + self.advance


def amount_of(resource: str, input_tokens: int, output_tokens: int) -> int:
    """How much of a resource an attempt is."""
    match resource:
        case "requests":
            return 1
        case "input_tokens":
            return input_tokens
        case "output_tokens":
            return output_tokens
    return input_tokens + output_tokens
