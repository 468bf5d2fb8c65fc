"""The tickets and leases of this process in one pool: enqueue, settle, cancel.

Lives on the I/O loop; only the methods that say so may be called from elsewhere. Redis decides
every grant; here tickets are matched with those who wait for them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from ..errors import CoordinationError, ManagerClosed
from ..store import Store
from .inbound import Inbound
from .keys import PoolKeys
from .lease import Lease
from .operations import Beat, Cancel, Enqueue, Settle, Waiter
from .registration import Known, keyset_hash, offer
from .steps import Reply, StepRunner
from .thread import IoThread
from .values import Denial, Need, PoolLimits, Settlement, resource_name

__all__ = ["Desk"]

OUTAGE_LIMIT_S = 10.0
ANSWER_GRACE_S = 0.4


def denial_of(result: Sequence[Any]) -> Denial:
    """A script's refusal: {"d", reason, wait ms, resource, key, need, level, most, tick}."""
    _, reason, wait_ms, resource, key, need, level, most, tick = result
    has_bucket = int(most) > 0
    return Denial(
        reason,
        retry_after_s=int(wait_ms) / 1000 if int(wait_ms) >= 0 else None,
        resource=resource_name(resource, tick),
        need=int(need) if has_bucket else None,
        level=int(level) if has_bucket else None,
        limit=int(most) if has_bucket else None,
        key_id=key or None,
    )


