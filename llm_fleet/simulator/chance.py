"""What is left to chance: lengths and durations, drawn from seeded generators. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

__all__ = ["Spread"]

_FORMS = "a number, [lowest, highest] or {lognormal: [median, sigma]}"


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity that varies: fixed, uniform between two bounds, or lognormal.

    `first` and `second` are the value (twice), the bounds, or the median and sigma.
    """

    first: float
    second: float
    lognormal: bool = False

    @classmethod
    def parse(cls, value: Any) -> Spread:
        """From a number, `[lowest, highest]` or `{"lognormal": [median, sigma]}`.

        Raises:
            ValueError: it is none of these; the message names the three forms.
        """
        match value:
            case Spread():
                return value
            case int() | float() if _is_amount(value):
                return cls(value, value)
            case [first, second] if _is_amount(first) and _is_amount(second) and first <= second:
                return cls(first, second)
            case {"lognormal": [first, second], **others} if not others:
                if _is_amount(first) and _is_amount(second) and first > 0:
                    return cls(first, second, lognormal=True)
        raise ValueError(f"must be {_FORMS}, none of them negative, a median above 0")

    def draw(self, random: Random) -> float:
        if self.lognormal:
            return random.lognormvariate(math.log(self.first), self.second)
        if self.first == self.second:
            return self.first
        return random.uniform(self.first, self.second)


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
