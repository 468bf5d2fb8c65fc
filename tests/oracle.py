"""The oracle: a pool as ENGINE.md describes it, one call at a time, in whole numbers.

It knows no Redis, no Lua and no records: lists, sets and exact integers. Processes are taken to be
alive and to read their mailboxes; silent ones, changed limits and lost writes are not its matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from llm_fleet.engine.registration import keyset_hash
from llm_fleet.engine.values import TENANT_DOMAIN, PoolLimits
from tests.oracle_buckets import COLD_OUTPUT, UNIT, OracleBucket, cost_of
from tests.oracle_flows import Queue
from tests.oracle_pump import Pump
from tests.oracle_tickets import Said, Ticket, Timer

RECENT, ENOUGH = 50, 20
CODES = ("requests", "input_tokens", "output_tokens", "tokens")


class Oracle:
    """The state of one pool."""

    def __init__(self, ttl_ms: int = 15_000) -> None:
        self.ttl_ms = ttl_ms
        self.now = self.offset = self.lease_now = self.fence = self.orders = 0
        self.buckets: dict[tuple[str, str], list[OracleBucket]] = {}
        self.slots: dict[str, int] = {}
        self.paused_until: Counter[str] = Counter()
        self.key_out_until: dict[str, float] = {}
        self.keysets: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        self.tickets: dict[str, Ticket] = {}
        self.tombstones: set[str] = set()
        self.queues: dict[str, Queue] = {}
        self.weights: dict[str, int] = {}
        self.aging_ms = 0
        self.touched: set[str] = set()  # domains in which something ended since the last pump
        self.outputs: dict[str, list[int]] = {}
        self.timers: dict[str, Timer] = {}

    # -- time and who takes part -----------------------------------------------------------------

    def advance(self, server_ms: int) -> None:
        """The pool's clock never goes back; the lease clock takes at most TTL/3 between two calls."""
        now = server_ms + self.offset
        if now < self.now:
            self.offset += self.now - now
            now = self.now
        if self.now:
            self.lease_now += min(now - self.now, self.ttl_ms // 3)
        self.now = now
        for bucket in self.every_bucket():
            bucket.refill(now)

    def every_bucket(self) -> Iterator[OracleBucket]:
        for buckets in self.buckets.values():
            yield from buckets

    def register(self, limits: PoolLimits, server_ms: int) -> None:
        """A process comes, with its keys; the first of a domain brings its limits."""
        self.advance(server_ms)
        self.aging_ms = limits.aging_ms
        self.weights = {tenant.name: tenant.weight_milli for tenant in limits.tenants}
        for domain in limits.every_domain:
            self.touched.add(domain.name)
            for lane in domain.lanes:
                new = [OracleBucket(bucket, self.now) for bucket in lane.buckets]
                self.buckets.setdefault((domain.name, lane.lane), new)
                if lane.lane == "*":
                    self.slots.setdefault(domain.name, lane.concurrency)
        self.keysets[keyset_hash(limits)] = sorted(limits.keys)

    def switch(self, key: str, pause_ms: int | None, server_ms: int) -> None:
        """A key goes out of service for a time (0: until it is put back), or comes back (None)."""
        if pause_ms is None:
            self.key_out_until.pop(key, None)
        else:
            now = max(self.now, server_ms + self.offset)
            self.key_out_until[key] = now + pause_ms if pause_ms else float("inf")

    def buckets_of(self, domains: Sequence[str], lane: str) -> list[OracleBucket]:
        """What a ticket of this lane is charged in these domains."""
        lanes = ["*"] if lane == "*" else ["*", lane]
        return [
            bucket for domain in domains for name in lanes for bucket in self.buckets.get((domain, name), [])
        ]

    @property
    def leases(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets.values() if ticket.state == "g"]

    def in_flight(self, domain: str) -> int:
        return sum(domain in lease.domains for lease in self.leases)

    # -- one call --------------------------------------------------------------------------------

    def step(self, process: str, operations: list[list[Any]], server_ms: int) -> Said:
        """Carry out the operations of a process, then grant what can be granted."""
        self.advance(server_ms)
        self._expire()
        for queue, timer in list(self.timers.items()):
            if timer.process == process and timer.at <= self.now:
                del self.timers[queue]  # that timer has called
        said, learned = Said(self.now), list[tuple[str, int]]()
        asked: dict[int, str] = {}
        latest = self.orders
        said.results = [()] * len(operations)
        later = []  # what ends comes first, then what waits
        for at, (kind, *rest) in enumerate(operations):
            if kind == "e" or (kind == "c" and self.state_of(rest[0]) == "q"):
                later.append((at, kind, rest))
            elif kind == "s":
                said.results[at] = ("s", self._settle(rest, learned))
            elif kind == "c":
                said.results[at] = ("c", self._cancel(rest[0]))
            elif kind == "h":
                said.results[at] = self._heartbeat(process, rest[0])
        for at, kind, rest in later:
            if kind == "e":
                asked[at] = rest[0]
                self._enqueue(process, rest)
            else:
                said.results[at] = ("c", self._cancel(rest[0]))
        Pump(self, process, said, latest).run()
        for at, id in asked.items():
            said.results[at] = self._answer(id, said)
        for tag, tokens in learned:  # what is learned counts from the next call on
            self.outputs[tag] = [*self.outputs.get(tag, []), tokens][-RECENT:]
        said.refusals = {refusal for refusal in said.refusals if refusal[1] not in asked.values()}
        said.grants = {grant for grant in said.grants if grant[1] not in asked.values()}
        said.fence = self.fence
        return said

    def _expire(self) -> None:
        for lease in self.leases:
            if lease.expires_at <= self.lease_now:
                for charge in lease.charges:
                    charge.settle(None)
                lease.state, lease.expired_at = "x", self.now
                self._ended(lease, cost_of(lease.charges))

    def _ended(self, lease: Ticket, actual: int) -> None:
        """Its flow is told what it really had, while the queue is still the same one."""
        self.touched.update(lease.domains)
        if not lease.flow.queue.is_gone:
            lease.flow.correct(actual - lease.cost)

    def _enqueue(self, process: str, wire: list[Any]) -> None:
        id, keyset, lane, input, output, wait_ms, band, tenant, tag, preferred, max_queued = wire
        if id in self.tickets or id in self.tombstones:
            return
        self.orders += 1
        predicted, is_cold = self._predict(f"{lane}|{tag}", output)
        queue = self.queues.setdefault(f"{lane}|{keyset}", Queue(f"{lane}|{keyset}"))
        flow = queue.flow(band, tenant, self.weights.get(tenant, 1000))
        ticket = Ticket(
            id, process, lane, keyset, self.orders, input, output, self.lease_now + wait_ms, preferred, tag,
            predicted, is_cold, self.now, max_queued, flow,
        )  # fmt: skip
        self.tickets[id] = ticket
        flow.join(ticket)

    def _predict(self, tag: str, max_tokens: int) -> tuple[int, bool]:
        recent = sorted(self.outputs.get(tag, []), reverse=True)
        if len(recent) < ENOUGH:
            return min(max_tokens, COLD_OUTPUT), True
        return min(max_tokens, recent[len(recent) // 10 - 1]), False

    def _settle(self, wire: list[Any], learned: list[tuple[str, int]]) -> str:
        id, input, output, pause_ms, code = wire
        ticket = self.tickets.get(id)
        if ticket is None or ticket.state not in ("g", "x"):
            return self.state_of(id)
        usage = (None if input < 0 else input, None if output < 0 else output)
        for charge in ticket.charges:
            actual = _actual(charge.bucket, *usage)
            if ticket.state == "x":
                charge.settle_late(actual)
            else:
                charge.settle(actual)
        self.touched.update(ticket.domains)
        if ticket.state == "g":
            ticket.state = "s"
            self._ended(ticket, cost_of(ticket.charges))
            if pause_ms >= 0:
                self._pause(ticket, pause_ms, code)
            elif input >= 0 and output > 0:  # a cut answer teaches nothing
                learned.append((f"{ticket.lane}|{ticket.tag}", output))
        return "s"

    def _pause(self, ticket: Ticket, pause_ms: int, code: int) -> None:
        accounts = [domain for domain in ticket.domains if not domain.startswith(TENANT_DOMAIN)]
        for domain in accounts:
            self.paused_until[domain] = max(self.paused_until[domain], self.now + pause_ms)
        for charge in ticket.charges[: len(ticket.charges) - ticket.own_charges]:
            if code and charge.bucket.resource == CODES[code - 1]:
                charge.bucket.level = min(charge.bucket.level, 0)

    def _cancel(self, id: str) -> str:
        before, ticket = self.state_of(id), self.tickets.get(id)
        if ticket is None:
            self.tombstones.add(id)
        elif before == "g":
            for charge in ticket.charges:
                charge.undo()
            ticket.state = "c"
            self._ended(ticket, 0)
        elif before == "q":
            ticket.flow.leave(ticket)
            ticket.state = "c"
        return before

    def _heartbeat(self, process: str, reports: list[list[Any]]) -> tuple[Any, ...]:
        unknown = set()
        for id, tokens in reports:
            ticket = self.tickets.get(id)
            if ticket is None or ticket.state != "g":
                unknown.add((id, self.state_of(id)))
                continue
            ticket.expires_at = self.lease_now + self.ttl_ms
            self.touched.update(ticket.domains)
            for charge in ticket.charges:
                charge.produce(tokens * UNIT)
        reported = {id for id, _ in reports}
        missing = {t.grant[:3] for t in self.leases if t.process == process and t.id not in reported}
        return "h", frozenset(unknown), frozenset(missing)

    def state_of(self, id: str) -> str:
        """How a ticket stands; empty when nobody knows it."""
        return self.tickets[id].state if id in self.tickets else "c" if id in self.tombstones else ""

    def _answer(self, id: str, said: Said) -> tuple[Any, ...]:
        ticket = self.tickets.get(id)
        for _, refused, reason in said.refusals:
            if refused == id:
                return "d", reason, said.retry_ms.get(id)
        if ticket is not None and ticket.state == "g":
            return "g", *ticket.grant[1:]
        return ("q",) if self.state_of(id) == "q" else ("e", self.state_of(id))


def _actual(bucket: OracleBucket, input: int | None, output: int | None) -> int | None:
    """The units that were used of a bucket; None where somebody has to know more."""
    if bucket.resource == "requests":
        return bucket.unit
    amounts = {"input_tokens": [input], "output_tokens": [output], "tokens": [input, output]}
    known = [amount for amount in amounts[bucket.resource] if amount is not None]
    return sum(known) * UNIT if len(known) == len(amounts[bucket.resource]) else None
