"""The oracle's pump: which ticket goes by which key, and who is told to call again (ENGINE.md §4)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.oracle_buckets import Charge, OracleBucket
from tests.oracle_tickets import Said, Ticket, Timer, Verdict

if TYPE_CHECKING:
    from tests.oracle import Oracle

OVERDUE_MS = 50


class Pump:
    """The end of a step: grants from the heads in order of arrival, and who is told to call again."""

    def __init__(self, oracle: Oracle, caller: str, said: Said, latest: int) -> None:
        """`latest`: the order of the last ticket that came before this call."""
        self.oracle, self.caller, self.said, self.latest = oracle, caller, said, latest
        self.reserved: Counter[int] = Counter()
        self.slots_ahead: Counter[str] = Counter()
        self.blocked: dict[str, Verdict] = {}

    def run(self) -> None:
        while heads := [
            waiting[0] for queue, waiting in self.oracle.queues.items() if waiting and queue not in self.blocked
        ]:
            self._decide(min(heads, key=lambda ticket: ticket.order))
        for queue, verdict in self.blocked.items():
            for ticket in [t for t in self.oracle.queues[queue] if t.order > self.latest]:
                if ticket.deadline <= self.oracle.now:
                    self._refuse(ticket, "timeout", verdict.wait)
            self._arm(queue, verdict)
        for queue in [queue for queue, waiting in self.oracle.queues.items() if not waiting]:
            del self.oracle.queues[queue]
            self.oracle.timers.pop(queue, None)

    def _decide(self, head: Ticket) -> None:
        verdict = self.choose(head)
        if isinstance(verdict, str):
            self._refuse(head, verdict)
        elif verdict.wait == 0:
            self._grant(head, verdict)
        elif head.deadline <= self.oracle.now:
            self._refuse(head, "timeout", verdict.wait)
        else:
            self.blocked[head.queue] = verdict
            for bucket in self._buckets(verdict.domains, head.lane):
                self.reserved[id(bucket)] += _need(bucket, head)
            self.slots_ahead.update(verdict.domains)

    def _buckets(self, domains: tuple[str, ...], lane: str) -> list[OracleBucket]:
        lanes = ["*"] if lane == "*" else ["*", lane]
        return [b for domain in domains for name in lanes for b in self.oracle.buckets.get((domain, name), [])]

    def choose(self, ticket: Ticket) -> Verdict | str:
        """The preferred key if it is free, else the first to go, else the most room; or why none ever can."""
        verdicts, never = [], False
        for key, domains in self.oracle.keysets[ticket.keyset]:
            if any(b.never_fits(ticket.input, ticket.output) for b in self._buckets(domains, ticket.lane)):
                never = True
            elif self.oracle.key_out_until.get(key) != float("inf"):
                verdicts.append(self._verdict(ticket, key, domains))
        if not verdicts:
            return "too_large" if never else "no_key"
        free = [v for v in verdicts if v.wait == 0 and v.key == ticket.preferred]
        return free[0] if free else min(verdicts, key=lambda verdict: verdict.rank)

    def _verdict(self, ticket: Ticket, key: str, domains: tuple[str, ...]) -> Verdict:
        oracle, rate, rooms = self.oracle, list[int | None]([0]), [1.0]
        out_ms = int(max(0, oracle.key_out_until.get(key, 0) - oracle.now))
        pause_ms = max([0, *(oracle.paused_until[domain] - oracle.now for domain in domains)])
        slot: int | None = 0
        for domain in domains:
            if slots := oracle.slots[domain]:
                free = slots - oracle.in_flight(domain) - self.slots_ahead[domain]
                slot = slot if free > 0 else None
                rooms.append((free - 1) / slots)
        for bucket in self._buckets(domains, ticket.lane):
            need, ahead = _need(bucket, ticket), self.reserved[id(bucket)]
            rate.append(bucket.wait_ms(need, ahead, oracle.now))
            rooms.append((bucket.available - ahead - need) / bucket.capacity)
        waits = {"out": out_ms, "pause": pause_ms, "slot": slot, "rate": _longest(rate)}
        return Verdict(key, domains, _longest(list(waits.values())), min(rooms), waits)

    def _grant(self, ticket: Ticket, verdict: Verdict) -> None:
        oracle = self.oracle
        oracle.fence += 1
        oracle.queues[ticket.queue].remove(ticket)
        ticket.state, ticket.key, ticket.fence = "g", verdict.key, oracle.fence
        ticket.domains, ticket.expires_at = verdict.domains, oracle.lease_now + oracle.ttl_ms
        buckets = self._buckets(verdict.domains, ticket.lane)
        ticket.charges = [Charge.take(bucket, _need(bucket, ticket)) for bucket in buckets]
        ticket.spacing_ms = max([0, *(b.spacing_ms for b in buckets if b.resource == "requests")])
        self.said.grants.add((ticket.process, *ticket.grant))

    def _refuse(self, ticket: Ticket, reason: str, retry_ms: int | None = None) -> None:
        self.oracle.queues[ticket.queue].remove(ticket)
        ticket.state = "c"
        self.said.refusals.add((ticket.process, ticket.id, reason))
        self.said.retry_ms[ticket.id] = retry_ms

    def _arm(self, queue: str, verdict: Verdict) -> None:
        """The owner of a head arms its timer; the caller does, when a timer is overdue."""
        head, timer = self.oracle.queues[queue][0], self.oracle.timers.get(queue)
        if verdict.wait is None:
            return
        at, now = self.oracle.now + verdict.wait, self.oracle.now
        is_armed = timer is not None and timer.head == head.id
        told = head.process
        if is_armed and timer is not None and head.process != self.caller:
            if timer.at < now - OVERDUE_MS:
                told = self.caller
            elif timer.at <= at:
                return
        self.oracle.timers[queue] = Timer(head.id, at, told)
        self.said.wakes.add((told, queue, head.id, verdict.wait))


def _need(bucket: OracleBucket, ticket: Ticket) -> int:
    return bucket.need(ticket.input, ticket.output, ticket.predicted, ticket.is_cold)


def _longest(waits: list[int | None]) -> int | None:
    return None if None in waits else max(wait or 0 for wait in waits)
