"""How long answers have been of late in this process: a prediction for when Redis cannot give one. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque

__all__ = ["RecentOutputs"]

RING = 50
WARM = 20
"""From so many samples on their quantile is believed."""
ONE_IN = 10
COLD_TOKENS = 256
MOST_TOPICS = 1024


class RecentOutputs:
    """The last outputs per lane and tag, of the topics that came last, and per lane."""

    def __init__(self) -> None:
        self._topics: OrderedDict[tuple[str, str | None], deque[int]] = OrderedDict()

    def add(self, lane: str, tag: str, output_tokens: int) -> None:
        """A call produced so many tokens."""
        self._add((lane, tag), output_tokens)
        self._add((lane, None), output_tokens)

    def _add(self, topic: tuple[str, str | None], output_tokens: int) -> None:
        ring = self._topics.get(topic)
        if ring is None:
            ring = self._topics[topic] = deque(maxlen=RING)
            if len(self._topics) > MOST_TOPICS:
                self._topics.popitem(last=False)
        ring.append(output_tokens)

    def predict(self, lane: str, tag: str, most: int) -> tuple[int, bool]:
        """Tokens that nine in ten calls of the tag, else of the lane, stay below, `most` at most.

        True: of neither enough is known (cold).
        """
        for topic in ((lane, tag), (lane, None)):
            ring = self._topics.get(topic)
            if ring is not None and len(ring) >= WARM:
                return min(most, sorted(ring)[-max(1, len(ring) // ONE_IN)]), False
        return min(most, COLD_TOKENS), True
