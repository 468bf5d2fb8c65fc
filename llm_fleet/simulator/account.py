"""An account: the levels that its keys share, who is in flight, and what was let through.

Decides and counts; knows no dialect, no HTTP and no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .config import AccountConfig
from .levels import JUST_ABOVE_ZERO, Level, Rule

__all__ = ["Account", "Denial", "Need"]

MINUTE_S = 60.0
DAY_S = 86_400.0
CONCURRENCY_RETRY_S = 1.0

_PER_MINUTE = ("requests", "input_tokens", "output_tokens", "tokens")
_PER_DAY = ("requests", "tokens")


@dataclass(frozen=True, slots=True)
class Need:
    """What a call asks for: its input, and the most output that it may have."""

    input_tokens: int
    max_output_tokens: int

    def amounts(self) -> Iterator[tuple[str, float]]:
        """What has to be there for the call to start, by resource."""
        total = self.input_tokens + self.max_output_tokens
        yield "requests", 1.0
        yield "requests_per_day", 1.0
        yield "input_tokens", self.input_tokens
        yield "tokens", total
        yield "tokens_per_day", total
        yield "output_tokens", JUST_ABOVE_ZERO


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a call may not start now. `retry_after_s` None: it never may, it exceeds the limit."""

    resource: str
    limit: int
    available: float
    requested: float
    retry_after_s: float | None


class Account:
    """Limits and counters of one account. Output is charged as it is produced, all else at the start."""

    def __init__(self, name: str, config: AccountConfig, now: float) -> None:
        self.name = name
        self.levels = {resource: rule.open(now) for resource, rule in _rules(config)}
        self.max_concurrent = config.max_concurrent_requests
        self.in_flight = 0
        self.reset(now)

    def reset(self, now: float) -> None:
        """Full levels and empty books; what is in flight stays in flight."""
        for level in self.levels.values():
            level.fill(now)
        self.started = now
        self.first_accepted: float | None = None
        self.last_accepted: float | None = None
        self.accepted = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.peak_concurrency = self.in_flight
        self.rejected: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.used: Counter[str] = Counter()

    def denial(self, need: Need, now: float) -> Denial | None:
        """The first reason why the call may not start; changes nothing."""
        if self.max_concurrent is not None and self.in_flight >= self.max_concurrent:
            return Denial("concurrency", self.max_concurrent, 0.0, 1.0, CONCURRENCY_RETRY_S)
        for resource, amount in need.amounts():
            level = self.levels.get(resource)
            if level is None:
                continue
            wait = level.wait(amount, now)
            if amount > level.limit:
                return Denial(resource, level.limit, level.available(now), amount, None)
            if wait > 0:
                return Denial(resource, level.limit, level.available(now), amount, wait)
        return None

    def reject(self, denial: Denial, now: float, *, costs_a_request: bool) -> None:
        """Count a refusal; where it is the custom, it costs a request all the same."""
        self.rejected[denial.resource] += 1
        level = self.levels.get("requests")
        if costs_a_request and level is not None and level.available(now) >= 1:
            self._take("requests", 1, now)

    def charge(self, need: Need, now: float) -> None:
        """Let a call through: take all that is due at its start."""
        for resource, amount in need.amounts():
            if resource != "output_tokens":
                self._take(resource, amount, now)
        self.accepted += 1
        self.input_tokens += need.input_tokens
        self.last_accepted = now
        if self.first_accepted is None:
            self.first_accepted = now

    def enter(self) -> None:
        """A call begins to be worked on."""
        self.in_flight += 1
        self.peak_concurrency = max(self.peak_concurrency, self.in_flight)

    def leave(self) -> None:
        self.in_flight -= 1

    def produce(self, tokens: int, now: float) -> None:
        """So much output has come into being."""
        self.output_tokens += tokens
        self._take("output_tokens", tokens, now)

    def report(self, now: float) -> dict[str, Any]:
        """What the books say of this account; times are left out."""
        return {
            "accepted": self.accepted,
            "rejected": self.rejected.total(),
            "rejected_by": dict(self.rejected),
            "faults": dict(self.faults),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "in_flight": self.in_flight,
            "peak_concurrency": self.peak_concurrency,
            "max_concurrency": self.max_concurrent,
            "limits": {
                resource: {
                    "limit": level.limit,
                    "capacity": level.capacity,
                    "available": level.available(now),
                }
                for resource, level in self.levels.items()
            },
            "used": {resource: self.used[resource] for resource in self.levels},
            "permitted": {resource: self._permitted(level, now) for resource, level in self.levels.items()},
        }

    def _permitted(self, level: Level, now: float) -> Mapping[str, float]:
        last = self.started if self.last_accepted is None else self.last_accepted
        first = self.started if self.first_accepted is None else self.first_accepted
        return {
            "since_start": level.permitted(self.started, now),
            "until_last_accepted": level.permitted(self.started, last),
            "from_first_to_last_accepted": level.permitted(first, last),
            "since_first_accepted": level.permitted(first, now),
        }

    def _take(self, resource: str, amount: float, now: float) -> None:
        level = self.levels.get(resource)
        if level is not None:
            level.take(amount, now)
            self.used[resource] += int(amount)


def _rules(config: AccountConfig) -> Iterator[tuple[str, Rule]]:
    window_s = config.window_seconds if config.enforced_as == "window" else None
    bursts = config.burst_seconds
    for resource in _PER_MINUTE:
        limit = getattr(config, f"{resource}_per_minute")
        if limit is not None:
            burst_s = bursts.get(resource, MINUTE_S) if isinstance(bursts, dict) else bursts
            least = 1.0 if resource == "requests" else 0.0
            yield resource, Rule(limit, MINUTE_S, burst_s, window_s, least)
    for resource in _PER_DAY:
        limit = getattr(config, f"{resource}_per_day")
        if limit is not None:
            yield f"{resource}_per_day", Rule(limit, DAY_S, DAY_S, DAY_S if window_s else None)
