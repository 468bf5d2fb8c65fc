"""The oracle's choice of a key: where a ticket can go first, beside what heads have reserved (ENGINE.md §4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from llm_fleet.engine.values import TENANT_DOMAIN
from tests.oracle_buckets import OracleBucket
from tests.oracle_tickets import Promise, Ticket, Verdict

if TYPE_CHECKING:
    from tests.oracle import Oracle

__all__ = ["NEVER", "Choice", "need_of"]

NEVER = float("inf")


class Choice:
    """What the keys mean for a ticket, and what blocked heads keep for themselves."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.promises: dict[int, list[Promise]] = defaultdict(list)
        self.slots_ahead: Counter[str] = Counter()

    def reserve(self, head: Ticket, verdict: Verdict) -> None:
        """Keep later tickets off what the head needs, from when refill would not make good for it."""
        for bucket in self.oracle.buckets_of(verdict.domains, head.lane):
            need, promises = need_of(bucket, head), self.promises[id(bucket)]
            refill_ms = bucket.refill_ms(need + sum(promise.need for promise in promises))
            is_refilled = bucket.rule != "as_produced" and verdict.wait < NEVER  # a hold never is
            begins = max(0, verdict.wait - refill_ms) if is_refilled else 0
            promises.append(Promise(need, begins))
        self.slots_ahead.update(verdict.domains)

    def choose(self, ticket: Ticket) -> Verdict | str:
        """The preferred key if it is free, else the first to go, else the most room; or why none ever can."""
        verdicts, never = [], False
        for key, domains in self.oracle.keysets[ticket.keyset]:
            if self.oracle.key_out_until.get(key) == NEVER:
                continue
            if self._never_fits(ticket, domains):
                never = True
            else:
                verdicts.append(self._verdict(ticket, key, domains))
        if not verdicts:
            return "too_large" if never else "no_key"
        by_name = {verdict.key: verdict for verdict in verdicts if verdict.wait == 0}
        for key in (ticket.preferred, self.oracle.chosen.get(ticket.id)):
            if key in by_name:
                return by_name[key]
        return min(verdicts, key=lambda verdict: verdict.rank)

    def choose_in_turn(self, ticket: Ticket) -> Verdict | str:
        """Where nothing waits: the key whose turn it is while half of its tightest resource is free."""
        keys = self.oracle.keysets[ticket.keyset]
        key, domains = keys[self.oracle.fence % len(keys)]
        if len(keys) > 2 and not ticket.preferred and ticket.id not in self.oracle.chosen:
            limits = self.oracle.buckets_of(domains, ticket.lane)
            if limits and not self._never_fits(ticket, domains):
                verdict = self._verdict(ticket, key, domains)
                if verdict.wait == 0 and verdict.room >= 1 / 2:
                    return verdict
        return self.choose(ticket)

    def has_room(self, head: Ticket) -> bool:
        """Whether a request without tokens could go behind this head."""
        least = replace(head, input=0, output=0, predicted=0, is_cold=False, preferred="")
        verdict = self.choose(least)
        return not isinstance(verdict, str) and verdict.wait == 0

    def own(self, ticket: Ticket) -> Verdict | str:
        """What the limits of its tenant alone say."""
        domain = TENANT_DOMAIN + ticket.flow.tenant
        domains = (domain,) if (domain, "*") in self.oracle.buckets else ()
        return "too_large" if self._never_fits(ticket, domains) else self._verdict(ticket, "", domains)

    def _never_fits(self, ticket: Ticket, domains: tuple[str, ...]) -> bool:
        buckets = self.oracle.buckets_of(domains, ticket.lane)
        return any(bucket.never_fits(ticket.input, ticket.output) for bucket in buckets)

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
        for bucket in self.oracle.buckets_of(domains, ticket.lane):
            need = need_of(bucket, ticket)
            ahead = self._promised(bucket, at if need <= bucket.capacity else NEVER)
            ahead += bucket.stake(ticket.is_cold)
            rate.append(bucket.wait_ms(need, ahead, oracle.now))
            rooms.append((bucket.available - ahead - need) / bucket.capacity)
        waits["rate"] = max(rate)
        return Verdict(key, domains, max(waits.values()), min(rooms), waits)

    def _promised(self, bucket: OracleBucket, at: float) -> int:
        return sum(promise.need for promise in self.promises[id(bucket)] if promise.begins <= at)


def need_of(bucket: OracleBucket, ticket: Ticket) -> int:
    return bucket.need(ticket.input, ticket.output, ticket.predicted, ticket.is_cold)
