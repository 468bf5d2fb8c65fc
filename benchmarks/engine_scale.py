"""How much slower this machine is than the one that the targets are from. Pure.

ENGINE.md §8 states targets in µs and ms, and beside them what one bare `EVALSHA` took redis-py on the same
machine: 66 µs of client CPU. The same call, measured here between the repeats of a figure, tells how slow
this machine is meanwhile. A faster machine does not make a target stricter, so no scale is below 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["REFERENCE_US", "Scale"]

REFERENCE_US = 66.0


@dataclass(frozen=True, slots=True)
class Scale:
    """Readings of the bare call, in µs of client CPU, from the time in which some figures were measured.

    The figures are the best of their repeats, so the best reading counts: the least that can be excused.
    """

    readings: Sequence[float]

    @property
    def bare_us(self) -> float:
        return min(self.readings)

    @property
    def slowness(self) -> float:
        """What a time is divided by before it is compared with its target."""
        return max(1.0, self.bare_us / REFERENCE_US)

    def to_json(self) -> dict[str, Any]:
        return {"bare_us": self.bare_us, "slowness": round(self.slowness, 3), "readings": [*self.readings]}

    def __str__(self) -> str:
        return (
            f"{self.bare_us:.0f} µs (lowest of {len(self.readings)} readings up to {max(self.readings):.0f})"
            f" → {self.slowness:.2f}"
        )
