"""The oracle's buckets and charges: ENGINE.md §2 and §3 in whole numbers, and nothing else.

Written from the page, not from the scripts. Levels are in units (amount x 60,000), times in ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_fleet.engine.values import Bucket

UNIT = 60_000
DAY_MS = 86_400_000
COLD_OUTPUT = 256
RAISED_MS = 60_000, 960_000  # so long takes all of a limit after one cut, and at most


def _up(amount: int, divisor: int) -> int:
    return -(-amount // divisor)


class OracleBucket:
    """One resource of one (domain, lane), enforced as a bucket. It starts full."""

    def __init__(self, limit: Bucket, now: int) -> None:
        self.resource, self.rule = limit.resource, limit.rule
        self.tick_ms = limit.period_ms // UNIT
        self.held = 0
        self.rate = self.most = self.configured = limit.amount
        self.cut_fence, self.raised_at, self.raised_ms = 0, 0, 0
        self.unit, jitter = UNIT, limit.amount * limit.jitter_ms
        self.capacity = limit.amount * limit.burst_ms - jitter
        if limit.period_ms == DAY_MS:
            self.capacity = limit.amount * UNIT
        elif self.capacity < UNIT:  # less than one is left: they are spaced, one costs the jitter too
            self.unit = UNIT + jitter if self.resource == "requests" else UNIT
            self.capacity = self.unit
        self.level, self.tick = self.capacity, now // self.tick_ms

    def refill(self, now: int) -> None:
        passed = max(0, now // self.tick_ms - self.tick)
        self.level = min(self.capacity, self.level + passed * self.rate)
        self.tick += passed

    def cut(self, granted_as: int, fence: int, now: int) -> None:
        """A 429 named it: an eighth slower, once for all that was granted until now; what it says of a day is unknown."""
        if self.tick_ms == 1 and granted_as > self.cut_fence:
            self.raised_ms = min(2 * self.raised_ms, RAISED_MS[1]) if self.cut_fence else RAISED_MS[0]
            self.cut_fence, self.raised_at = fence, now
            self.rate = max(_up(self.configured, 8), self.rate - _up(self.rate, 8))

    def raise_rate(self, now: int) -> None:
        """What was cut comes back, each further cut before that at half the pace."""
        if self.cut_fence and self.rate < self.configured:
            gain = self.configured * min(now - self.raised_at, self.raised_ms) // self.raised_ms
            self.rate = min(self.configured, self.rate + gain)
            self.raised_at += _up(gain * self.raised_ms, self.configured)
            if self.rate == self.configured:
                self.raised_at = now
        elif now - self.raised_at >= RAISED_MS[1]:
            self.cut_fence = 0

    def level_after(self, level: int, since_ms: int, now: int) -> int:
        """What a level of `since_ms` is by now."""
        passed = now // self.tick_ms - since_ms // self.tick_ms
        return min(self.capacity, level + passed * self.rate)

    @property
    def available(self) -> int:
        return self.level - self.held

    def refill_ms(self, units: int) -> int:
        """How long it takes to refill so much."""
        return _up(units, self.rate) * self.tick_ms

    def amount(self, input: int, output: int) -> int:
        """How much of the resource these tokens are."""
        return {"requests": 1, "input_tokens": input, "output_tokens": output, "tokens": input + output}[
            self.resource
        ]

    def need(self, input: int, output: int, predicted: int, is_cold: bool) -> int:
        """Units that have to be available before the grant: a prediction counts, where output is held."""
        if self.rule != "as_produced":
            return self.amount(input, output) * self.unit
        return min(predicted * self.unit, self.capacity // 8 if is_cold else self.capacity)

    def stake(self, is_cold: bool) -> int:
        """What has to stay behind: while nothing is known of the outputs, half of the capacity."""
        return self.capacity // 2 if self.rule == "as_produced" and is_cold else 0

    def never_fits(self, input: int, output: int) -> bool:
        """A need above the limit can never go; predictions never count for that."""
        return self.rule != "as_produced" and self.amount(input, output) > self.most

    def wait_ms(self, need: int, ahead: int, now: int) -> float:
        """Until `need` is there beside what is reserved `ahead`; infinite: refill alone never does it."""
        wanted = min(need, self.capacity) + ahead + self.held
        if wanted <= self.level:
            return 0
        if wanted > self.capacity:
            return float("inf")
        ticks = _up(wanted - self.level, self.rate)
        return (self.tick + ticks) * self.tick_ms - now

    def give_back(self, units: int) -> None:
        self.level = min(self.capacity, self.level + units)


@dataclass(slots=True)
class Charge:
    """What a lease took from one bucket."""

    bucket: OracleBucket
    reserved: int
    hold: int
    charged: int

    @classmethod
    def take(cls, bucket: OracleBucket, need: int) -> Charge:
        """Charge at the grant: predicted output is held, everything else is taken."""
        if bucket.rule == "as_produced":
            bucket.held += need
            return cls(bucket, 0, need, 0)
        bucket.level -= need
        return cls(bucket, need, 0, need)

    @property
    def share(self) -> int:
        """What it takes of its bucket, in thousandths of what a tick refills."""
        return int((self.charged + self.hold) / self.bucket.rate * 1000)

    def produce(self, units: int) -> bool:
        """So much output exists by now (cumulative); gives whether that is more than before."""
        more = max(0, units - self.charged) if self.bucket.rule == "as_produced" else 0
        self.bucket.level -= more
        self.charged += more
        self._release(min(self.hold, more))
        return more > 0

    def settle(self, actual: int | None) -> None:
        """End in time; None: what was reserved or held counts as consumed."""
        if self.bucket.rule == "as_produced":
            self.produce(self.charged + self.hold if actual is None else actual)
            self._release(self.hold)
        elif self.bucket.rule == "at_start_adjust" and actual is not None:
            self.bucket.give_back(self.charged - actual)  # below nothing it becomes debt
            self.charged = actual

    def settle_late(self, actual: int | None) -> None:
        """The lease had expired: charge only what exceeds what was charged."""
        if self.bucket.rule != "at_start" and actual is not None and actual > self.charged:
            self.bucket.level -= actual - self.charged
            self.charged = actual

    def undo(self) -> None:
        """Never sent: everything that the grant took goes back."""
        self.bucket.give_back(self.reserved)
        self._release(self.hold)

    def _release(self, units: int) -> None:
        self.bucket.held -= units
        self.hold -= units


def cost_of(charges: Sequence[Charge]) -> int:
    """What a lease takes, or has taken: its dominant share."""
    return max(charge.share for charge in charges) if charges else 1000
