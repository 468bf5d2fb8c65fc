"""How tickets end in the oracle: settled, cancelled, expired; and what heartbeats report (ENGINE.md §3 and §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_fleet.engine.values import RESOURCES, TENANT_DOMAIN
from tests.oracle_buckets import UNIT, OracleBucket, cost_of
from tests.oracle_tickets import Ticket

if TYPE_CHECKING:
    from tests.oracle import Oracle

__all__ = ["Endings"]


class Endings:
    """What ends, and what becomes of its charges and of the tag of its flow."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle

    def expire(self) -> None:
        for lease in self.oracle.leases:
            if lease.expires_at <= self.oracle.lease_now:
                for charge in lease.charges:
                    charge.settle(None)
                lease.state, lease.expired_at = "x", self.oracle.now
                self._ended(lease, cost_of(lease.key_charges))

    def _ended(self, lease: Ticket, actual: int) -> None:
        """Its flow is told what it really had, while the queue is still the same one."""
        self.oracle.touched.update(lease.domains)
        if not lease.flow.queue.is_gone:
            lease.flow.correct(actual - lease.cost)

    def settle(self, wire: list[Any]) -> str:
        id, input, output, pause_ms, code = wire
        ticket = self.oracle.tickets.get(id)
        if ticket is None or ticket.state not in ("g", "x"):
            return self.oracle.state_of(id)
        usage = (None if input < 0 else input, None if output < 0 else output)
        for charge in ticket.charges:
            actual = _actual(charge.bucket, *usage)
            if ticket.state == "x":
                charge.settle_late(actual)
            else:
                charge.settle(actual)
        if ticket.state == "g":
            ticket.state = "s"
            self._ended(ticket, cost_of(ticket.key_charges))
            if pause_ms >= 0:
                self._pause(ticket, pause_ms, code)
            if input >= 0 or output >= 0:
                self.oracle.settled[ticket.lane] += 1
            if pause_ms < 0 and input >= 0 and output > 0 and ticket.is_sampled:  # a cut answer teaches nothing
                self.oracle.outputs.learn(f"{ticket.lane}|{ticket.tag}", output)
        return "s"

    def _pause(self, ticket: Ticket, pause_ms: int, code: int) -> None:
        accounts = [domain for domain in ticket.domains if not domain.startswith(TENANT_DOMAIN)]
        for domain in accounts:
            self.oracle.paused_until[domain] = max(
                self.oracle.paused_until[domain], self.oracle.now + pause_ms
            )
        if not code:  # it names nothing: of what least is left, that is cut
            limits = [charge.bucket for charge in ticket.key_charges if charge.bucket.tick_ms == 1]
            if limits:
                tightest = min(limits, key=lambda bucket: bucket.available / bucket.capacity)
                tightest.cut(ticket.fence, self.oracle.fence, self.oracle.now)
        for charge in ticket.key_charges:
            if code and charge.bucket.resource == RESOURCES[code - 1]:
                charge.bucket.level = min(charge.bucket.level, 0)
                charge.bucket.cut(ticket.fence, self.oracle.fence, self.oracle.now)

    def cancel(self, id: str) -> str:
        before, ticket = self.oracle.state_of(id), self.oracle.tickets.get(id)
        if ticket is None:
            self.oracle.tombstones.add(id)
        elif before == "g":
            for charge in ticket.charges:
                charge.undo()
            ticket.state = "c"
            self._ended(ticket, 0)
        elif before == "q":
            ticket.flow.leave(ticket)
            ticket.state = "c"
        return before

    def heartbeat(self, process: str, reports: list[list[Any]]) -> tuple[Any, ...]:
        unknown = set()
        for id, tokens in reports:
            ticket = self.oracle.tickets.get(id)
            if ticket is None or ticket.state != "g":
                unknown.add((id, self.oracle.state_of(id)))
                continue
            ticket.expires_at = self.oracle.lease_now + self.oracle.ttl_ms
            has_more = [charge.produce(tokens * UNIT) for charge in ticket.charges]
            if any(has_more[len(has_more) - ticket.own_charges :]):
                self.oracle.touched.update(ticket.domains)
        reported = {id for id, _ in reports}
        missing = {t.grant[:3] for t in self.oracle.leases if t.process == process and t.id not in reported}
        return "h", frozenset(unknown), frozenset(missing)


def _actual(bucket: OracleBucket, input: int | None, output: int | None) -> int | None:
    """The units that were used of a bucket; None where somebody has to know more."""
    if bucket.resource == "requests":
        return bucket.unit
    amounts = {"input_tokens": [input], "output_tokens": [output], "tokens": [input, output]}
    known = [amount for amount in amounts[bucket.resource] if amount is not None]
    return sum(known) * UNIT if len(known) == len(amounts[bucket.resource]) else None
