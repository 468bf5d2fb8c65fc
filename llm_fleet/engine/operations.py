"""The operations that ride in a step: each knows its wire form and what to do with its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from .lease import Lease
from .values import RESOURCES, Need, Settlement

__all__ = ["Beat", "Cancel", "Enqueue", "Leave", "Operation", "Settle", "Waiter"]

Wire = list[Any]


class Waiter:
    """A ticket of this process that waits for its grant, and the future of who asked.

    `is_asked`: Redis was, or will be, asked for it; `is_queued`: it waits there. `is_stuck`: while Redis
    is away, it is too large for the share of this process.
    """

    def __init__(self, lease: Lease, future: asyncio.Future[Any], deadline: float) -> None:
        self.lease = lease
        self.future = future
        self.deadline = deadline
        self.created = time.monotonic()
        self.is_asked = False
        self.is_queued = False
        self.is_stuck = False
        self.is_done = False

    @property
    def ticket(self) -> str:
        return self.lease.ticket

    @property
    def need(self) -> Need:
        return self.lease.need

    def return_unseen(self) -> None:
        """Who asked was cancelled in the moment of the grant: give back what nobody will use."""
        if self.future.done() and not self.future.cancelled() and self.future.exception() is None:
            outcome = self.future.result()
            if isinstance(outcome, Lease):
                outcome.cancel()

    def resolve(self, outcome: Any) -> None:
        """Hand the outcome to who asked (on the asker's loop); a lease nobody takes goes back."""
        if self.future.done():
            if isinstance(outcome, Lease):
                outcome.cancel()
        elif isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Operation:
    """One operation of a step."""

    is_urgent = True

    def wire(self, now: float) -> Wire:
        """What the script reads, before it is packed (`packing`); `now` is monotonic."""
        raise NotImplementedError

    def answer(self, result: Sequence[Any], sent_at: float) -> None:
        """Take the script's result for this operation."""


class Enqueue(Operation):
    """Ask for a grant. A waiter that gave up, or goes on under another ticket, makes it a cancel."""

    def __init__(self, waiter: Waiter, keyset: str, preferred: str, max_queued: int) -> None:
        self.waiter, self._ticket, self._keyset = waiter, waiter.ticket, keyset
        self._preferred, self._max_queued = preferred, max_queued
        self.take: Callable[[Waiter, Sequence[Any], float], None] = lambda waiter, result, sent_at: None

    def wire(self, now: float) -> Wire:
        waiter, need = self.waiter, self.waiter.need
        if waiter.is_done or waiter.ticket != self._ticket:
            return ["c", self._ticket]
        wait_ms = max(0, int((waiter.deadline - now) * 1000))
        return [
            "e", waiter.ticket, self._keyset, need.lane, need.input_tokens, need.max_output_tokens, wait_ms,
            need.band, need.tenant, need.tag, self._preferred, self._max_queued,
        ]  # fmt: skip

    def answer(self, result: Sequence[Any], sent_at: float) -> None:
        if self.waiter.ticket == self._ticket:
            self.take(self.waiter, result, sent_at)


class Settle(Operation):
    """End a lease with its usage; not awaited by anybody, so it may ride with the next enqueue."""

    is_urgent = False

    def __init__(self, ticket: str, settlement: Settlement) -> None:
        self._ticket, self._settlement = ticket, settlement

    def wire(self, now: float) -> Wire:
        usage, throttle = self._settlement, self._settlement.throttle
        pause_ms, code = -1, 0
        if throttle is not None:
            pause_ms = max(0, int(throttle.retry_after_s * 1000 + 0.999))
            code = RESOURCES.index(throttle.resource) + 1 if throttle.resource in RESOURCES else 0
        return [
            "s", self._ticket, -1 if usage.input_tokens is None else usage.input_tokens,
            -1 if usage.output_tokens is None else usage.output_tokens, pause_ms, code,
        ]  # fmt: skip


class Cancel(Operation):
    """Withdraw a ticket, or undo a lease that was never sent."""

    def __init__(self, ticket: str, take: Callable[[Sequence[Any]], None] | None = None) -> None:
        self.ticket, self._take = ticket, take

    def wire(self, now: float) -> Wire:
        return ["c", self.ticket]

    def answer(self, result: Sequence[Any], sent_at: float) -> None:
        if self._take is not None:
            self._take(result)


class Beat(Operation):
    """Report leases that are held: only what is reported is renewed.

    `span` are two ticket ids: Redis names the leases of this process with an id after the first, up to the
    second, that are not reported; an empty one is no bound. `asks_place`: Redis also tells the place of this
    process in the fleet.
    """

    def __init__(
        self,
        leases: Sequence[Lease],
        take: Callable[[Sequence[Any], float, Sequence[Lease]], None],
        span: tuple[str, str] = ("", ""),
        *,
        asks_place: bool = False,
    ) -> None:
        self._leases, self._take, self._span = leases, take, span
        self._asks_place = asks_place

    def wire(self, now: float) -> Wire:
        for lease in self._leases:
            lease.reported_tokens = lease.output_tokens
        held = [[lease.ticket, lease.reported_tokens] for lease in self._leases]
        return ["h", held, *self._span, *([1] if self._asks_place else [])]

    def answer(self, result: Sequence[Any], sent_at: float) -> None:
        self._take(result, sent_at, self._leases)


class Leave(Operation):
    """This process goes: forget its presence."""

    def wire(self, now: float) -> Wire:
        return ["b"]
