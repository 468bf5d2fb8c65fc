"""What a process tells Redis when it is back: what its share had charged, and what is in flight by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..lease import Lease

__all__ = ["Return", "Returns"]

Wire = list[object]


@dataclass(frozen=True, slots=True)
class Return:
    """One absence of Redis, told under an id of its own: however often it is told, it counts once."""

    ticket: str
    lacks: Sequence[Sequence[int | str]]
    leases: Sequence[Lease]
    wires: Sequence[Wire] = field(default=())


class Returns:
    """Those that Redis has not acknowledged yet."""

    def __init__(self) -> None:
        self._waiting: list[Return] = []
        self._offered = 0

    def add(self, one: Return) -> None:
        self._waiting.append(one)

    def offer(self) -> list[Wire]:
        """What the next registration says; it is kept until that is answered."""
        self._offered = len(self._waiting)
        return [[one.ticket, one.lacks, one.wires] for one in self._waiting]

    def acknowledged(self, renew: Callable[[Lease], None]) -> None:
        """The registration was answered: Redis knows of what it offered."""
        told, self._waiting = self._waiting[: self._offered], self._waiting[self._offered :]
        self._offered = 0
        for one in told:
            for lease in one.leases:
                renew(lease)
