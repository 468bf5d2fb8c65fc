"""How many tokens an input may have, without a network: bytes, and a ratio that learns. Pure."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from .models import Call

__all__ = ["COLD_RATIO", "InputEstimator", "input_bytes"]

COLD_RATIO = 1 / 3
"""Tokens per byte before anything was learned: a third more than English prose has (about 0.25),
as much as source code or Chinese. Too much is given back at the settle, too little draws 429s."""

ALPHA = 0.05
"""Weight of a sample once there are twenty; until then all samples weigh the same."""

MESSAGE_BYTES = 12
"""What a message costs beside its content: its role and its frame."""

IMAGE_BYTES = 5_000
"""An encoded image counts by its area, not by its length: about 1,600 tokens at most."""

OTHER_MEDIA_SHARE = 8
"""Encoded documents and sound have about one token in 24 bytes, not in 3."""

_SHORT_DATA = 1_000


def input_bytes(call: Call) -> int:
    """Length of what a call sends in: messages, system and tools, in bytes of UTF-8."""
    framed = sum(MESSAGE_BYTES + _length(message.content) for message in call.messages)
    return framed + _length(call.system) + _length(call.tools)


def _length(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        return _media(value, value[5:11]) if value.startswith("data:") else _utf8(value)
    if isinstance(value, Mapping):
        return sum(_utf8(str(name)) + _field(value, name, entry) for name, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return sum(map(_length, value))
    return _utf8(str(value))


def _field(block: Mapping[str, Any], name: str, entry: Any) -> int:
    if name == "data" and isinstance(entry, str):
        return _media(entry, str(block.get("media_type", "")))
    return _length(entry)


def _media(encoded: str, media_type: str) -> int:
    if len(encoded) < _SHORT_DATA:
        return _utf8(encoded)
    return IMAGE_BYTES if media_type.startswith("image/") else len(encoded) // OTHER_MEDIA_SHARE


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class InputEstimator:
    """Tokens from bytes by the ratio of what was seen, per lane and tag.

    The ratio is that of two moving averages, tokens over bytes, so that sums are right and large
    calls weigh more. A tag not seen yet goes by its lane. At most `max_entries` pairs are kept,
    those used last. Safe to use from any thread.
    """

    def __init__(self, *, max_entries: int = 4096) -> None:
        self._averages: OrderedDict[tuple[str, str | None], tuple[int, float, float]] = OrderedDict()
        self._max_entries = max_entries
        self._lock = threading.Lock()

    def estimate(self, lane: str, tag: str, n_bytes: int) -> int:
        """Tokens that `n_bytes` will probably have, at least 1."""
        return max(1, ceil(n_bytes * self.ratio(lane, tag)))

    def ratio(self, lane: str, tag: str) -> float:
        """Tokens per byte: of the tag, else of the lane, else `COLD_RATIO`."""
        with self._lock:
            known = self._averages.get((lane, tag)) or self._averages.get((lane, None))
        return known[1] / known[2] if known else COLD_RATIO

    def learn(self, lane: str, tag: str, n_bytes: int, tokens: int) -> None:
        """A call of `n_bytes` had `tokens`; what cannot be is left out."""
        if n_bytes <= 0 or tokens < 0:
            return
        with self._lock:
            for entry in ((lane, tag), (lane, None)):
                self._add(entry, n_bytes, tokens)

    def _add(self, entry: tuple[str, str | None], n_bytes: int, tokens: int) -> None:
        count, mean_tokens, mean_bytes = self._averages.pop(entry, (0, 0.0, 0.0))
        weight = max(ALPHA, 1 / (count + 1))
        self._averages[entry] = (
            count + 1,
            mean_tokens + weight * (tokens - mean_tokens),
            mean_bytes + weight * (n_bytes - mean_bytes),
        )
        while len(self._averages) > self._max_entries:
            self._averages.popitem(last=False)
