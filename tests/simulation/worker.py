"""Who calls the provider in a process: asks, sends, settles, and begins again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_fleet.engine.values import RESOURCES
from tests.simulation.desk import Desk
from tests.simulation.provider import Request
from tests.simulation.ticket import TTL_S, Ticket
from tests.simulation.world import MS, S

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

__all__ = ["Caller", "Process"]

RETRY_MS = 1_000


class Process:
    """A process: its desk, its callers, and when it may send with each key again."""

    def __init__(self, fleet: Fleet, desk: Desk) -> None:
        self.fleet, self.desk = fleet, desk
        self.next_send: dict[str, int] = {}

    def pace(self, ticket: Ticket) -> int:
        """Microseconds to wait before sending: none, unless the grant is older than the jitter (engine/tickets.py)."""
        now = self.fleet.world.now
        if now - ticket.granted_at <= self.fleet.scenario.jitter_ms * MS or not ticket.spacing:
            return 0
        at = max(now, self.next_send.get(ticket.key, 0))
        self.next_send[ticket.key] = at + ticket.spacing
        return at - now


class Caller:
    """One task of a process. It makes one call after the other."""

    def __init__(self, process: Process, band: str, tenant: str) -> None:
        self.process, self.place = process, (band, tenant)
        self.fleet, self.desk = process.fleet, process.desk
        self._sent: dict[str, Request] = {}

    def ask(self) -> None:
        """Begin the next call."""
        fleet, chance = self.fleet, self.fleet.chance
        if not self.desk.is_alive or fleet.is_over:
            return
        scenario = fleet.scenario
        size = scenario.sizes.get(self.place[0], scenario.input_tokens)
        tokens = chance.randint(*size), scenario.max_output_tokens
        deadline = fleet.world.now + int(scenario.patience_s * S)
        self.desk.enqueue(Ticket(self.place, tokens, deadline, self))

    def granted(self, ticket: Ticket) -> None:
        """The ticket is a lease: send, some time later."""
        fleet = self.fleet
        fleet.note_grant(self, ticket)
        fleet.world.later(fleet.chance.randint(*fleet.scenario.delay_ms) * MS, self._ready, ticket)

    def denied(self, ticket: Ticket, reason: str) -> None:
        """The ticket may not go."""
        self.fleet.denials[reason] += 1
        self.fleet.world.later(RETRY_MS * MS, self.ask)

    def produced(self, ticket: Ticket) -> int:
        """Output tokens of a lease so far."""
        request = self._sent.get(ticket.id)
        return request.produced(self.fleet.world.now) if request else 0

    def _ready(self, ticket: Ticket) -> None:
        if not self.desk.is_alive:
            return
        self.fleet.world.later(self.process.pace(ticket), self._send, ticket)

    def _send(self, ticket: Ticket) -> None:
        fleet = self.fleet
        if not self.desk.is_alive:
            return
        if ticket.is_lost or fleet.world.now > ticket.granted_at + TTL_S * S:
            self.desk.cancel(ticket)
            self.ask()
            return
        scenario, chance = fleet.scenario, fleet.chance
        wanted, most = ticket.tokens
        output = min(most, scenario.output(chance))
        duration = chance.randint(*scenario.call_ms) * MS + output * scenario.token_us
        request = Request(wanted - int(wanted * scenario.guessed_high), output, most, duration)
        account = fleet.accounts[ticket.key.removeprefix("key-of-")]
        refused_by = account.start(request)
        if refused_by is None:
            self._sent[ticket.id] = request
            fleet.world.later(duration, self._done, ticket)
            return
        left = account.throttled_until - fleet.world.now if refused_by == "throttled" else RETRY_MS * MS
        code = RESOURCES.index(refused_by) + 1 if refused_by in RESOURCES else 0
        self.desk.settle(ticket, (0, 0), -(-left // MS), code)
        self.ask()

    def _done(self, ticket: Ticket) -> None:
        request = self._sent.pop(ticket.id)
        if self.desk.is_alive:
            self.fleet.served += 1
            self.desk.settle(ticket, (request.input_tokens, request.output_tokens))
            self._pause()

    def _pause(self) -> None:
        scenario = self.fleet.scenario
        span = scenario.think_ms if self.place[0] in scenario.thinking else (0, 0)
        self.fleet.world.later(self.fleet.chance.randint(*span) * MS, self.ask)
