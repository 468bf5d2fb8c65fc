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

__all__ = ["earliest_ms", "is_denied_early"]

ENOUGH = 20


def is_denied_early(oracle: Oracle, ticket: Ticket, does_pool: bool) -> bool:
    """Whether a ticket is denied before its deadline: the pool may do so only if, and must if, it cannot go.

    Where the pool has learned what calls really use it may know more than the oracle.
    """
    in_ms, flow = ticket.deadline - oracle.lease_now, ticket.flow
    flow.was_large |= any(
        bucket.need(ticket.input, ticket.output, ticket.predicted, ticket.is_cold) > bucket.capacity
        for bucket in oracle.buckets_of(_domains(oracle, ticket.keyset), ticket.lane)
    )
    is_too_late = in_ms < earliest_ms(oracle, ticket)
    if is_too_late and not flow.was_large:
        assert does_pool, f"{ticket.id} waits {in_ms} ms and cannot go before {earliest_ms(oracle, ticket)}"
    if does_pool and oracle.settled[ticket.lane] < ENOUGH:
        assert is_too_late, f"{ticket.id} was denied early, but might go in time"
    return does_pool


def earliest_ms(oracle: Oracle, ticket: Ticket) -> int:
    """In how many ms a ticket can start at the earliest, with what its process has waiting before it."""
    flow = ticket.flow.waiting
    ahead = [each for each in flow[: flow.index(ticket) + 1] if each.process == ticket.process]
    lanes = ["*"] if ticket.lane == "*" else ["*", ticket.lane]
    return max(
        (
            _until(oracle, buckets, ahead)
            for lane in lanes
            for buckets in _shared_limits(oracle, ticket.keyset, lane)
        ),
        default=0,
    )


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
    ticks = -(-(needed - supply) // sum(bucket.rate for bucket in buckets))
    return (first.tick + ticks) * first.tick_ms - oracle.now


def _taken(buckets: Sequence[OracleBucket], ticket: Ticket) -> int:
    """What a ticket must find: more than the capacity never has to be there."""
    amount = buckets[0].amount(ticket.input, ticket.output)
    return min(min(amount * bucket.unit, bucket.capacity) for bucket in buckets)
