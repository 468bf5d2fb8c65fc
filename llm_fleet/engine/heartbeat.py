"""Keeps leases and presence: the one place that says, again and again, that this process lives.

A heartbeat renews only the ids that it reports. Presence rides with every step, so nothing is
sent while steps do it. Many leases are reported in parts, one per tick, so that no step takes long.
Lives on the I/O loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from .lease import Lease
from .operations import Beat
from .tickets import Desk

__all__ = ["Heartbeat", "beat"]

TICK_S, IDLE_TICK_S = 0.05, 0.5
QUEUED_INTERVAL_S = (0.3, 1.0)
"""While something is queued: in a small fleet somebody must notice a dead process soon, in a great one enough
processes look anyway, and more would only be a load."""
PER_PROCESS_S = 0.075
PROGRESS_INTERVAL_S = 2.0
PLACE_INTERVAL_S, PLACE_PER_PROCESS_S = 0.5, 0.01
"""How often it asks for its place with a step that goes anyway; by itself with its reports alone."""
NO_LEASES = ("~", "~")
LEASES_AT_ONCE = 250
"""A step with so many takes Redis 2 to 3 ms."""


def queued_interval_s(processes: int) -> float:
    """How often a process calls while it waits in a fleet of so many."""
    least, most = QUEUED_INTERVAL_S
    return min(most, max(least, PER_PROCESS_S * processes))


def parts_of(
    leases: Iterable[Lease], most: int = LEASES_AT_ONCE
) -> Iterator[tuple[Sequence[Lease], tuple[str, str]]]:
    """Leases in the order of their tickets, some at a time, each time with the span of ids that they fill."""
    ordered, after = sorted(leases, key=lambda lease: lease.ticket.encode()), ""
    for first in range(0, len(ordered) or 1, most):
        part = ordered[first : first + most]
        upto = part[-1].ticket if first + most < len(ordered) else ""
        yield part, (after, upto)
        after = upto


class Heartbeat:
    """The heartbeat of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._last_report = self._placed_at = 0.0
        self._parts: deque[tuple[Sequence[Lease], tuple[str, str]]] = deque()

    @property
    def is_busy(self) -> bool:
        """Something is waited for, held, on its way, or wrong."""
        desk = self._desk
        is_asking = desk.room.is_waited_in or desk.steps.is_asking
        return bool(is_asking or desk.leases or self._parts or desk.steps.outage)

    def tick(self) -> None:
        """Look after everything that time may have changed."""
        self._desk.steps.tick()
        self._desk.catch_up()
        self._desk.room.check_answers()
        if not self._parts and self._is_due(time.monotonic()):
            self._last_report = time.monotonic()
            self._parts.extend(parts_of(self._desk.leases.values()))
        if self._parts and self._desk.steps.outage is None:
            leases, span = self._parts.popleft()
            held = [lease for lease in leases if not lease.is_ended]
            self._desk.steps.add(Beat(held, self._desk.inbound.beaten, span, asks_place=self._asks_place()))
        elif time.monotonic() - self._desk.steps.last_sent < PLACE_INTERVAL_S and self._asks_place():
            self._desk.steps.ride(Beat((), self._desk.inbound.beaten, NO_LEASES, asks_place=True))

    def _asks_place(self) -> bool:
        """Now and then: where this process stands in the fleet, for when Redis is away. Who never uses
        that asks too, but seldom: an answer also strikes the dead off."""
        now, desk = time.monotonic(), self._desk
        interval_s = desk.ttl_s / 3
        if desk.away.mode != "wait":
            interval_s = min(interval_s, max(PLACE_INTERVAL_S, PLACE_PER_PROCESS_S * desk.processes))
        if not desk.steps.epoch or now - self._placed_at < interval_s:
            return False
        self._placed_at = now
        return True

    def _is_due(self, now: float) -> bool:
        desk = self._desk
        if desk.steps.outage is not None or not desk.steps.epoch:
            return False
        since_report = now - self._last_report
        if since_report >= desk.ttl_s / 3:
            return True
        if since_report >= PROGRESS_INTERVAL_S and any(
            lease.output_tokens > lease.reported_tokens for lease in desk.leases.values()
        ):
            return True
        return desk.room.is_waited_in and now - desk.steps.last_sent >= queued_interval_s(desk.processes)


async def beat(heartbeats: Sequence[Heartbeat], is_wanted: asyncio.Event) -> None:
    """Tick for as long as the engine lives; where nothing goes on, seldom, until somebody asks."""
    while True:
        for heartbeat in heartbeats:
            heartbeat.tick()
        if any(heartbeat.is_busy for heartbeat in heartbeats):
            await asyncio.sleep(TICK_S)
            continue
        is_wanted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_TICK_S):
                await is_wanted.wait()
