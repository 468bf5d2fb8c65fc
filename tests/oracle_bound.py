"""The oracle's lower bound of a start: nobody is denied early who could have gone in time (ENGINE.md §4).

It asks only for what is taken at the start: what comes back later may always be enough, as far as
the oracle knows. So it denies what cannot go in time however little the calls before it use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.oracle_buckets import OracleBucket
from tests.oracle_tickets import Ticket

if TYPE_CHECKING:
    from tests.oracle import Oracle

__all__ = ["Bound"]

ENOUGH = 20


class Bound:
    """When a ticket can start at the earliest, with what its process has waiting before it."""

    def __init__(self, oracle: Oracle, ticket: Ticket) -> None:
        flow = ticket.flow.waiting
        ahead = [each for each in flow[: flow.index(ticket) + 1] if each.process == ticket.process]
        limits = [
            buckets
            for lane in ("*", ticket.lane)
            for buckets in _shared_limits(oracle, ticket.keyset, lane)
        ]  # fmt: skip
        self.ms = max([0, *(_until(oracle, buckets, ahead) for buckets in limits)]) if oracle.has_bound else 0
        self.in_ms, self.ticket = ticket.deadline - oracle.lease_now, ticket
        self.is_learned = oracle.settled[ticket.lane] >= ENOUGH  # the pool knows more than the oracle
        ticket.flow.was_large |= any(
            bucket.need(ticket.input, ticket.output, ticket.predicted, ticket.is_cold) > bucket.capacity
            for bucket in oracle.buckets_of(_domains(oracle, ticket.keyset), ticket.lane)
        )

    def agreed(self, told_ms: float | None, *, has_granted: bool) -> float:
        """The bound that denies, if the pool did so, rightly; else 0. What this step granted may not count yet."""
        if told_ms is None:
            must = self.ms > self.in_ms and not self.ticket.flow.was_large and not has_granted
            assert not must, f"{self.ticket.id} waits {self.in_ms} ms and cannot go before {self.ms}"
            return 0
        assert self.is_learned or self.ms > self.in_ms, f"{self.ticket.id} was denied, but might go in time"
        return told_ms if self.is_learned or has_granted else self.ms


def _keys(oracle: Oracle, keyset: str) -> Sequence[tuple[str, tuple[str, ...]]]:
    return [key for key in oracle.keysets[keyset] if oracle.key_out_until.get(key[0]) != float("inf")]


def _domains(oracle: Oracle, keyset: str) -> Sequence[str]:
    return list(dict.fromkeys(domain for _, names in _keys(oracle, keyset) for domain in names))


def _shared_limits(oracle: Oracle, keyset: str, lane: str) -> Sequence[Sequence[OracleBucket]]:
    """Per resource and period the buckets of all domains, where no key goes without one."""
    keys = _keys(oracle, keyset)
    found: dict[tuple[str, int], dict[str, OracleBucket]] = {}
    for domain in _domains(oracle, keyset):
        for bucket in oracle.buckets.get((domain, lane), []):
            found.setdefault((bucket.resource, bucket.tick_ms), {})[domain] = bucket
    return [
        list(buckets.values())
        for buckets in found.values()
        if all(any(domain in buckets for domain in names) for _, names in keys)
    ]


def _until(oracle: Oracle, buckets: Sequence[OracleBucket], ahead: Sequence[Ticket]) -> int:
    """Ms until all buckets together have refilled what the tickets take of them."""
    first = buckets[0]
    if any(bucket.rule != "at_start" for bucket in buckets):
        return 0
    needed = sum(_taken(buckets, ticket) for ticket in ahead)
    supply = sum(max(0, bucket.level) for bucket in buckets)
    if needed <= supply:
        return 0
    ticks = -(-(needed - supply) // sum(bucket.configured for bucket in buckets))
    return (first.tick + ticks) * first.tick_ms - oracle.now


def _taken(buckets: Sequence[OracleBucket], ticket: Ticket) -> int:
    """What a ticket must find: more than the capacity never has to be there."""
    amount = buckets[0].amount(ticket.input, ticket.output)
    return min(min(amount * bucket.unit, bucket.capacity) for bucket in buckets)
