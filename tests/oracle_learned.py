"""What the oracle's pool has learned of outputs: a quantile of the last ones (ENGINE.md §3)."""

from __future__ import annotations

from tests.oracle_buckets import COLD_OUTPUT

__all__ = ["RECENT", "Outputs"]

RECENT, ENOUGH = 50, 20


class Outputs:
    """Per topic the output tokens of the last calls."""

    def __init__(self) -> None:
        self.recent: dict[str, list[int]] = {}

    def predict(self, topic: str, max_tokens: int) -> tuple[int, bool]:
        """The output to expect, and whether that is cold: nothing is known yet."""
        recent = sorted(self.recent.get(topic, []), reverse=True)
        if len(recent) < ENOUGH:
            return min(max_tokens, COLD_OUTPUT), True
        return max(1, min(max_tokens, recent[len(recent) // 10 - 1])), False  # an answer has a token

    def known(self, topic: str) -> int:
        """How many samples there are."""
        return len(self.recent.get(topic, []))

    def learn(self, topic: str, tokens: int) -> None:
        """A call ended by itself and said how much it had produced."""
        self.recent[topic] = [*self.recent.get(topic, []), tokens][-RECENT:]
