"""The oracle's pump: which ticket goes by which key, and who is told to call again (ENGINE.md §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.oracle_bound import Bound
from tests.oracle_buckets import Charge, cost_of
from tests.oracle_choice import NEVER, Choice, need_of
from tests.oracle_flows import Queue
from tests.oracle_learned import RECENT
from tests.oracle_tickets import Said, Ticket, Timer, Verdict

if TYPE_CHECKING:
    from tests.oracle import Oracle

OVERDUE_MS = 50
PASSED_OVER = 8


class Pump:
    """The end of a step: grants by the order of the queues, and who is told to call again."""

    def __init__(
        self, oracle: Oracle, caller: str, said: Said, latest: int, early: Mapping[str, float]
    ) -> None:
        """`latest`: the order of the last ticket that came before this call."""
        self.oracle, self.caller, self.said, self.latest, self.early = oracle, caller, said, latest, early
        self.admitted: set[str] = set()
        self.choice = Choice(oracle)
        self.blocked: dict[Queue, tuple[Ticket, Verdict]] = {}

    def run(self) -> None:
        oracle = self.oracle
        while heads := [head for queue in oracle.queues.values() if (head := self._open_head(queue))]:
            head = min(heads, key=lambda ticket: ticket.order)
            if (verdict := self._look(head)) and self._is_admitted(head, verdict):
                self.blocked[head.flow.queue] = head, verdict
                self.choice.reserve(head, verdict)
        for queue in sorted(self.blocked, key=lambda queue: self.blocked[queue][0].order):
            self._backfill(queue)
        for queue in list(oracle.queues.values()):
            self._admit(queue)
            self._arm(queue)
            if not queue.waiting:
                queue.is_gone = True
                del oracle.queues[queue.name]

    def _open_head(self, queue: Queue) -> Ticket | None:
        return None if queue in self.blocked else queue.head(self.oracle.now, self.oracle.aging_ms)

    def _backfill(self, queue: Queue) -> None:
        """What a blocked head leaves over is for those behind it."""
        head, _ = self.blocked[queue]
        passed = {head.flow}
        if not self.choice.has_room(head):
            return
        while len(passed) <= PASSED_OVER:
            flows = [flow for flow in queue.open_flows if flow not in passed]
            if not flows:
                return
            if self._look(flows[0].waiting[0]):
                passed.add(flows[0])

    def grant_at_once(self, ticket: Ticket) -> bool:
        """Grant a new ticket before which nothing waits, if it can go."""
        verdict, own = self.choice.choose_in_turn(ticket), self.choice.own(ticket)
        if isinstance(verdict, str) or isinstance(own, str) or verdict.wait > 0 or own.wait > 0:
            return False
        self._grant(ticket, verdict, own)
        return True

    # -- decisions -------------------------------------------------------------------------------

    def _look(self, ticket: Ticket) -> Verdict | None:
        """Decide on the head of a flow; the verdict, where its keys block it."""
        if ticket.is_cold:  # there may be samples by now
            ticket.predicted, ticket.is_cold = self.oracle.predict(ticket)
        verdict, own = self.choice.choose(ticket), self.choice.own(ticket)
        if isinstance(verdict, str) or isinstance(own, str):
            self._refuse(ticket, verdict if isinstance(verdict, str) else str(own))
            return None
        wait, expires_in = own.wait or verdict.wait, ticket.deadline - self.oracle.lease_now
        if expires_in < 0 or (expires_in == 0 and wait > 0):
            self._refuse(ticket, "timeout", wait)
        elif own.wait > 0:
            ticket.flow.parked_until = self.oracle.now + own.wait
        elif verdict.wait > 0:
            return verdict
        else:
            queue = ticket.flow.queue
            queue.count_turn(ticket.flow, queue.aged(self.oracle.now, self.oracle.aging_ms))
            self._grant(ticket, verdict, own)
        return None

    def _is_admitted(self, ticket: Ticket, verdict: Verdict) -> bool:
        """Whether a ticket that cannot go now waits; a new one may not fit in the queue, or its deadline."""
        if ticket.order <= self.latest or ticket.id in self.admitted:
            return True
        waiting = [t for t in ticket.flow.queue.waiting if t.order <= self.latest or t.id in self.admitted]
        in_ms = ticket.deadline - self.oracle.lease_now
        if len(waiting) >= ticket.max_queued:
            self._refuse(ticket, "queue_full")
        elif in_ms <= 0:
            self._refuse(ticket, "timeout", verdict.wait)
        elif (earliest := self._earliest(ticket)) > in_ms:
            self._refuse(ticket, "timeout", max(verdict.wait, earliest) if verdict.wait < NEVER else earliest)
        else:
            self.admitted.add(ticket.id)
        return ticket.state == "q"

    def _earliest(self, ticket: Ticket) -> float:
        """Before when the pool may say, or has to say, that a ticket cannot go."""
        bound = Bound(self.oracle, ticket)
        return bound.agreed(self.early.get(ticket.id), has_granted=bool(self.said.grants))

    def _admit(self, queue: Queue) -> None:
        """New tickets that were not granted wait, unless they would not, or can never go, or not in time."""
        ahead = self.blocked[queue][1] if queue in self.blocked else None
        for ticket in [ticket for ticket in queue.waiting if ticket.order > self.latest]:
            verdict, own = self.choice.choose(ticket), self.choice.own(ticket)
            if isinstance(verdict, str) or isinstance(own, str):
                self._refuse(ticket, verdict if isinstance(verdict, str) else str(own))
            else:
                binding = own if own.wait > 0 else verdict
                self._is_admitted(ticket, ahead if ahead and ahead.wait > binding.wait else binding)

    def _grant(self, ticket: Ticket, verdict: Verdict, own: Verdict) -> None:
        oracle, flow = self.oracle, ticket.flow
        oracle.fence += 1
        if ticket.is_cold:
            oracle.outputs.begin(f"{ticket.lane}|{ticket.tag}")
        ticket.state, ticket.key, ticket.fence = "g", verdict.key, oracle.fence
        ticket.is_sampled = ticket.samples < RECENT or (oracle.begins_slice and oracle.fence % 8 == 0)
        ticket.domains, ticket.expires_at = verdict.domains + own.domains, oracle.lease_now + oracle.ttl_ms
        keys, tenants = (
            [
                Charge.take(bucket, need_of(bucket, ticket))
                for bucket in self.oracle.buckets_of(domains, ticket.lane)
            ]
            for domains in (verdict.domains, own.domains)
        )
        ticket.charges, ticket.own_charges, ticket.cost = (
            keys + tenants,
            len(tenants),
            cost_of(keys),
        )
        taken = [c for c in keys if c.bucket.tick_ms == 1]  # a day's limit spaces nothing
        ticket.spacing_ms = max([0, *(charge.bucket.refill_ms(charge.reserved) for charge in taken)])
        flow.leave(ticket)
        flow.serve(ticket.cost)
        self.said.grants.add((ticket.process, *ticket.grant))

    def _refuse(self, ticket: Ticket, reason: str, retry_ms: float = NEVER) -> None:
        ticket.flow.leave(ticket)
        ticket.state = "c"
        self.said.refusals.add((ticket.process, ticket.id, reason))
        self.said.retry_ms[ticket.id] = retry_ms

    # -- timers ----------------------------------------------------------------------------------

    def _arm(self, queue: Queue) -> None:
        """The owner of a head arms its timer; when a timer is overdue, the caller does."""
        timers, now = self.oracle.timers, self.oracle.now
        call, timer = self._next_call(queue), timers.get(queue.name)
        if call is None:
            timers.pop(queue.name, None)
            return
        at, head = call
        told = head.process
        if timer is not None and head.process != self.caller:
            if timer.at < now - OVERDUE_MS:
                told = self.caller
            elif timer.head == head.id and timer.at <= at:
                return
        timers[queue.name] = Timer(head.id, at, told)
        self.said.wakes.add((told, queue.name, head.id, at - now))

    def _next_call(self, queue: Queue) -> tuple[int, Ticket] | None:
        """When somebody has to call, and for which ticket: the blocked head, or an earlier parked one."""
        calls = list[tuple[int, int, int, Ticket]]()
        if queue in self.blocked:
            head, verdict = self.blocked[queue]
            if head.state == "q" and verdict.wait < NEVER:
                calls.append((self.oracle.now + int(verdict.wait), -1, 0, head))
        for flow in queue.flows.values():
            if flow.waiting and flow.parked_until is not None and flow.parked_until < NEVER:
                head = flow.waiting[0]
                calls.append((int(flow.parked_until), flow.band, head.order, head))
        if not calls:
            return None
        at, _, _, head = min(calls, key=lambda call: call[:3])
        return at, head
