"""Those of this process who wait for a grant: they join, are answered, or give up in time.

Every wait has a deadline; whatever way it ends, its ticket ends too. Lives on the I/O loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ..errors import CoordinationError, ManagerClosed
from ..store import Store
from .deadlines import Deadlines
from .lease import Lease
from .operations import Cancel, Enqueue, Waiter
from .registration import keyset_hash
from .values import Denial, PoolLimits, denial_of

if TYPE_CHECKING:
    from .tickets import Desk

__all__ = ["WaitingRoom"]

OUTAGE_LIMIT_S = 10.0
ANSWER_GRACE_S = 0.4
MAIL_GRACE_S = 0.2


class WaitingRoom:
    """The waiters of a desk by their ticket: `asking` have no answer yet, `queued` wait in Redis."""

    def __init__(self, desk: Desk, store: Callable[[], Store]) -> None:
        self._desk, self._store, self._pool = desk, store, desk.keys.pool
        self.asking: dict[str, Waiter] = {}
        self.queued: dict[str, Waiter] = {}
        self._deadlines = Deadlines()
        self.on_queued: Callable[[], None] = lambda: None
        self.on_joined: Callable[[], None] = lambda: None
        self.use_keys(desk.limits)

    @property
    def is_waited_in(self) -> bool:
        return bool(self.asking or self.queued)

    def everybody(self) -> list[Waiter]:
        return [*self.asking.values(), *self.queued.values()]

    def find(self, ticket: str) -> Waiter | None:
        return self.queued.get(ticket) or self.asking.get(ticket)

    def use_keys(self, limits: PoolLimits) -> None:
        """Enqueue with these keys from now on."""
        self._key_ids, self._keyset, self._max_queued = limits.key_ids, keyset_hash(limits), limits.max_queued

    def join(self, waiter: Waiter) -> None:
        """Ask for its grant. Its deadline is watched by `check_answers` until there is an answer."""
        if waiter.is_done:
            return
        self.asking[waiter.ticket] = waiter
        self.on_joined()
        if self._desk.away.is_active:
            self._desk.away.join(waiter)
        else:
            self._enqueue(waiter)

    def take_over(self, waiter: Waiter) -> None:
        """It goes without Redis: what it asked for there ends, and it goes on under another id."""
        self._leave(waiter)
        if waiter.is_asked:
            self._cancel(waiter)
            waiter.lease.ticket = self._desk.new_ticket()

    def _cancel(self, waiter: Waiter) -> None:
        """End its ticket in Redis, if that can know of it."""
        if waiter.is_asked:
            waiter.is_asked = False
            self._desk.steps.add(Cancel(waiter.ticket))

    def _enqueue(self, waiter: Waiter) -> None:
        keys, affinity = self._key_ids, waiter.need.affinity
        preferred = keys[crc32(affinity.encode()) % len(keys)] if affinity else ""
        operation = Enqueue(waiter, self._keyset, preferred, self._max_queued)
        operation.take = self._enqueued
        waiter.is_asked = True
        self._desk.steps.add(operation)

    def _enqueued(self, waiter: Waiter, result: Sequence[Any], sent_at: float) -> None:
        if waiter.is_done:
            return
        match result[0]:
            case "g" if self._desk.away.is_active:
                self.refuse(waiter)
            case "g":
                self.granted(waiter, result[1:], sent_at)
            case "d":
                self.finish(waiter, denial_of(result[1:]))
            case "q":
                self._queued(waiter)
            case _:
                self._renumber(waiter)

    def _queued(self, waiter: Waiter) -> None:
        self._leave(waiter)
        waiter.is_queued = True
        self.queued[waiter.ticket] = waiter
        if len(self._deadlines) > 2 * len(self.queued) + 64:
            self._deadlines.forget(lambda waiter: waiter.is_done)
        self._deadlines.add(waiter.deadline, self._give_up, waiter)
        self.on_queued()

    def _renumber(self, waiter: Waiter) -> None:
        """The ticket ended without us (dropped while this process was silent): take a new one."""
        self._leave(waiter)
        waiter.lease.ticket, waiter.is_asked = self._desk.new_ticket(), False
        self.join(waiter)

    def refuse(self, waiter: Waiter) -> None:
        """Redis granted while it does not know what went without it: that goes back, and the wait goes on."""
        self._leave(waiter)
        self._cancel(waiter)
        waiter.lease.ticket = self._desk.new_ticket()
        self.asking[waiter.ticket] = waiter

    def _leave(self, waiter: Waiter) -> Waiter | None:
        """Strike it off; None when it was not there."""
        place = self.queued if waiter.is_queued else self.asking
        waiter.is_queued = False
        return place.pop(waiter.ticket, None)

    def granted(self, waiter: Waiter, grant: Sequence[Any], granted_at: float) -> None:
        """The ticket is a lease: {key, fence, spacing ms}, since `granted_at` (monotonic) at the earliest."""
        lease = waiter.lease
        lease.key_id, lease.fence, lease.spacing_s = grant[0], int(grant[1]), int(grant[2]) / 1000
        lease.granted_at = granted_at
        lease.alive_until = math.inf if lease.local else granted_at + self._desk.ttl_s
        self._desk.leases[lease.ticket] = lease
        self.finish(waiter, lease)

    def finish(self, waiter: Waiter, outcome: Lease | Denial | Exception) -> None:
        waiter.is_done = True
        self._leave(waiter)
        self._desk.hand_over(waiter, outcome)

    def _give_up(self, waiter: Waiter) -> None:
        """The deadline is here: cancel our own ticket and say what it waited for."""
        if waiter.is_done:
            return
        outage = self._desk.steps.outage
        if outage is not None or not waiter.is_queued:
            self._lose(waiter, outage.error if outage else None)
            return
        self._deadlines.add(time.monotonic() + ANSWER_GRACE_S, self._unexplained, waiter)
        self._desk.steps.add(Cancel(waiter.ticket, lambda result: self._explained(waiter, result)))

    def _unexplained(self, waiter: Waiter) -> None:
        if not waiter.is_done:
            outage = self._desk.steps.outage
            self._lose(waiter, outage.error if outage else None)

    def _untold(self, waiter: Waiter) -> None:
        if not waiter.is_done:
            self.finish(waiter, Denial("timeout"))

    def _explained(self, waiter: Waiter, result: Sequence[Any]) -> None:
        if waiter.is_done:
            return
        if len(result) < 3:  # it ended before us: why is on its way, by mail
            self._deadlines.add(time.monotonic() + MAIL_GRACE_S, self._untold, waiter)
            return
        self.finish(waiter, denial_of(result[2]))

    def _lose(self, waiter: Waiter, error: CoordinationError | None) -> None:
        where = self._store().description
        text = str(error) if error else f"{where} did not answer in time; look at its load and latency"
        if note := self._desk.away.note(waiter):
            text = f"{text.rstrip('.')}; {note}"
        waited = time.monotonic() - waiter.created
        self.finish(waiter, CoordinationError(f"pool {self._pool}: no grant after {waited:.1f} s: {text}"))
        self._cancel(waiter)

    def check_answers(self) -> None:
        """End the waits that Redis has not answered for too long."""
        now, outage = time.monotonic(), self._desk.steps.outage
        for waiter in list(self.asking.values()):
            if now >= max(waiter.deadline, waiter.created + ANSWER_GRACE_S):
                self._give_up(waiter)
        if outage is None:
            return
        for waiter in self.everybody():
            since = max(outage.since, waiter.created)
            most = math.inf if self._desk.away.serves(waiter) else since + OUTAGE_LIMIT_S
            if now >= min(most, waiter.deadline):
                self._lose(waiter, outage.error)

    def withdraw(self, waiter: Waiter) -> None:
        if waiter.is_done:
            return
        waiter.is_done = True
        if self._leave(waiter) is not None:
            self._cancel(waiter)

    def fail_all(self) -> None:
        """The manager closes: everybody who waits is told so."""
        for waiter in self.everybody():
            self.finish(
                waiter, ManagerClosed(f"pool {self._pool}: the manager was closed while a call waited")
            )
            self._cancel(waiter)
        self._deadlines.close()
        self._desk.inbound.close()

    def enqueue_again(self) -> None:
        """Under the same ids: the pool's state was lost, or it does not know this process any more."""
        for waiter in list(self.queued.values()):
            self._leave(waiter)
            self.join(waiter)
        for waiter in [waiter for waiter in self.asking.values() if not waiter.is_asked]:
            self.join(waiter)
