"""What a fleet is to do, and what may go wrong meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits

__all__ = ["Limit", "Scenario"]

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of each account, as its provider enforces it."""

    resource: str
    per_minute: int
    burst_s: float = 60.0
    rule: str = "at_start"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet; times in seconds unless the name says otherwise.

    Processes run `tasks` callers each in closed loops, and share the keys, one of each account; `key_groups`
    of processes have every so-manieth key each. `bands` and `tenants` give the callers their places in turn,
    `weights` are those of the tenants, in thousandths. Between calls those of the bands in `thinking` pause
    for `think_ms`. Input tokens are as `sizes` has them for the band, else `input_tokens`, and estimated by
    `guessed_high` of them too high. A request leaves `delay_ms` after its process has its grant.
    The providers permit so much of the limits that the fleet is configured with as `permitted` says.
    With `output_sigma` answers are lognormal around the first of `output_tokens`; each of their tokens takes
    `token_us` beside `call_ms`.
    """

    limits: tuple[Limit, ...] = (Limit("requests", 120, 10.0),)
    accounts: int = 4
    slots: int = 0
    processes: int = 4
    tasks: int = 25
    seconds: float = 60.0
    seed: int = 7
    jitter_ms: int = 500
    delay_ms: Span = (0, 350)
    input_tokens: Span = (100, 100)
    guessed_high: float = 0.0
    output_tokens: Span = (50, 50)
    output_sigma: float = 0.0
    token_us: int = 0
    max_output_tokens: int = 100
    call_ms: Span = (50, 50)
    think_ms: Span = (0, 0)
    patience_s: float = 600.0
    trip_us: Span = (200, 900)
    thinking: tuple[str, ...] = ("interactive", "normal", "batch")
    sizes: Mapping[str, Span] = field(default_factory=dict)
    bands: tuple[str, ...] = ("normal",)
    tenants: tuple[str, ...] = ("default",)
    weights: Mapping[str, int] = field(default_factory=dict)
    aging_ms: int = 30_000
    key_groups: int = 1
    kills: tuple[tuple[float, int], ...] = ()
    restart_s: float = 0.0
    throttles: tuple[tuple[float, float], ...] = ()
    jumps_ms: tuple[tuple[float, int], ...] = ()
    permitted: float = 1.0

    @property
    def enforced(self) -> tuple[Limit, ...]:
        """The limits of each account, as its provider has them."""
        return tuple(replace(one, per_minute=int(one.per_minute * self.permitted)) for one in self.limits)

    def output(self, chance: Random) -> int:
        """How many tokens an answer would have."""
        if self.output_sigma:
            return max(1, round(self.output_tokens[0] * math.exp(chance.gauss(0, self.output_sigma))))
        return chance.randint(*self.output_tokens)

    def pool(self, group: int) -> PoolLimits:
        """What the processes of a group register: all accounts' keys, or every so-manieth."""
        buckets = tuple(
            Bucket(one.resource, one.per_minute, 60_000, int(one.burst_s * 1000), self.jitter_ms, 0, one.rule)
            for one in self.limits
        )
        names = [f"account{i}" for i in range(self.accounts) if i % self.key_groups == group]
        return PoolLimits(
            "pool",
            tuple((f"key-of-{name}", (name,)) for name in names),
            tuple(DomainLimits(name, (LaneLimits("*", buckets, self.slots),)) for name in names),
            tenants=tuple(TenantLimits(name, weight) for name, weight in self.weights.items()),
            aging_ms=self.aging_ms,
        )
