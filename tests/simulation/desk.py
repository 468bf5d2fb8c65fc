"""The engine of one process, as llm_fleet/engine has it, without threads and sockets.

At most one step in flight; what arrives meanwhile goes with the next. Timers, mailbox and heartbeat
as engine/inbound.py, mailbox.py and heartbeat.py have them; what a grant is good for is the worker's.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from llm_fleet.engine.heartbeat import QUEUED_INTERVAL_S
from llm_fleet.engine.registration import Known, keyset_hash, offer
from llm_fleet.engine.steps import LINGER_S, MAX_OPERATIONS
from llm_fleet.engine.values import PoolLimits
from tests.simulation.server import Server
from tests.simulation.world import MS, Event, S, World

__all__ = ["TTL_S", "Desk", "Ticket"]

TTL_S = 15.0
Wire = list[Any]


@dataclass(slots=True)
class Ticket:
    """A ticket of this process, and the lease that it becomes."""

    place: tuple[str, str]
    tokens: tuple[int, int]
    deadline: int
    owner: Any
    id: str = ""
    asked_at: int = 0
    is_queued: bool = False
    timer: Event | None = None
    key: str = ""
    granted_at: int = 0
    granted_ms: int = 0
    spacing: int = 0
    is_lost: bool = False


def _short(text: str) -> str:
    """An offer without what is for people: every registration reads what all processes say of themselves."""
    said = json.loads(text)
    return json.dumps({**said, "info": json.dumps({"keyset": said["keyset"]})})


class Owner(Protocol):
    """Who has asked for tickets: what becomes of each is told once."""

    def granted(self, ticket: Ticket) -> None: ...
    def denied(self, ticket: Ticket, reason: str) -> None: ...
    def produced(self, ticket: Ticket) -> int: ...


@dataclass(slots=True)
class Desk:
    """The tickets of one process in the pool."""

    world: World
    server: Server
    name: str
    limits: PoolLimits
    chance: Random
    trip_us: tuple[int, int]
    is_alive: bool = True
    waiting: dict[str, Ticket] = field(default_factory=dict)
    leases: dict[str, Ticket] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    pauses: list[tuple[str, int, int]] = field(default_factory=list)
    _pausing: dict[str, str] = field(default_factory=dict)
    _outbox: list[Wire] = field(default_factory=list)
    _timers: dict[str, tuple[str, Event]] = field(default_factory=dict)
    _is_registered: bool = False
    _is_busy: bool = False
    _is_poked: bool = False
    _is_reading: bool = False
    _last_sent: int = 0
    _last_report: int = 0
    _beat: Event | None = None
    _sent_at: int = 0
    _clock: tuple[int, int] | None = None
    _numbers: Any = field(default_factory=itertools.count)
    _keyset: str = ""

    def open(self) -> None:
        """Register, and begin to beat."""
        self._keyset = keyset_hash(self.limits)
        self._last_report = self.world.now - self.chance.randrange(int(TTL_S / 3 * S))
        self.poke()
        self._plan_beat()

    def kill(self) -> None:
        """kill -9: what is on its way to Redis arrives, nothing else ever happens here."""
        self.is_alive = False
        self.server.hang_up(self.name)

    # -- tickets ---------------------------------------------------------------------------------

    def enqueue(self, ticket: Ticket) -> None:
        """Ask for a grant."""
        ticket.id, ticket.asked_at = f"{self.name}-{next(self._numbers):x}", self.world.now
        self.waiting[ticket.id] = ticket
        ticket.timer = self.world.later(ticket.deadline - self.world.now, self._give_up, ticket)
        self._ask(ticket)

    def _ask(self, ticket: Ticket) -> None:
        self._add(["e", ticket.id, ticket], is_urgent=True)
        self._read()
        self._plan_beat()

    def settle(self, ticket: Ticket, usage: tuple[int, int], pause_ms: int = -1, code: int = 0) -> None:
        """End a lease; with a pause, its provider has answered 429."""
        self.leases.pop(ticket.id, None)
        if pause_ms >= 0:
            self._pausing[ticket.id] = ticket.key
        self._add(["s", ticket.id, *usage, pause_ms, code], is_urgent=False)

    def withdraw(self) -> None:
        """Nothing is wanted any more: withdraw what waits."""
        for ticket in list(self.waiting.values()):
            self._finish(ticket)
            self._add(["c", ticket.id], is_urgent=True)

    def close(self) -> None:
        """Say that the process goes; it never beats again."""
        self._add(["b"], is_urgent=True)
        if self._beat is not None:
            self._beat.cancel()

    def cancel(self, ticket: Ticket) -> None:
        """Undo a lease that was not sent."""
        self.leases.pop(ticket.id, None)
        self._add(["c", ticket.id], is_urgent=True)

    def _give_up(self, ticket: Ticket) -> None:
        if self.is_alive and self.waiting.pop(ticket.id, None):
            self._add(["c", ticket.id], is_urgent=True)
            ticket.owner.denied(ticket, "timeout")

    # -- steps -----------------------------------------------------------------------------------

    def _add(self, wire: Wire, *, is_urgent: bool) -> None:
        self._outbox.append(wire)
        self.world.later(0 if is_urgent else LINGER_S * S, self._send)

    def poke(self) -> None:
        """A timer's call."""
        self._is_poked = True
        self._send()

    def _trip(self) -> int:
        return self.chance.randint(*self.trip_us)

    def _send(self) -> None:
        if not self.is_alive or self._is_busy or not (self._outbox or self._is_poked):
            return
        self._is_busy, self._is_poked, self._sent_at = True, False, self.world.now
        if self._is_registered:
            batch, self._outbox = self._outbox[:MAX_OPERATIONS], self._outbox[MAX_OPERATIONS:]
            wire = [self._wire(operation) for operation in batch]
            self.world.later(self._trip(), self._arrive, batch, wire)
        else:
            self.world.later(self._trip(), self._register, _short(offer(self.limits, self.known, TTL_S, [])))

    def _wire(self, operation: Wire) -> Wire:
        if operation[0] != "e":
            return operation
        ticket: Ticket = operation[2]
        if ticket.id not in self.waiting:
            return ["c", ticket.id]
        wait_ms = max(0, (ticket.deadline - self.world.now) // MS)
        need = [self._keyset, "*", *ticket.tokens, wait_ms, *ticket.place, "", "", self.limits.max_queued]
        return ["e", ticket.id, *need]

    def _register(self, text: str) -> None:
        reply = self.server.register(self.name, text)
        self.world.later(self._trip(), self._registered, reply)

    def _registered(self, reply: list[Any]) -> None:
        if not self.is_alive:
            return
        self.known, self._is_registered, self._is_busy = Known(reply[1], reply[2]), True, False
        for ticket in self.waiting.values():
            if ticket.is_queued:
                ticket.is_queued = False
                self._ask(ticket)
        self._send()

    def _arrive(self, batch: list[Wire], wire: list[Wire]) -> None:
        reply = self.server.step(self.name, self.known.epoch, self.known.fence, wire)
        self.world.later(self._trip(), self._answered, batch, wire, reply)

    def _answered(self, batch: list[Wire], wire: list[Wire], reply: list[Any]) -> None:
        if not self.is_alive:
            return
        self._is_busy = False
        if reply[0] == "register":
            self._is_registered, self._is_poked, self._outbox = False, True, batch + self._outbox
        else:
            self.known.fence, self._last_sent = reply[1], self._sent_at
            self._clock = self._sent_at, reply[2]
            for operation, result in zip(wire, reply[3], strict=True):
                self._result(operation, result, reply[2])
            self._take(*reply[4:], now_ms=reply[2])
        self._send()

    def _result(self, operation: Wire, result: list[Any], now_ms: int) -> None:
        ticket = self.waiting.get(operation[1]) if operation[0] == "e" else None
        if operation[0] == "s" and operation[4] >= 0:
            self.pauses.append((self._pausing.pop(operation[1]), now_ms, operation[4]))
        if operation[0] == "h":
            self._beaten(operation, result, now_ms)
        elif ticket is None:
            if operation[0] == "e" and result[0] == "g":  # it gave up meanwhile
                self._add(["c", operation[1]], is_urgent=True)
        elif result[0] == "g":
            self._grant([ticket.id, *result[1:]], self._sent_at, now_ms)
        elif result[0] == "q":
            ticket.is_queued = True
        elif result[0] == "d":
            self._finish(ticket)
            ticket.owner.denied(ticket, result[1])
        else:
            self._finish(ticket)
            self.enqueue(ticket)

    # -- what comes unasked ----------------------------------------------------------------------

    def _take(
        self, grants: Sequence[Any], wakes: Sequence[Any], refusals: Sequence[Any], *, now_ms: int
    ) -> None:
        for grant in grants:
            self._grant(grant, self._local_time(now_ms), now_ms)
        for queue, ticket, wake_ms in wakes:
            self._disarm(queue)
            self._timers[queue] = ticket, self.world.later(wake_ms * MS, self._fire, queue)
        for id, reason in refusals:
            if refused := self.waiting.get(id):
                self._finish(refused)
                refused.owner.denied(refused, reason)

    def _local_time(self, now_ms: int) -> int:
        if self._clock is None:
            return self.world.now
        sent_at, then_ms = self._clock
        return min(self.world.now, sent_at + (now_ms - then_ms) * MS)

    def _disarm(self, queue: str) -> None:
        if queue in self._timers:
            self._timers.pop(queue)[1].cancel()

    def _fire(self, queue: str) -> None:
        self._timers.pop(queue, None)
        self.poke()

    def _finish(self, ticket: Ticket) -> None:
        self.waiting.pop(ticket.id, None)
        if ticket.timer is not None:
            ticket.timer.cancel()

    def _grant(self, grant: Sequence[Any], granted_at: int, now_ms: int) -> None:
        for queue in [queue for queue, (armed, _) in self._timers.items() if armed == grant[0]]:
            self._disarm(queue)
        ticket = self.waiting.get(grant[0])
        if ticket is not None:
            self._finish(ticket)
            ticket.key, ticket.granted_at, ticket.granted_ms = grant[1], granted_at, now_ms
            ticket.spacing = grant[3] * MS
            self.leases[ticket.id] = ticket
            ticket.owner.granted(ticket)
        elif grant[0] not in self.leases:
            self._add(["c", grant[0]], is_urgent=True)

    # -- mailbox and heartbeat -------------------------------------------------------------------

    def _read(self) -> None:
        if self.is_alive and self.waiting and not self._is_reading:
            self._is_reading = True
            self.world.later(self._trip(), self._wait_at_mailbox)

    def _wait_at_mailbox(self) -> None:
        if self.is_alive:
            self.server.wait_at_mailbox(self.name, self._popped)

    def _popped(self, text: str) -> None:
        self.world.later(self._trip(), self._mailed, text)

    def _mailed(self, text: str) -> None:
        if self.is_alive:
            now_ms, *lists = json.loads(text)
            self._is_reading = False
            self._take(*lists, now_ms=now_ms)
            self._read()

    def _due(self) -> int:
        due = self._last_report + int(TTL_S / 3 * S)
        return (
            min(due, max(self._last_sent, self._sent_at) + int(QUEUED_INTERVAL_S * S))
            if self.waiting
            else due
        )

    def _plan_beat(self) -> None:
        due = self._due()
        if self._beat is None or self._beat.happen is None or due < self._beat.what[0]:
            if self._beat is not None:
                self._beat.cancel()
            self._beat = self.world.later(due - self.world.now, self._tick, due)

    def _tick(self, _: int) -> None:
        if not self.is_alive:
            return
        self._beat = None
        if self.world.now >= self._due():
            self._last_report = self._last_sent = self.world.now
            self._add(
                ["h", [[id, ticket.owner.produced(ticket)] for id, ticket in self.leases.items()]],
                is_urgent=True,
            )
        self._plan_beat()

    def _beaten(self, operation: Wire, result: list[Any], now_ms: int) -> None:
        for id, state in result[1]:
            ticket = self.leases.get(id)
            if ticket is not None and state != "":
                self.leases.pop(id).is_lost = True
            elif ticket is not None:
                self.known.is_lost, self._is_registered, self._is_poked = True, False, True
        for grant in result[2]:
            self._grant(grant, self._sent_at, now_ms)
