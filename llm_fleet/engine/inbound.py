"""What comes from Redis unasked: grants, wake times and refusals, by a step's reply or the mailbox.

A push is a hint, the ticket's state in Redis is the truth: a lost one costs at most one
heartbeat, a doubled one nothing. Lives on the I/O loop.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .lease import Lease
from .operations import Cancel
from .steps import Reply
from .values import denial_of

if TYPE_CHECKING:
    from .tickets import Desk

__all__ = ["Inbound"]


class Inbound:
    """Matches what Redis says with the tickets of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._timers: dict[str, tuple[str, asyncio.TimerHandle]] = {}
        self._clock: tuple[float, int] | None = None

    def stepped(self, reply: Reply) -> None:
        """Take what a step of ours brought beside its results."""
        self._clock = (reply.sent_at, reply.now_ms)
        self._take(reply.now_ms, reply.grants, reply.wakes, reply.refusals)

    def mailed(self, text: str) -> None:
        """Take a message from the mailbox: [now, grants, wakes, refusals]."""
        now_ms, grants, wakes, refusals = json.loads(text)
        self._take(now_ms, grants, wakes, refusals)

    def _take(
        self,
        now_ms: int,
        grants: Sequence[Sequence[Any]],
        wakes: Sequence[Sequence[Any]],
        refusals: Sequence[Sequence[Any]],
    ) -> None:
        for grant in grants:
            self._grant(grant, self._local_time(now_ms))
        for queue, ticket, wake_ms in wakes:
            self._arm(queue, ticket, wake_ms)
        for ticket, *refusal in refusals:
            waiter = self._desk.room.find(ticket)
            if waiter is not None:
                self._desk.room.finish(waiter, denial_of(refusal))

    def _local_time(self, now_ms: int) -> float:
        """The earliest that `now_ms` of the pool can have been on our monotonic clock."""
        now = time.monotonic()
        if self._clock is None:
            return now
        sent_at, then_ms = self._clock
        return min(now, sent_at + (now_ms - then_ms) / 1000)

    def _grant(self, grant: Sequence[Any], granted_at: float) -> None:
        ticket = grant[0]
        for queue, (armed, timer) in list(self._timers.items()):
            if armed == ticket:
                timer.cancel()
                del self._timers[queue]
        waiter = self._desk.room.find(ticket)
        if waiter is not None and self._desk.away.is_active:
            self._desk.room.refuse(waiter)
        elif waiter is not None:
            self._desk.room.granted(waiter, grant[1:], granted_at)
        elif ticket not in self._desk.leases:
            self._desk.steps.add(Cancel(ticket))

    def _arm(self, queue: str, ticket: str, wake_ms: int) -> None:
        previous = self._timers.pop(queue, None)
        if previous is not None:
            previous[1].cancel()
        timer = asyncio.get_running_loop().call_later(wake_ms / 1000, self._fire, queue)
        self._timers[queue] = (ticket, timer)

    def _fire(self, queue: str) -> None:
        self._timers.pop(queue, None)
        self._desk.steps.poke()

    def beaten(self, result: Sequence[Any], sent_at: float, leases: Sequence[Lease]) -> None:
        """Take a heartbeat's answer: {"h", unknown {id, state}, missing grants, and the place if asked}."""
        desk, unknown = self._desk, dict(result[1])
        for lease in leases:
            state = unknown.get(lease.ticket)
            if state is None:
                lease.alive_until = max(lease.alive_until, sent_at + desk.ttl_s)
            elif state == "" and not lease.is_ended and sent_at < lease.alive_until:
                desk.state_was_lost()
            else:
                lease.is_lost = not lease.is_ended
                desk.leases.pop(lease.ticket, None)
        for grant in result[2]:
            self._grant(grant, sent_at)
        if len(result) > 3:
            desk.away.told(result[3])

    def close(self) -> None:
        """Disarm all timers."""
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
