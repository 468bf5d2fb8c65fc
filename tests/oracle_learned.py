"""What the oracle's pool has learned of outputs: a quantile of the last ones (ENGINE.md §3)."""

from __future__ import annotations

from collections import Counter

from tests.oracle_buckets import COLD_OUTPUT

__all__ = ["LESSON_MS", "RECENT", "Outputs"]

RECENT, ENOUGH = 50, 20
LESSON_MS = 10  # once a topic is known, the first step of so many ms teaches
LEFT_OF_TEN = 9
"""Samples for each call that is still in flight: nine in ten have ended."""


class Outputs:
    """Per topic the output tokens of the last calls."""

    def __init__(self) -> None:
        self.recent: dict[str, list[int]] = {}
        self.seen: Counter[str] = Counter()
        self.begun: Counter[str] = Counter()
        self.taught: set[str] = set()
        self.trusted: set[str] = set()

    def predict(self, topic: str, max_tokens: int) -> tuple[int, bool]:
        """The output to expect, and whether that is cold: nothing is known yet."""
        recent = sorted(self.recent.get(topic, []), reverse=True)
        known = recent[max(1, len(recent) // 10) - 1] if recent else 0
        if topic not in self.trusted:
            return min(max_tokens, max(COLD_OUTPUT, known)), True
        return max(1, min(max_tokens, known)), False  # an answer has a token

    def known(self, topic: str) -> int:
        """How many samples there are; as long as they are not trusted, none."""
        return len(self.recent.get(topic, [])) if topic in self.trusted else 0

    def learn(self, topic: str, tokens: int) -> None:
        """A call ended by itself and said how much it had produced."""
        self.recent[topic] = [*self.recent.get(topic, []), tokens][-RECENT:]
        self.seen[topic] += 1
        self.taught.add(topic)

    def begin(self, topic: str) -> None:
        """A call begins of whose output nothing is known."""
        self.begun[topic] += 1

    def judge(self, in_flight: int) -> None:
        """What ends first is short: trust what has just been taught when nine in ten of what was begun have ended."""
        for topic in self.taught:
            left = min(in_flight, self.begun[topic] - self.seen[topic])
            if len(self.recent[topic]) >= ENOUGH and self.seen[topic] >= LEFT_OF_TEN * left:
                self.trusted.add(topic)
        self.taught.clear()