class Desk:
    """Every ticket of this process in one pool."""

    def __init__(
        self,
        io: IoThread,
        store: Callable[[], Store],
        keys: PoolKeys,
        process: str,
        *,
        limits: PoolLimits,
        ttl_s: float,
    ) -> None:
        self._io, self._store = io, store
        self.keys, self.process, self.limits, self.ttl_s = keys, process, limits, ttl_s
        self.steps = StepRunner(store, self)
        self.waiting: dict[str, Waiter] = {}
        self.leases: dict[str, Lease] = {}
        self.applied: Sequence[str] = ()
        self.on_waiting: Callable[[], None] = lambda: None
        self._numbers = itertools.count(1)
        self._next_send: dict[str, float] = {}
        self._known = Known()
        self._key_ids, self._keyset = limits.key_ids, keyset_hash(limits)
        self.inbound = Inbound(self)

    # -- asked from any thread ---------------------------------------------------------------

    async def enqueue(self, need: Need, timeout_s: float) -> Lease | Denial:
        """Wait for a lease, `timeout_s` at most. Cancelling withdraws the ticket.

        Raises:
            CoordinationError: Redis did not answer for min(timeout, 10 s).
        """
        loop, ticket = asyncio.get_running_loop(), f"{self.process}-{next(self._numbers):x}"
        started = time.monotonic()
        waiter = Waiter(Lease(self, ticket, need, loop), loop.create_future(), started + timeout_s)
        self._io.submit(lambda: self._join(waiter))
        try:
            outcome: Lease | Denial = await waiter.future
        except asyncio.CancelledError:
            self._io.submit(lambda: self.withdraw(waiter))
            raise
        if isinstance(outcome, Lease):
            outcome.queued_s = time.monotonic() - started
        return outcome

    def submit_settle(self, lease: Lease, settlement: Settlement) -> None:
        """Any thread: end a lease with its usage."""
        self._io.submit(lambda: self._end(lease, Settle(lease.ticket, settlement)))

    def submit_cancel(self, lease: Lease) -> None:
        """Any thread: undo a lease whose request was never sent."""
        self._io.submit(lambda: self._end(lease, Cancel(lease.ticket)))

    def pace(self, lease: Lease) -> float:
        """Seconds to wait before sending: none, unless the grant is older than the jitter."""
        now = time.monotonic()
        if now - lease.granted_at <= self.limits.jitter_s or not lease.spacing_s:
            return 0.0
        at = max(now, self._next_send.get(lease.key_id, 0.0))
        self._next_send[lease.key_id] = at + lease.spacing_s
        return at - now

    async def renew(self, lease: Lease) -> bool:
        """Any loop: whether Redis still knows the lease; renews it if so."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()

        def answered(is_alive: bool) -> None:
            self._io.deliver(loop, lambda: None if future.done() else future.set_result(is_alive))

        def beaten(result: Sequence[Any], sent_at: float, leases: Sequence[Lease]) -> None:
            self.inbound.beaten(result, sent_at, leases)
            answered(time.monotonic() < lease.alive_until and not lease.is_lost)

        self._io.submit(lambda: self.steps.add(Beat([*self.leases.values()], beaten)))
        try:
            return await asyncio.wait_for(future, self.ttl_s)
        except TimeoutError:
            return False

    # -- on the I/O loop ---------------------------------------------------------------------

    def _join(self, waiter: Waiter) -> None:
        if waiter.is_done:
            return
        self.waiting[waiter.ticket] = waiter
        self._enqueue(waiter)
        self.on_waiting()
        late = max(ANSWER_GRACE_S, waiter.deadline - time.monotonic())
        waiter.timer = asyncio.get_running_loop().call_later(late, self._give_up, waiter)

    def _enqueue(self, waiter: Waiter) -> None:
        keys, affinity = self._key_ids, waiter.need.affinity
        preferred = keys[crc32(affinity.encode()) % len(keys)] if affinity else ""
        operation = Enqueue(waiter, self._keyset, preferred, self.limits.max_queued)
        operation.take = self._enqueued
        self.steps.add(operation)

    def _enqueued(self, waiter: Waiter, result: Sequence[Any], sent_at: float) -> None:
        if waiter.is_done:
            return
        match result[0]:
            case "g":
                self.granted(waiter, result[1:], sent_at, sent_at)
            case "d":
                self.finish(waiter, denial_of(result))
            case "q":
                self._queued(waiter)
            case _:
                self._renumber(waiter)

    def _queued(self, waiter: Waiter) -> None:
        waiter.is_queued = True
        loop = asyncio.get_running_loop()
        if waiter.timer is not None:
            waiter.timer.cancel()
        waiter.timer = loop.call_later(max(0.0, waiter.deadline - time.monotonic()), self._give_up, waiter)

    def _renumber(self, waiter: Waiter) -> None:
        """The ticket ended without us (dropped while this process was silent): take a new one."""
        del self.waiting[waiter.ticket]
        waiter.lease.ticket = f"{self.process}-{next(self._numbers):x}"
        self.waiting[waiter.ticket] = waiter
        self._enqueue(waiter)

    def granted(self, waiter: Waiter, grant: Sequence[Any], granted_at: float, alive_from: float) -> None:
        lease = waiter.lease
        lease.key_id, lease.fence, lease.spacing_s = grant[0], int(grant[1]), int(grant[2]) / 1000
        lease.granted_at, lease.alive_until = granted_at, alive_from + self.ttl_s
        self.leases[lease.ticket] = lease
        self.finish(waiter, lease)

    def finish(self, waiter: Waiter, outcome: Lease | Denial | Exception) -> None:
        waiter.is_done = True
        self.waiting.pop(waiter.ticket, None)
        if waiter.timer is not None:
            waiter.timer.cancel()
        delivered = self._io.deliver(waiter.lease.loop, lambda: waiter.resolve(outcome))
        if not delivered and isinstance(outcome, Lease):
            outcome.cancel()

    def _give_up(self, waiter: Waiter) -> None:
        """The deadline is here: cancel our own ticket and say what it waited for."""
        if waiter.is_done:
            return
        outage = self.steps.outage
        if outage is not None or not waiter.is_queued:
            self._lose(waiter, outage.error if outage else None)
            return
        waiter.timer = asyncio.get_running_loop().call_later(
            ANSWER_GRACE_S, self.finish, waiter, Denial("timeout")
        )
        self.steps.add(Cancel(waiter.ticket, lambda result: self._explained(waiter, result)))

    def _explained(self, waiter: Waiter, result: Sequence[Any]) -> None:
        if waiter.is_done:
            return
        if len(result) < 3:
            self.finish(waiter, Denial("timeout"))
            return
        position, resource, key, need, level, most, wait_ms, tick = result[2]
        reason = denial_of(["d", "timeout", wait_ms, resource, key, need, level, most, tick])
        fields = {
            name: getattr(reason, name) for name in ("retry_after_s", "resource", "need", "level", "limit")
        }
        self.finish(waiter, Denial("timeout", position=int(position), key_id=reason.key_id, **fields))

    def _lose(self, waiter: Waiter, error: CoordinationError | None) -> None:
        where = self._store().description
        text = str(error) if error else f"{where} did not answer in time; look at its load and latency"
        waited = time.monotonic() - waiter.created
        self.finish(
            waiter, CoordinationError(f"pool {self.keys.pool}: no grant after {waited:.1f} s: {text}")
        )
        self.steps.add(Cancel(waiter.ticket))

    def check_outage(self) -> None:
        """End the waits that Redis has not answered for too long."""
        outage = self.steps.outage
        if outage is None:
            return
        now = time.monotonic()
        for waiter in list(self.waiting.values()):
            since = max(outage.since, waiter.created)
            if now >= min(since + OUTAGE_LIMIT_S, waiter.deadline):
                self._lose(waiter, outage.error)

    def withdraw(self, waiter: Waiter) -> None:
        if waiter.is_done:
            return
        waiter.is_done = True
        if waiter.timer is not None:
            waiter.timer.cancel()
        if self.waiting.pop(waiter.ticket, None) is not None:
            self.steps.add(Cancel(waiter.ticket))

    def _end(self, lease: Lease, operation: Settle | Cancel) -> None:
        self.leases.pop(lease.ticket, None)
        self.steps.add(operation)

    def fail_all(self) -> None:
        """The manager closes: everybody who waits is told so."""
        for waiter in list(self.waiting.values()):
            self.finish(
                waiter, ManagerClosed(f"pool {self.keys.pool}: the manager was closed while a call waited")
            )
            self.steps.add(Cancel(waiter.ticket))
        self.inbound.close()

    # -- what the step runner asks of us -------------------------------------------------------

    def offer(self) -> str:
        """What this process registers with."""
        self._known.epoch, self._known.fence = self.steps.epoch, self.steps.fence
        return offer(
            self.limits,
            self._known,
            self.ttl_s,
            [lease for lease in self.leases.values() if not lease.is_lost],
        )

    def registered(self, epoch: str, fence: int, outcome: Sequence[str]) -> None:
        """The pool knows us (again): everybody who waits enqueues again under the same id."""
        self._known.is_lost = False
        self.applied = outcome
        for waiter in self.waiting.values():
            if waiter.is_queued:
                waiter.is_queued = False
                self._enqueue(waiter)

    def state_was_lost(self) -> None:
        """A lease that must be there is not: Redis lost writes."""
        self._known.is_lost = True
        self.steps.is_registered = False
        self.steps.poke()

    def stepped(self, reply: Reply) -> None:
        """A step of ours was carried out."""
        self.inbound.stepped(reply)

    def change_limits(self, limits: PoolLimits) -> None:
        """Register again, with other limits."""
        self.limits, self._key_ids, self._keyset = limits, limits.key_ids, keyset_hash(limits)
        self.steps.is_registered = False
        self.steps.poke()
