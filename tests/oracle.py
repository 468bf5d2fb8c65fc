"""The oracle: a pool as ENGINE.md describes it, one call at a time, in whole numbers.

It knows no Redis, no Lua and no records: lists, sets and exact integers. Processes are taken to be
alive and to read their mailboxes; silent ones, changed limits and lost writes are not its matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llm_fleet.engine.registration import keyset_hash
from llm_fleet.engine.values import TENANT_DOMAIN, PoolLimits
from tests.oracle_buckets import OracleBucket
from tests.oracle_endings import Endings
from tests.oracle_flows import Queue
from tests.oracle_learned import LESSON_MS, Outputs
from tests.oracle_presence import Presence
from tests.oracle_pump import Pump
from tests.oracle_tickets import Said, Ticket, Timer

NONE_EARLY: Mapping[str, float] = {}


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
        self.outputs = Outputs()
        self.settled: Counter[str] = Counter()
        self.timers: dict[str, Timer] = {}
        self.has_bound = True
        self.begins_slice = False  # the step is the first in some ms: what it grants may teach
        self.chosen: dict[str, str] = {}  # tickets and their keys, where the pool may take any that is free
        self.endings = Endings(self)
        self.presence = Presence(self)

    # -- time and who takes part -----------------------------------------------------------------

    def advance(self, server_ms: int) -> None:
        """The pool's clock never goes back; the lease clock takes at most TTL/3 between two calls."""
        now = server_ms + self.offset
        if now < self.now:
            self.offset += self.now - now
            now = self.now
        if self.now:
            self.lease_now += min(now - self.now, self.ttl_ms // 3)
        self.begins_slice = now // LESSON_MS != self.now // LESSON_MS
        self.now = now
        for bucket in self.every_bucket():
            bucket.refill(now)

    def every_bucket(self) -> Iterator[OracleBucket]:
        for buckets in self.buckets.values():
            yield from buckets

    def register(self, process: str, limits: PoolLimits, server_ms: int) -> None:
        """A process comes, with its keys; the first of a domain brings its limits."""
        self.advance(server_ms)
        self.presence.enlist(process)
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

    def step(
        self,
        process: str,
        operations: list[list[Any]],
        server_ms: int,
        early: Mapping[str, float] = NONE_EARLY,
    ) -> Said:
        """Carry out the operations of a process, then grant what can be granted.

        `early`: tickets that the pool denied before their deadline, and when it says that they can go at
        the earliest. It may be right to do so, or have to.
        """
        self.advance(server_ms)
        self.presence.called(process)
        self.endings.expire()
        for queue, timer in list(self.timers.items()):
            if timer.process == process and timer.at <= self.now:
                del self.timers[queue]  # that timer has called
        said = Said(self.now, results=[()] * len(operations))
        pump = Pump(self, process, said, self.orders, early)
        asked = self._carry_out(process, operations, pump)
        pump.run()
        for at, id in asked.items():
            said.results[at] = self._answer(id, said)
        said.refusals = {refusal for refusal in said.refusals if refusal[1] not in asked.values()}
        said.grants = {grant for grant in said.grants if grant[1] not in asked.values()}
        said.fence = self.fence
        return said

    def _carry_out(self, process: str, operations: list[list[Any]], pump: Pump) -> dict[int, str]:
        """What ends leases comes first, then what waits; gives the ids that were asked for."""
        asked, later, said = dict[int, str](), list[tuple[int, list[Any]]](), pump.said
        for at, wire in enumerate(operations):
            match wire:
                case ["s", *rest]:
                    said.results[at] = ("s", self.endings.settle(rest))
                case ["h", reports, *span]:
                    share = [self.presence.share(process)] if span[2:] == [1] else []
                    said.results[at] = *self.endings.heartbeat(process, reports), *share
                case ["c", id] if self.state_of(id) != "q":
                    said.results[at] = ("c", self.endings.cancel(id))
                case _:
                    later.append((at, wire))
        if any(wire[0] == "h" for wire in operations):
            for bucket in self.every_bucket():
                bucket.raise_rate(self.now)
        self.outputs.judge(len(self.leases))
        self._unpark()
        is_free = not self.queues  # nothing waits: what can go goes at once, up to the first that cannot
        for at, (kind, *rest) in later:
            if kind == "e":
                asked[at] = rest[0]
                ticket = self._enqueue(process, rest)
                is_free = is_free and (ticket is None or pump.grant_at_once(ticket))
            else:
                said.results[at] = ("c", self.endings.cancel(rest[0]))
        return asked

    def _unpark(self) -> None:
        """Flows that waited for a limit of their tenant are looked at again, when that may have changed."""
        for flow in [flow for queue in self.queues.values() for flow in queue.flows.values()]:
            is_touched = TENANT_DOMAIN + flow.tenant in self.touched
            if flow.parked_until is not None and (is_touched or flow.parked_until <= self.now):
                flow.unpark()
        self.touched.clear()

    def _enqueue(self, process: str, wire: list[Any]) -> Ticket | None:
        id, keyset, lane, input, output, wait_ms, band, tenant, tag, preferred, max_queued = wire
        if id in self.tickets or id in self.tombstones:
            return None
        self.orders += 1
        predicted, is_cold = self.outputs.predict(f"{lane}|{tag}", output)
        queue = self.queues.setdefault(f"{lane}|{keyset}", Queue(f"{lane}|{keyset}"))
        flow = queue.flow(band, tenant, self.weights.get(tenant, 1000))
        ticket = Ticket(
            id, process, lane, keyset, self.orders, input, output, self.lease_now + wait_ms, preferred, tag,
            predicted, is_cold, self.now, max_queued, flow, self.outputs.known(f"{lane}|{tag}"),
        )  # fmt: skip
        self.tickets[id] = ticket
        flow.join(ticket)
        return ticket

    def predict(self, ticket: Ticket) -> tuple[int, bool]:
        """Its output as it is expected now, and whether that is cold."""
        return self.outputs.predict(f"{ticket.lane}|{ticket.tag}", ticket.output)

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
