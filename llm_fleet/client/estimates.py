"""What a call will need, and what its usage means to the limits: the arithmetic before and after."""

from __future__ import annotations

from ..config import ProviderConfig, resolve_limits
from ..engine.values import Need, Settlement
from ..models import Call, Usage
from ..profiles import profile_for
from ..tokens import InputEstimator, input_bytes

__all__ = ["Estimates"]

MOST_MODELS = 1_000
LEAST_RATIO = 1 / 8
"""Fewer tokens per byte than any text has: only what is too large even so is surely too large."""


class Estimates:
    """Estimates for one provider entry, learning from every usage."""

    def __init__(self, provider: ProviderConfig) -> None:
        self._provider = provider
        self._reads_count = profile_for(provider.kind).cache_reads_count
        self._estimator = InputEstimator()
        self._lanes: dict[str, str] = {}
        self._limits: dict[tuple[str, str], int] = {
            (limit.lane, limit.resource): limit.amount
            for limit in sorted(resolve_limits(provider), key=lambda limit: limit.amount)
            if limit.period_s == 60 and limit.resource in ("input_tokens", "tokens")
        }

    def lane(self, model: str) -> str:
        """The lane of a model."""
        lane = self._lanes.get(model)
        if lane is None:
            if len(self._lanes) >= MOST_MODELS:
                self._lanes.clear()
            lane = self._lanes[model] = self._provider.lane(model)
        return lane

    def input_tokens(self, call: Call) -> int:
        """The estimated input alone, whatever the limits are."""
        return self._estimator.estimate(self.lane(call.model), call.tag, input_bytes(call))

    def share(self, need: Need) -> float:
        """Which part of the smallest limit per minute on its input a call would take."""
        limits = [
            limit
            for of_lane in {need.lane, "*"}
            for resource in ("input_tokens", "tokens")
            if (limit := self._limits.get((of_lane, resource)))
        ]
        return need.input_tokens / min(limits) if limits else 0.0

    def need(self, call: Call) -> Need:
        """The lane, the estimated input and the most output of a call."""
        lane = self.lane(call.model)
        n_bytes = input_bytes(call)
        return Need(
            lane,
            self._within_limit(call, lane, n_bytes, self._estimator.estimate(lane, call.tag, n_bytes)),
            call.max_tokens,
            band=call.priority,
            tenant=call.tenant,
            tag=call.tag,
            affinity=call.affinity,
        )

    def _within_limit(self, call: Call, lane: str, n_bytes: int, estimate: int) -> int:
        """An estimate is no proof: it refuses nothing that may well fit the limit."""
        least = int(n_bytes * LEAST_RATIO)
        for of_lane in (lane, "*"):
            for resource, beside in (("input_tokens", 0), ("tokens", call.max_tokens)):
                limit = self._limits.get((of_lane, resource), 0) - beside
                if least <= limit < estimate:
                    estimate = limit
        return estimate

    def settlement(self, call: Call, usage: Usage) -> Settlement:
        """What the limits count of a usage: cache reads only where the provider counts them."""
        if usage.input_tokens > 0:
            counted = self.counted_input(usage)
            self._estimator.learn(self.lane(call.model), call.tag, input_bytes(call), counted)
        return self.counted(usage)

    def counted(self, usage: Usage) -> Settlement:
        """The same for a usage of which the call is not known: nothing is learned."""
        return Settlement(self.counted_input(usage), usage.output_tokens)

    def counted_input(self, usage: Usage) -> int:
        """Input tokens that count against the limits."""
        return usage.input_tokens - (0 if self._reads_count else usage.cache_read_tokens)
