"""What processes use by themselves and return (ENGINE.md §6): in the oracle, in its pair, and as acts of stories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

from llm_fleet.engine.registration import Known, offer
from llm_fleet.engine.values import RESOURCES, TENANT_DOMAIN, PoolLimits
from tests.oracle import Oracle
from tests.oracle_books import MEMORY_MS, Held
from tests.oracle_buckets import UNIT, Charge, OracleBucket
from tests.oracle_choice import need_of
from tests.oracle_flows import Flow, Queue
from tests.oracle_pair import Pair, agree
from tests.oracle_stories import Act, perform
from tests.oracle_tickets import Ticket
from tests.pool_rig import Rig, Wire, enqueue

__all__ = ["ReturningPair", "kind_of", "perform_or_return"]


def kind_of(bucket: OracleBucket) -> int:
    """How a return names a limit's resource and period."""
    return RESOURCES.index(bucket.resource) + 1 + (10 if bucket.tick_ms > 1 else 0)


class Returns:
    """Takes returns into the oracle's books."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle

    def take(self, process: str, returns: Sequence[Wire], server_ms: int) -> list[Ticket]:
        """A process registers with them; gives the leases that are new."""
        self.oracle.advance(server_ms)
        self.oracle.presence.enlist(process)
        new = []
        for id, lacks, leases in returns:
            if self.oracle.state_of(id):
                continue
            for lack in lacks:
                self._lower(*lack)
            new += [taken for lease in leases if (taken := self._take(process, lease))]
            self.oracle.tombstones.add(id)
        self.oracle._unpark()
        return new

    def _lower(self, field: str, kind: int, lack: int, debt: int, unit: int) -> None:
        domain, _, lane = field.rpartition("|")
        for bucket in self.oracle.buckets.get((domain, lane), []):
            if kind_of(bucket) == kind:
                bucket.level = min(bucket.capacity, bucket.level + -lack * bucket.unit // unit)
                self.oracle.touched.add(domain)

    def _take(self, process: str, lease: Wire) -> Ticket | None:
        id, key, queue, fence, input, output, predicted, cold, produced, _, tenant, tag = lease
        oracle, known = self.oracle, self.oracle.tickets.get(id)
        if oracle.state_of(id) not in ("", "q"):
            return None
        if known:
            known.flow.leave(known)
        gone = Flow(Queue("", is_gone=True), 0, tenant, 1000)  # no order has a place for it
        lane, _, keyset = queue.rpartition("|")
        ticket = Ticket(
            id, process, lane, keyset, 0, input, output, 0, "", tag, predicted, bool(cold), oracle.now, 0, gone, 0
        )  # fmt: skip
        own = TENANT_DOMAIN + tenant
        domains = next(its for keys in oracle.keysets.values() for name, its in keys if name == key)
        tenants = (own,) if (own, "*") in oracle.buckets else ()
        buckets = [oracle.buckets_of(names, lane) for names in (domains, tenants)]
        ticket.charges = [Charge.take(b, need_of(b, ticket)) for part in buckets for b in part]
        ticket.state, ticket.key, ticket.fence, ticket.own_charges = "g", key, fence, len(buckets[1])
        ticket.domains, ticket.expires_at = domains + tenants, oracle.lease_now + oracle.ttl_ms
        taken = [charge for charge in ticket.key_charges if charge.bucket.tick_ms == 1]
        ticket.spacing_ms = max([0, *(charge.bucket.refill_ms(charge.reserved) for charge in taken)])
        ticket.is_sampled = fence % 8 == 0
        for charge in ticket.charges:
            charge.produce(produced * UNIT)
        oracle.fence, oracle.tickets[id] = max(oracle.fence, fence), ticket
        return ticket


class ReturningPair(Pair):
    """A pair whose processes lose sight of Redis now and then, and return what they used."""

    def __init__(self, rig: Rig, members: dict[str, PoolLimits], ttl_s: float = 15.0) -> None:
        super().__init__(rig, members, ttl_s)
        self.returned: list[tuple[int, str, Wire]] = []

    def registered(self, process: str, limits: PoolLimits, now: int) -> None:
        """A process has registered with both."""
        super().registered(process, limits, now)
        self.offered = limits

    def give_back(self, process: str, *returns: Wire) -> None:
        """A process registers with what it returns, with both; they must hold the same then."""
        limits, ttl_s = self.members[process], self.oracle.ttl_ms / 1000
        self.now = self.rig.register(process, limits, ttl_s=ttl_s, returns=returns)[3]
        server_ms = self.rig.time_ms if self.rig.is_fake else self.now
        if (
            limits != self.offered
        ):  # another offer than the last one: who waits for a limit is looked at again
            self.oracle.touched.update(domain.name for domain in limits.every_domain)
        self.offered = limits
        new = Returns(self.oracle).take(process, returns, server_ms)
        known = {wire[0] for _, _, wire in self.returned}
        self.returned += [(self.now, process, each) for each in returns if each[0] not in known]
        for ticket in new:
            self.waiting.pop(ticket.id, None)
            wire = enqueue(ticket.id, limits, lane=ticket.lane, tokens=(ticket.input, ticket.output))
            self.leases[ticket.id] = Held(ticket.id, process, ticket.key, ticket.fence, self.now, wire)
        self._compare_levels(f"after {process} returned {returns} at {self.now}")
        agree("leases", self.rig.snapshot()["leases"], len(self.oracle.leases))

    def returned_lately(self, process: str) -> list[Wire]:
        """What a process has returned not long ago: that is still remembered."""
        return [wire for at, who, wire in self.returned if who == process and self.now - at < MEMORY_MS]

    def any_return(self, process: str, random: Random) -> Wire:
        """A return as chance has it: of some limits, of leases that are new, that wait or that are known."""
        fields = [
            (f"{domain}|{lane}", bucket)
            for (domain, lane), its in self.oracle.buckets.items()
            for bucket in its
        ]
        lacks = [
            [field, kind_of(bucket), random.choice((0, 1, 59_999, UNIT, -UNIT, random.randrange(-1_000, bucket.capacity))),
             random.choice((0, UNIT)), random.choice((UNIT, bucket.unit, 62_500))]
            for field, bucket in random.sample(fields, random.randint(0, min(3, len(fields))))
        ]  # fmt: skip
        gone = [["d9|*", 1, UNIT, 0, UNIT], ["d0|*", 7, UNIT, 0, UNIT]]
        leases = [self._any_lease(process, random) for _ in range(random.choice((0, 1, 1, 3)))]
        return [self.unknown(), lacks + random.sample(gone, random.randint(0, 1)), leases]

    def _any_lease(self, process: str, random: Random) -> Wire:
        limits = self.members[process]
        waiting = [id for id, who in self.waiting.items() if who == process]
        ended = [wire[1] for wire in self.sent_by(process) if wire[0] == "e"]
        new = self.enqueue(process)[1]
        id = random.choice((new, new, random.choice(waiting or [new]), random.choice(ended or [new])))
        tenants = ["default", *(tenant.name for tenant in limits.tenants)]
        lease = self.rig.lease(
            id, (random.choice(limits.keys)[0], self.rig.members[process].known.fence), lane=random.choice(("*", "big")),
            input_tokens=random.choice((0, 7, 90)), max_output_tokens=random.choice((0, 40, 300)),
            tenant=random.choice(tenants), tag=random.choice(("", "x")),
        )  # fmt: skip
        lease.progress(random.choice((0, 0, 30)))
        return list(json.loads(offer(limits, Known(), 15.0, [lease]))["leases"][0])


def perform_or_return(pair: ReturningPair, act: Act) -> None:
    """Let one thing happen: a return, one that was said lately said again, or what stories know."""
    random = Random(repr(act))
    lately = pair.returned_lately(act.process)
    if act.kind == "return":
        pair.give_back(act.process, *(pair.any_return(act.process, random) for _ in range(1 + act.at % 2)))
    elif act.kind == "return again":
        pair.give_back(act.process, *random.sample(lately, min(len(lately), 2)))
    else:
        perform(pair, act)
