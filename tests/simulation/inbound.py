"""What reaches a process unasked: grants, wake times, refusals; its mailbox, its timers, its heartbeat.

As engine/inbound.py, mailbox.py and heartbeat.py have them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_fleet.engine.heartbeat import queued_interval_s
from tests.simulation.ticket import TTL_S
from tests.simulation.world import MS, Event, S

if TYPE_CHECKING:
    from tests.simulation.desk import Desk

__all__ = ["Inbound"]


class Inbound:
    """The ears of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.clock: tuple[int, int] | None = None
        self._timers: dict[str, tuple[str, Event]] = {}
        self._is_reading = False
        self._beat: Event | None = None
        self._last_report = desk.world.now - desk.chance.randrange(int(TTL_S / 3 * S))
        self._plan_beat()

    def wanted(self) -> None:
        """Something waits: read the mailbox, and beat sooner."""
        self._read()
        self._plan_beat()

    def close(self) -> None:
        """Never beat again."""
        if self._beat is not None:
            self._beat.cancel()

    def take(
        self, grants: Sequence[Any], wakes: Sequence[Any], refusals: Sequence[Any], *, now_ms: int
    ) -> None:
        """Take what a step or a message says, as of the pool's time `now_ms`."""
        for grant in grants:
            self.grant(grant, self._local_time(now_ms), now_ms)
        for queue, ticket, wake_ms in wakes:
            self._disarm(queue)
            self._timers[queue] = ticket, self._desk.world.later(wake_ms * MS, self._fire, queue)
        for id, reason, *_ in refusals:
            if refused := self._desk.waiting.get(id):
                self._desk.finish(refused)
                refused.owner.denied(refused, reason)

    def _local_time(self, now_ms: int) -> int:
        if self.clock is None:
            return self._desk.world.now
        sent_at, then_ms = self.clock
        return min(self._desk.world.now, sent_at + (now_ms - then_ms) * MS)

    def _disarm(self, queue: str) -> None:
        if queue in self._timers:
            self._timers.pop(queue)[1].cancel()

    def _fire(self, queue: str) -> None:
        self._timers.pop(queue, None)
        self._desk.poke()

    def grant(self, grant: Sequence[Any], granted_at: int, now_ms: int) -> None:
        """A ticket is a lease: [id, key, fence, spacing ms]; one that nobody wants goes back."""
        for queue in [queue for queue, (armed, _) in self._timers.items() if armed == grant[0]]:
            self._disarm(queue)
        ticket = self._desk.waiting.get(grant[0])
        if ticket is not None:
            self._desk.finish(ticket)
            ticket.key, ticket.granted_at, ticket.granted_ms = grant[1], granted_at, now_ms
            ticket.spacing = grant[3] * MS
            self._desk.leases[ticket.id] = ticket
            ticket.owner.granted(ticket)
        elif grant[0] not in self._desk.leases:
            self._desk.add(["c", grant[0]], is_urgent=True)

    # -- mailbox and heartbeat -------------------------------------------------------------------

    def _read(self) -> None:
        if self._desk.is_alive and self._desk.waiting and not self._is_reading:
            self._is_reading = True
            self._desk.world.later(self._desk.trip(), self._wait_at_mailbox)

    def _wait_at_mailbox(self) -> None:
        if self._desk.is_alive:
            self._desk.server.wait_at_mailbox(self._desk.name, self._popped)

    def _popped(self, text: str) -> None:
        self._desk.world.later(self._desk.trip(), self._mailed, text)

    def _mailed(self, text: str) -> None:
        if self._desk.is_alive:
            now_ms, *lists = json.loads(text)
            self._is_reading = False
            self.take(*lists, now_ms=now_ms)
            self._read()

    def _due(self) -> int:
        desk, report = self._desk, self._last_report + int(TTL_S / 3 * S)
        presence = max(desk.last_sent, desk.sent_at) + int(queued_interval_s(desk.processes) * S)
        return min(report, presence) if desk.waiting else report

    def _plan_beat(self) -> None:
        due = self._due()
        if self._beat is None or self._beat.happen is None or due < self._beat.what[0]:
            if self._beat is not None:
                self._beat.cancel()
            self._beat = self._desk.world.later(due - self._desk.world.now, self._tick, due)

    def _tick(self, _: int) -> None:
        if not self._desk.is_alive:
            return
        self._beat = None
        if self._desk.world.now >= self._due():
            self._last_report = self._desk.last_sent = self._desk.world.now
            leases = [[id, ticket.owner.produced(ticket)] for id, ticket in self._desk.leases.items()]
            self._desk.add(["h", leases], is_urgent=True)
        self._plan_beat()

    def beaten(self, result: list[Any], now_ms: int) -> None:
        """A heartbeat's answer: leases that are unknown, and grants that were not reported."""
        for id, state in result[1]:
            ticket = self._desk.leases.get(id)
            if ticket is not None and state != "":
                self._desk.leases.pop(id).is_lost = True
            elif ticket is not None:
                self._desk.state_was_lost()
        for grant in result[2]:
            self.grant(grant, self._desk.sent_at, now_ms)
