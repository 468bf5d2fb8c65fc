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

__all__ = ["earliest_ms"]


def earliest_ms(oracle: Oracle, ticket: Ticket) -> int:
    """In how many ms a ticket can start at the earliest, with what waits before it in its flow."""
    flow = ticket.flow.waiting
    ahead = flow[: flow.index(ticket) + 1]
    lanes = ["*"] if ticket.lane == "*" else ["*", ticket.lane]
    return max(
        (
            _until(oracle, buckets, ahead)
            for lane in lanes
            for buckets in _shared_limits(oracle, ticket.keyset, lane)
        ),
        default=0,
    )


def _shared_limits(oracle: Oracle, keyset: str, lane: str) -> Sequence[Sequence[OracleBucket]]:
    """Per resource and period the buckets of all domains, where no key goes without one."""
    keys = [k for k in oracle.keysets[keyset] if oracle.key_out_until.get(k[0]) != float("inf")]
    domains = dict.fromkeys(domain for _, names in keys for domain in names)
    found: dict[tuple[str, int], dict[str, OracleBucket]] = {}
    for domain in domains:
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
