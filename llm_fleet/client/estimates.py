"""What a call will need, and what its usage means to the limits: the arithmetic before and after."""

from __future__ import annotations

from ..config import ProviderConfig
from ..engine.values import Need, Settlement
from ..models import Call, Usage
from ..profiles import profile_for
from ..tokens import InputEstimator, input_bytes

__all__ = ["Estimates"]


class Estimates:
    """Estimates for one provider entry, learning from every usage."""

    def __init__(self, provider: ProviderConfig) -> None:
        self._provider = provider
        self._reads_count = profile_for(provider.kind).cache_reads_count
        self._estimator = InputEstimator()

    def need(self, call: Call) -> Need:
        """The lane, the estimated input and the most output of a call."""
        lane = self._provider.lane(call.model)
        return Need(
            lane,
            self._estimator.estimate(lane, call.tag, input_bytes(call)),
            call.max_tokens,
            band=call.priority,
            tenant=call.tenant,
            tag=call.tag,
            affinity=call.affinity,
        )

    def settlement(self, call: Call, usage: Usage) -> Settlement:
        """What the limits count of a usage: cache reads only where the provider counts them."""
        lane = self._provider.lane(call.model)
        self._estimator.learn(lane, call.tag, input_bytes(call), self.counted_input(usage))
        return Settlement(self.counted_input(usage), usage.output_tokens)

    def counted_input(self, usage: Usage) -> int:
        """Input tokens that count against the limits."""
        return usage.input_tokens - (0 if self._reads_count else usage.cache_read_tokens)
