"""The oracle's pump: which ticket goes by which key, and who is told to call again (ENGINE.md §4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tests.oracle_buckets import Charge, OracleBucket
from tests.oracle_tickets import Promise, Said, Ticket, Timer, Verdict

if TYPE_CHECKING:
    from tests.oracle import Oracle

OVERDUE_MS = 50
NEVER = float("inf")


class Pump:
    """The end of a step: grants from the heads in order of arrival, and who is told to call again."""

    def __init__(self, oracle: Oracle, caller: str, said: Said, latest: int) -> None:
        """`latest`: the order of the last ticket that came before this call."""
        self.oracle, self.caller, self.said, self.latest = oracle, caller, said, latest
        self.promises: dict[int, list[Promise]] = defaultdict(list)
        self.slots_ahead: Counter[str] = Counter()
        self.blocked: dict[str, Verdict] = {}

    def run(self) -> None:
        oracle = self.oracle
        while heads := [q[0] for name, q in oracle.queues.items() if q and name not in self.blocked]:
            self._decide(min(heads, key=lambda ticket: ticket.order))
        for queue, verdict in self.blocked.items():
            for ticket in [t for t in oracle.queues[queue][1:] if t.order > self.latest]:
                self._receive(ticket, verdict)
            self._arm(queue, verdict)
        for queue in [queue for queue, waiting in oracle.queues.items() if not waiting]:
            del oracle.queues[queue]
            oracle.timers.pop(queue, None)

    # -- decisions -------------------------------------------------------------------------------

    def _decide(self, head: Ticket) -> None:
        verdict, expires_in = self.choose(head), head.deadline - self.oracle.lease_now
        if isinstance(verdict, str):
            self._refuse(head, verdict)
        elif expires_in < 0 or (expires_in == 0 and verdict.wait > 0):
            self._refuse(head, "timeout", verdict.wait)
        elif verdict.wait == 0:
            self._grant(head, verdict)
        else:
            self.blocked[head.queue] = verdict
            self._reserve(head, verdict)

    def _receive(self, ticket: Ticket, ahead: Verdict) -> None:
        """A new ticket behind a blocked head stays, unless it would not wait or can never go."""
        verdict = self.choose(ticket)
        if isinstance(verdict, str):
            self._refuse(ticket, verdict)
        elif ticket.deadline <= self.oracle.lease_now:
            self._refuse(ticket, "timeout", max(verdict.wait, ahead.wait))

    def _reserve(self, head: Ticket, verdict: Verdict) -> None:
        """Keep later tickets off what the head needs, from when refill would not make good for it."""
        for bucket in self._buckets(verdict.domains, head.lane):
            need, promises = _need(bucket, head), self.promises[id(bucket)]
            refill_ms = bucket.refill_ms(need + sum(promise.need for promise in promises))
            is_refilled = bucket.rule != "as_produced" and verdict.wait < NEVER  # a hold never is
            begins = max(0, verdict.wait - refill_ms) if is_refilled else 0
            promises.append(Promise(need, begins))
        self.slots_ahead.update(verdict.domains)

    def _grant(self, ticket: Ticket, verdict: Verdict) -> None:
        oracle = self.oracle
        oracle.fence += 1
        oracle.queues[ticket.queue].remove(ticket)
        ticket.state, ticket.key, ticket.fence = "g", verdict.key, oracle.fence
        ticket.domains, ticket.expires_at = verdict.domains, oracle.lease_now + oracle.ttl_ms
        buckets = self._buckets(verdict.domains, ticket.lane)
        ticket.charges = [Charge.take(bucket, _need(bucket, ticket)) for bucket in buckets]
        taken = [c for c in ticket.charges if c.bucket.tick_ms == 1]  # a day's limit spaces nothing
        ticket.spacing_ms = max([0, *(charge.bucket.refill_ms(charge.reserved) for charge in taken)])
        self.said.grants.add((ticket.process, *ticket.grant))

    def _refuse(self, ticket: Ticket, reason: str, retry_ms: float = NEVER) -> None:
        self.oracle.queues[ticket.queue].remove(ticket)
        ticket.state = "c"
        self.said.refusals.add((ticket.process, ticket.id, reason))
        self.said.retry_ms[ticket.id] = retry_ms

    # -- the choice of a key ---------------------------------------------------------------------

    def choose(self, ticket: Ticket) -> Verdict | str:
        """The preferred key if it is free, else the first to go, else the most room; or why none ever can."""
        verdicts, never = [], False
        for key, domains in self.oracle.keysets[ticket.keyset]:
            if self.oracle.key_out_until.get(key) == NEVER:
                continue
            if any(b.never_fits(ticket.input, ticket.output) for b in self._buckets(domains, ticket.lane)):
                never = True
            else:
                verdicts.append(self._verdict(ticket, key, domains))
        if not verdicts:
            return "too_large" if never else "no_key"
        free = [v for v in verdicts if v.wait == 0 and v.key == ticket.preferred]
        return free[0] if free else min(verdicts, key=lambda verdict: verdict.rank)

    def _verdict(self, ticket: Ticket, key: str, domains: tuple[str, ...]) -> Verdict:
        """When the ticket could go by this key: the first moment that suits all, as promised until then."""
        verdict = self._verdict_at(ticket, key, domains, 0)
        at = 0.0
        while at < verdict.wait < NEVER:
            at = verdict.wait
            verdict = self._verdict_at(ticket, key, domains, at)
        return verdict

    def _verdict_at(self, ticket: Ticket, key: str, domains: tuple[str, ...], at: float) -> Verdict:
        oracle, rate, rooms = self.oracle, [0.0], [1.0]
        waits = {
            "out": max(0, oracle.key_out_until.get(key, 0) - oracle.now),
            "pause": max([0, *(oracle.paused_until[domain] - oracle.now for domain in domains)]),
            "slot": 0,
        }
        for domain in domains:
            if slots := oracle.slots[domain]:
                free = slots - oracle.in_flight(domain) - self.slots_ahead[domain]
                waits["slot"] = waits["slot"] if free > 0 else NEVER
                rooms.append((free - 1) / slots)
        for bucket in self._buckets(domains, ticket.lane):
            need = _need(bucket, ticket)
            ahead = self._promised(bucket, at if need <= bucket.capacity else NEVER)
            ahead += bucket.stake(ticket.is_cold)
            rate.append(bucket.wait_ms(need, ahead, oracle.now))
            rooms.append((bucket.available - ahead - need) / bucket.capacity)
        waits["rate"] = max(rate)
        return Verdict(key, domains, max(waits.values()), min(rooms), waits)

    def _promised(self, bucket: OracleBucket, at: float) -> int:
        return sum(promise.need for promise in self.promises[id(bucket)] if promise.begins <= at)

    def _buckets(self, domains: tuple[str, ...], lane: str) -> list[OracleBucket]:
        lanes = ["*"] if lane == "*" else ["*", lane]
        return [
            b for domain in domains for name in lanes for b in self.oracle.buckets.get((domain, name), [])
        ]

    # -- timers ----------------------------------------------------------------------------------

    def _arm(self, queue: str, verdict: Verdict) -> None:
        """The owner of a head arms its timer; when a timer is overdue, the caller does."""
        timers, now = self.oracle.timers, self.oracle.now
        head, timer = self.oracle.queues[queue][0], timers.get(queue)
        if verdict.wait == NEVER:
            timers.pop(queue, None)
            return
        at, told = now + int(verdict.wait), head.process
        if timer is not None and head.process != self.caller:
            if timer.at < now - OVERDUE_MS:
                told = self.caller
            elif timer.head == head.id and timer.at <= at:
                return
        timers[queue] = Timer(head.id, at, told)
        self.said.wakes.add((told, queue, head.id, int(verdict.wait)))


def _need(bucket: OracleBucket, ticket: Ticket) -> int:
    return bucket.need(ticket.input, ticket.output, ticket.predicted, ticket.is_cold)
