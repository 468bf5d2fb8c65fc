"""Decides which call goes wrong, and how; what that looks like is for others to know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from .config import Fault

__all__ = ["Faults"]

_ONLY_IN_STREAMS = frozenset({"cut", "error"})


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0
    struck: int = 0

    def strikes(self, account: str, stream: bool, random: Random) -> bool:
        fault = self.fault
        if fault.account not in (None, account) or fault.stream not in (None, stream):
            return False
        if not stream and fault.kind in _ONLY_IN_STREAMS:
            return False
        if fault.times is not None and self.struck >= fault.times:
            return False
        self.seen += 1
        if fault.every is not None and self.seen % fault.every:
            return False
        if fault.probability is not None and random.random() >= fault.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults in force; a call meets the first of them that strikes."""

    def __init__(self, faults: Iterable[Fault], random: Random) -> None:
        self._random = random
        self._armed: list[_Armed] = []
        self.set(faults)

    def set(self, faults: Iterable[Fault]) -> None:
        """Replace them; all counting starts anew."""
        self._armed = [_Armed(fault) for fault in faults]

    def strike(self, account: str, stream: bool) -> Fault | None:
        """The fault that this call meets, if any."""
        for armed in self._armed:
            if armed.strikes(account, stream, self._random):
                return armed.fault
        return None
