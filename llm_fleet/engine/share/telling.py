"""What a process tells Redis when it is back: what its share had charged, and what is in flight by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import CoordinationError
from ...store import Store
from ..lease import Lease
from ..operations import Settle
from ..registration import lease_wire
from ..switch import pause_key
from .absence import Absence, now_ms
from .books import Books, Charges

if TYPE_CHECKING:
    from ..tickets import Desk

__all__ = ["Telling"]

Wire = list[Any]
REMEMBERED_S = 45.0
"""Redis remembers for one to two minutes what it has carried out."""


@dataclass(frozen=True, slots=True)
class Return:
    """An absence of Redis, or a part of one, under an id of its own: told however often, it counts once."""

    wire: Wire
    leases: Sequence[Lease]
    at: float

    def told(self, now: float) -> Wire:
        """Its wire form. Redis forgets in minutes what it has carried out: nothing may come back twice."""
        ticket, lacks, leases = self.wire
        if now - self.at > REMEMBERED_S:
            lacks = [lack for lack in lacks if lack[2] > 0]
        return [ticket, lacks, leases]


class Telling:
    """What Redis has not acknowledged yet."""

    def __init__(self, desk: Desk, store: Callable[[], Store]) -> None:
        self._desk, self._store = desk, store
        self._returns: list[Return] = []
        self._offered = 0
        self._outages: list[tuple[str, str, float | None]] = []
        self._task: asyncio.Task[None] | None = None

    def tell(self, absence: Absence, ahead_ms: int = 0) -> None:
        """Put into the next registration what was not told yet; leases in flight are Redis's from now on.

        `ahead_ms`: what the share may still spend in that time is told in advance; what it does not comes
        back with the next word.
        """
        desk, books, now = self._desk, absence.books, now_ms()
        held = [(lease, lease.local) for lease in desk.leases.values()]
        moved = [(lease, charges) for lease, charges in held if charges is not None]
        wires = [self._hand_over(lease, charges, books) for lease, charges in moved]
        for one in absence.pauses.take(now):
            wires.append(self._hand_over(one.lease, one.charges, books))
            desk.steps.add(Settle(one.lease.ticket, one.remainder(now)))
        lacks = books.tell(now, ahead_ms, is_lost=desk.steps.epoch != absence.epoch)
        absence.epoch = desk.steps.epoch
        if lacks or wires:
            leases = [lease for lease, _ in moved]
            self._returns.append(Return([desk.new_ticket(), lacks, wires], leases, time.monotonic()))

    def _hand_over(self, lease: Lease, charges: Charges, books: Books) -> Wire:
        """From here on Redis counts the lease: its wire form."""
        books.move(charges)
        lease.local, lease.alive_until = None, time.monotonic() + self._desk.ttl_s
        ask, desk = charges.ask, self._desk
        return lease_wire(lease, desk.keyset, desk.steps.fence, ask.predicted, ask.is_cold)

    def offer(self) -> list[Wire]:
        """What the next registration says; it is kept until that is answered."""
        self._offered = len(self._returns)
        return [one.told(time.monotonic()) for one in self._returns]

    def registered(self, *, is_over: bool) -> None:
        """The registration was answered: Redis knows of what it offered. `is_over`: it is back for good."""
        told, self._returns = self._returns[: self._offered], self._returns[self._offered :]
        self._offered = 0
        alive_until = time.monotonic() + self._desk.ttl_s
        for lease in (lease for one in told for lease in one.leases):
            lease.alive_until = max(lease.alive_until, alive_until)
        if self._outages and is_over and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._tell_outages())

    def add_outage(self, key_id: str, reason: str, seconds: float | None) -> None:
        """A key that this process has taken out of service."""
        self._outages.append((key_id, reason, seconds))

    async def _tell_outages(self) -> None:
        while self._outages:
            key_id, reason, seconds = self._outages[0]
            try:
                await pause_key(self._store(), self._desk.keys, key_id, reason, seconds)
            except CoordinationError:
                return  # at the next registration, then
            self._outages.pop(0)
