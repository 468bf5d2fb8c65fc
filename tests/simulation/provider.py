"""The providers: each account enforces its limits by its own arithmetic, in whole numbers.

A limit is a bucket that fills continuously. It knows nothing of the fleet: a request comes, and is
served or refused with a 429. What a request consumes, and when, follows the charge rule.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.scenario import Limit
from tests.simulation.world import S, World

__all__ = ["Account", "Request"]

MINUTE = 60 * S


@dataclass(slots=True)
class Request:
    """What a process sends: its real tokens, how many it asked for at most, and how long the answer takes."""

    input_tokens: int
    output_tokens: int
    max_output_tokens: int
    duration: int
    started: int = 0
    charged: int = 0

    def produced(self, now: int) -> int:
        """Output tokens so far; they come evenly."""
        passed = min(self.duration, now - self.started)
        return self.output_tokens * passed // self.duration if self.duration else self.output_tokens

    def amount(self, resource: str) -> int:
        """What has to be there when it starts."""
        if resource == "requests":
            return 1
        if resource == "output_tokens":
            return self.max_output_tokens
        return self.input_tokens + (self.max_output_tokens if resource == "tokens" else 0)


@dataclass(slots=True)
class Bucket:
    """Amounts inside are amount x MINUTE: in a microsecond it fills by `per_minute`."""

    limit: Limit
    level: int = 0
    at: int = 0
    consumed: int = 0

    @property
    def capacity(self) -> int:
        return int(self.limit.per_minute * self.limit.burst_s * S)

    def refill(self, now: int) -> None:
        self.level = min(self.capacity, self.level + (now - self.at) * self.limit.per_minute)
        self.at = now

    def take(self, amount: int) -> None:
        self.level -= amount * MINUTE
        self.consumed += amount


@dataclass(slots=True)
class Account:
    """One account with its limits, and what it has seen."""

    world: World
    limits: tuple[Limit, ...]
    slots: int = 0
    buckets: list[Bucket] = field(default_factory=list)
    streams: dict[int, Request] = field(default_factory=dict)
    served: int = 0
    peak: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    throttled_until: int = 0

    def __post_init__(self) -> None:
        self.buckets = [Bucket(limit) for limit in self.limits]
        for bucket in self.buckets:
            bucket.level = bucket.capacity

    def start(self, request: Request) -> str | None:
        """Serve a request from now on; or the resource that is not there, or `throttled`."""
        now = self.world.now
        self._produce(now)
        missing = self._missing(request, now)
        if missing:
            self.refused[missing] += 1
            return missing
        for bucket in self.buckets:
            if bucket.limit.rule != "as_produced":
                bucket.take(request.amount(bucket.limit.resource))
        request.started = now
        self.streams[id(request)] = request
        self.served += 1
        self.peak = max(self.peak, len(self.streams))
        self.world.later(request.duration, self._end, request)
        return None

    def _missing(self, request: Request, now: int) -> str | None:
        if now < self.throttled_until:
            return "throttled"
        if self.slots and len(self.streams) >= self.slots:
            return "concurrency"
        for bucket in self.buckets:
            bucket.refill(now)
            needed = (
                0 if bucket.limit.rule == "as_produced" else request.amount(bucket.limit.resource) * MINUTE
            )
            if bucket.level < needed or bucket.level <= 0:
                return bucket.limit.resource
        return None

    def _produce(self, now: int) -> None:
        """Charge what has been produced since the last time; it came while the bucket filled."""
        for bucket in self.buckets:
            if bucket.limit.rule == "as_produced":
                for request in self.streams.values():
                    more = request.produced(now) - request.charged
                    request.charged += more
                    bucket.take(more)
                bucket.refill(now)

    def _end(self, request: Request) -> None:
        self._produce(self.world.now)
        del self.streams[id(request)]

    def use(self, seconds: float) -> dict[str, float]:
        """Per resource the share of what it permitted in its first so many seconds that was consumed."""
        return {
            bucket.limit.resource: bucket.consumed
            / (bucket.limit.per_minute * (bucket.limit.burst_s + seconds) / 60)
            for bucket in self.buckets
        }
