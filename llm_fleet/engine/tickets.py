"""The tickets and leases of this process in one pool: enqueue, settle, cancel.

Lives on the I/O loop; only the methods that say so may be called from elsewhere. Redis decides
every grant; here tickets are matched with those who wait for them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import LLMFleetError
from ..store import Store
from .inbound import Inbound
from .keys import PoolKeys
from .lease import Lease
from .operations import Beat, Cancel, Settle, Waiter
from .pacing import Pacer
from .registration import Known, keyset_hash, offer
from .share import Away
from .steps import Reply, StepRunner
from .thread import IoThread
from .values import Denial, Need, PoolLimits, Settlement
from .waiting import WaitingRoom

__all__ = ["Desk", "Seat"]


@dataclass(frozen=True, slots=True)
class Seat:
    """How this process takes part: its I/O thread, store, id, lease TTL, and what it does without Redis."""

    io: IoThread
    store: Callable[[], Store]
    process: str
    ttl_s: float
    on_redis_down: str = "wait"


class Desk:
    """Every ticket of this process in one pool."""

    def __init__(self, seat: Seat, keys: PoolKeys, limits: PoolLimits) -> None:
        self._io, self.process, self.ttl_s = seat.io, seat.process, seat.ttl_s
        self.keys, self.limits, self.keyset = keys, limits, keyset_hash(limits)
        self.away = Away(self, seat.store, seat.on_redis_down)
        self.steps = StepRunner(seat.store, self)
        self.room = WaitingRoom(self, seat.store)
        self.leases: dict[str, Lease] = {}
        self.applied: Sequence[str] = ()
        self.processes = 1
        self._numbers = itertools.count(1)
        self._loops: set[asyncio.AbstractEventLoop] = set()
        self._pacer, self._domains = Pacer(), dict(limits.keys)
        self._known = Known()
        self.inbound = Inbound(self)

    # -- asked from any thread ---------------------------------------------------------------

    async def enqueue(self, need: Need, timeout_s: float) -> Lease | Denial:
        """Wait for a lease, `timeout_s` at most. Cancelling withdraws the ticket.

        Raises:
            CoordinationError: Redis did not answer for min(timeout, 10 s).
        """
        loop, started = asyncio.get_running_loop(), time.monotonic()
        waiter = Waiter(Lease(self, self.new_ticket(), need, loop), loop.create_future(), started + timeout_s)
        self._io.submit(lambda: self._join(waiter))
        try:
            outcome: Lease | Denial = await waiter.future
        except LLMFleetError as error:
            error.ticket = waiter.ticket
            raise
        except asyncio.CancelledError as error:
            error.ticket = waiter.ticket  # type: ignore[attr-defined]  # for Logging and CallTimeout
            self._io.submit(lambda: self.room.withdraw(waiter))
            waiter.return_unseen()
            raise
        if isinstance(outcome, Denial):
            return replace(outcome, ticket=waiter.ticket)
        outcome.queued_s = time.monotonic() - started
        return outcome

    def new_ticket(self) -> str:
        """An id that no other ticket of the fleet has."""
        return f"{self.process}-{next(self._numbers):x}"

    def submit_settle(self, lease: Lease, settlement: Settlement) -> None:
        """Any thread: end a lease with its usage."""
        self._io.submit(lambda: self._end(lease, Settle(lease.ticket, settlement), settlement))

    def submit_cancel(self, lease: Lease) -> None:
        """Any thread: undo a lease whose request was never sent."""
        self._io.submit(lambda: self._end(lease, Cancel(lease.ticket)))

    def pace(self, lease: Lease, *, is_in_line: bool = False) -> float:
        """Seconds to wait before sending, then to ask again: none, unless the grant is older than J."""
        now, domains = time.monotonic(), self.domains_of(lease)
        if is_in_line:
            return self._pacer.leave(domains, lease.spacing_s, now)
        if now - lease.granted_at <= self.limits.jitter_s or not lease.spacing_s:
            return 0.0
        return self._pacer.join(domains, lease.spacing_s, now)

    def domains_of(self, lease: Lease) -> tuple[str, ...]:
        """The domains of a lease's key."""
        return self._domains.get(lease.key_id, (lease.key_id,))

    async def renew(self, lease: Lease) -> bool:
        """Any loop: whether Redis still knows the lease; renews it if so."""
        if self.away.is_active:
            return False
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()

        def answered(is_alive: bool) -> None:
            self._io.deliver(loop, lambda: None if future.done() else future.set_result(is_alive))

        def beaten(result: Sequence[Any], sent_at: float, leases: Sequence[Lease]) -> None:
            self.inbound.beaten(result, sent_at, leases)
            answered(time.monotonic() < lease.alive_until and not lease.is_lost)

        self._io.submit(lambda: self.steps.add(Beat([lease], beaten, (lease.ticket, lease.ticket))))
        try:
            return await asyncio.wait_for(future, self.ttl_s)
        except TimeoutError:
            return False

    # -- on the I/O loop ---------------------------------------------------------------------

    def catch_up(self) -> None:
        """End what nobody will end any more: the leases and tickets of event loops that are closed."""
        self._io.catch_up()
        closed = [loop for loop in self._loops if loop.is_closed()]
        self._loops.difference_update(closed)
        if not closed:
            return
        for lease in [lease for lease in self.leases.values() if lease.loop in closed]:
            if lease.is_sent:
                lease.settle(Settlement(None, lease.output_tokens or None))
            else:
                lease.cancel()
        for waiter in [waiter for waiter in self.room.everybody() if waiter.lease.loop in closed]:
            self.room.withdraw(waiter)

    def _join(self, waiter: Waiter) -> None:
        self._loops.add(waiter.lease.loop)
        self.room.join(waiter)

    def _end(self, lease: Lease, operation: Settle | Cancel, settlement: Settlement | None = None) -> None:
        self.leases.pop(lease.ticket, None)
        if settlement is not None:
            self.away.learn(lease.need, settlement)
        if lease.local is None:
            self.steps.add(operation)
        self.away.ended(lease, settlement)

    def hand_over(self, waiter: Waiter, outcome: Lease | Denial | Exception) -> None:
        """Give who waited the outcome, on the waiter's own loop; a lease nobody can take goes back."""
        delivered = self._io.deliver(waiter.lease.loop, lambda: waiter.resolve(outcome))
        if not delivered and isinstance(outcome, Lease):
            outcome.cancel()

    # -- what the step runner asks of us -------------------------------------------------------

    def offer(self) -> str:
        """What this process registers with."""
        self._known.epoch, self._known.fence = self.steps.epoch, self.steps.fence
        return offer(
            self.limits,
            self._known,
            self.ttl_s,
            [lease for lease in self.leases.values() if not lease.is_lost and lease.local is None],
            self.away.telling.offer(),
        )

    def registered(self, outcome: Sequence[str], processes: int) -> None:
        """The pool knows us (again): everybody who waits enqueues again under the same id."""
        self._known.is_lost = False
        self.away.registered()
        self.applied, self.processes = outcome, processes
        if not self.away.is_active:
            self.room.enqueue_again()

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
        self.limits, self._domains = limits, dict(limits.keys)
        self.keyset = keyset_hash(limits)
        self.room.use_keys(limits)
        self.steps.is_registered = False
        self.steps.poke()
