"""The tickets of one process and their steps, as llm_fleet/engine has them, without threads and sockets.

At most one step in flight; what arrives meanwhile goes with the next. What a grant is good for is the
worker's.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from llm_fleet.engine.registration import Known, keyset_hash, offer
from llm_fleet.engine.steps import LINGER_S, MAX_OPERATIONS
from llm_fleet.engine.values import PoolLimits
from tests.simulation.inbound import Inbound
from tests.simulation.server import Server
from tests.simulation.ticket import TTL_S, Ticket
from tests.simulation.world import MS, S, World

__all__ = ["Desk"]

Wire = list[Any]


def _short(text: str) -> str:
    """An offer without what is for people: every registration reads what all processes say of themselves."""
    said = json.loads(text)
    return json.dumps({**said, "info": json.dumps({"keyset": said["keyset"]})})


@dataclass(slots=True, eq=False)
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
    processes: int = 1
    _is_registered: bool = False
    _is_busy: bool = False
    _is_poked: bool = False
    sent_at: int = 0
    last_sent: int = 0
    inbound: Inbound = field(init=False)
    _numbers: Any = field(default_factory=itertools.count)
    _keyset: str = ""

    def open(self) -> None:
        """Register, and begin to beat."""
        self._keyset = keyset_hash(self.limits)
        self.inbound = Inbound(self)
        self.poke()

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
        self.add(["e", ticket.id, ticket], is_urgent=True)
        self.inbound.wanted()

    def settle(self, ticket: Ticket, usage: tuple[int, int], pause_ms: int = -1, code: int = 0) -> None:
        """End a lease; with a pause, its provider has answered 429."""
        self.leases.pop(ticket.id, None)
        if pause_ms >= 0:
            self._pausing[ticket.id] = ticket.key
        self.add(["s", ticket.id, *usage, pause_ms, code], is_urgent=False)

    def withdraw(self) -> None:
        """Nothing is wanted any more: withdraw what waits."""
        for ticket in list(self.waiting.values()):
            self.finish(ticket)
            self.add(["c", ticket.id], is_urgent=True)

    def close(self) -> None:
        """Say that the process goes; it never beats again."""
        self.add(["b"], is_urgent=True)
        self.inbound.close()

    def cancel(self, ticket: Ticket) -> None:
        """Undo a lease that was not sent."""
        self.leases.pop(ticket.id, None)
        self.add(["c", ticket.id], is_urgent=True)

    def _give_up(self, ticket: Ticket) -> None:
        if self.is_alive and ticket.id in self.waiting:
            del self.waiting[ticket.id]
            self.add(["c", ticket.id], is_urgent=True)
            ticket.owner.denied(ticket, "timeout")

    # -- steps -----------------------------------------------------------------------------------

    def add(self, wire: Wire, *, is_urgent: bool) -> None:
        self._outbox.append(wire)
        self.world.later(0 if is_urgent else LINGER_S * S, self._send)

    def poke(self) -> None:
        """A timer's call."""
        self._is_poked = True
        self._send()

    def trip(self) -> int:
        return self.chance.randint(*self.trip_us)

    def _send(self) -> None:
        if not self.is_alive or self._is_busy or not (self._outbox or self._is_poked):
            return
        self._is_busy, self._is_poked, self.sent_at = True, False, self.world.now
        if self._is_registered:
            batch, self._outbox = self._outbox[:MAX_OPERATIONS], self._outbox[MAX_OPERATIONS:]
            wire = [self._wire(operation) for operation in batch]
            self.world.later(self.trip(), self._arrive, batch, wire)
        else:
            self.world.later(self.trip(), self._register, _short(offer(self.limits, self.known, TTL_S, [])))

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
        self.world.later(self.trip(), self._registered, reply)

    def _registered(self, reply: list[Any]) -> None:
        if not self.is_alive:
            return
        self.known, self._is_registered, self._is_busy = Known(reply[1], reply[2]), True, False
        self.processes = reply[5]
        for ticket in self.waiting.values():
            if ticket.is_queued:
                ticket.is_queued = False
                self._ask(ticket)
        self._send()

    def _arrive(self, batch: list[Wire], wire: list[Wire]) -> None:
        reply = self.server.step(self.name, self.known.epoch, self.known.fence, wire)
        self.world.later(self.trip(), self._answered, batch, wire, reply)

    def _answered(self, batch: list[Wire], wire: list[Wire], reply: list[Any]) -> None:
        if not self.is_alive:
            return
        self._is_busy = False
        if reply[0] == "register":
            self._is_registered, self._is_poked, self._outbox = False, True, batch + self._outbox
        else:
            self.known.fence, self.last_sent = reply[1], self.sent_at
            self.inbound.clock = self.sent_at, reply[2]
            for operation, result in zip(wire, reply[3], strict=True):
                self._result(operation, result, reply[2])
            self.inbound.take(*reply[4:], now_ms=reply[2])
        self._send()

    def _result(self, operation: Wire, result: list[Any], now_ms: int) -> None:
        ticket = self.waiting.get(operation[1]) if operation[0] == "e" else None
        if operation[0] == "s" and operation[4] >= 0:
            self.pauses.append((self._pausing.pop(operation[1]), now_ms, operation[4]))
        if operation[0] == "h":
            self.inbound.beaten(result, now_ms)
        elif ticket is None:
            if operation[0] == "e" and result[0] == "g":  # it gave up meanwhile
                self.add(["c", operation[1]], is_urgent=True)
        elif result[0] == "g":
            self.inbound.grant([ticket.id, *result[1:]], self.sent_at, now_ms)
        elif result[0] == "q":
            ticket.is_queued = True
        elif result[0] == "d":
            self.finish(ticket)
            ticket.owner.denied(ticket, result[1])
        else:
            self.finish(ticket)
            self.enqueue(ticket)

    def finish(self, ticket: Ticket) -> None:
        """It waits no more."""
        self.waiting.pop(ticket.id, None)
        if ticket.timer is not None:
            ticket.timer.cancel()

    def state_was_lost(self) -> None:
        """A lease that must be there is not: register again."""
        self.known.is_lost, self._is_registered, self._is_poked = True, False, True
