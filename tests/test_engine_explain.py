"""What a ticket is told of its start is compared with what then happens; nothing is changed by asking."""

from __future__ import annotations

import pytest

from llm_fleet.engine.values import Bucket, LaneLimits, TenantLimits
from tests.pool_rig import enqueue, mini_rig, per_day, pool_of, settle
from tests.projections import Once, explain

ONE_GRANT_MS = 250
"""Of 240 requests per minute."""


def requests(amount: int, *, burst_ms: int = 2_000, jitter_ms: int = 0) -> Bucket:
    return Bucket("requests", amount, burst_ms=burst_ms, jitter_ms=jitter_ms)


def asking(*buckets: Bucket, **options) -> Once:
    """A pool on which every task asks once."""
    return Once(mini_rig(pool_of(*buckets, **options), "A", "B"))


def misses(loops: Once, tickets: list[str], ms: int = 60_000, *, within_ms: int = 0) -> list:
    """Those of the waiting tickets that start earlier or later than they were told: (id, told, was) in ms.

    Where it is not exact, within ten per cent, or this time.
    """
    loops.run(1)
    waiting = [ticket for ticket in tickets if ticket in loops.waiting]
    assert len(waiting) > 4
    return [
        (ticket, told, was)
        for ticket, told, was in loops.compared(*waiting, ms=ms)
        if abs(told - was) > (max(within_ms, 0.1 * was) if within_ms else 0)
    ]


LIMITS = {
    "per minute": requests(120),
    "spaced by jitter": requests(100, jitter_ms=500),
    "deep": requests(60, burst_ms=10_000),
    "per day": per_day(10_000),
}


@pytest.mark.parametrize("name", LIMITS)
def test_one_tenant_on_one_key_starts_just_when_it_is_told(name):
    """For limits of requests the projection is exact, to the millisecond: of the first and of the last."""
    loops = asking(LIMITS[name])
    loops.put({"per day": 10_000, "deep": 10}.get(name, 0))
    assert misses(loops, loops.put(12), 120_000) == []


def test_tokens_of_one_size_start_just_when_they_are_told():
    """One resource on one key, each ticket as large as the others: the same."""
    loops = asking(Bucket("input_tokens", 60_000, burst_ms=1_000, jitter_ms=0), requests(600))
    assert misses(loops, loops.put(20, tokens=(700, 0))) == []


def test_two_tenants_with_weights_are_told_their_turns():
    """3:1 for one request each: also when the heavier one has nothing left."""
    tenants = (TenantLimits("x", 3_000), TenantLimits("y", 1_000))
    loops = asking(requests(120), tenants=tenants)
    tickets = loops.put(30, tenant="x") + loops.put(30, "B", tenant="y")
    loops.run(3_000)
    assert misses(loops, tickets) == []


def test_a_higher_band_goes_first():
    """Interactive ones that came later are ahead of batch, whose own position tells so."""
    loops = asking(requests(120))
    tickets = loops.put(10, band="batch") + loops.put(10, band="interactive")
    loops.run(1)
    last = explain(loops.rig, tickets[9])
    assert (last.ahead.higher, last.ahead.own) == (10, 5)
    assert misses(loops, tickets) == []


def test_an_aged_band_is_told_its_turns():
    """Every eighth grant is its: of batch behind interactive, and of interactive that must let it go."""
    loops = asking(requests(240), aging_ms=1_000)
    tickets = loops.put(20, band="batch")
    loops.run(1_500)
    tickets += loops.put(40, band="interactive")
    assert misses(loops, tickets, within_ms=ONE_GRANT_MS) == []


def test_three_bands_of_which_two_have_aged():
    """What is normal waits for interactive and for the older batch."""
    loops = asking(requests(240), aging_ms=1_000)
    tickets = loops.put(20, band="batch")
    loops.run(3_000)
    tickets += loops.put(30) + loops.put(20, band="interactive")
    assert misses(loops, tickets, within_ms=ONE_GRANT_MS) == []


@pytest.mark.parametrize("keys", [2, 4, 20])
def test_several_keys_carry_whole_tickets(keys):
    """No ticket goes in halves on two keys."""
    loops = asking(requests(30), keys=keys)
    assert misses(loops, loops.put(20 * keys), 120_000) == []


def test_what_is_given_back_counts_at_the_learned_ratio():
    """Input tokens with adjustment: a third of the estimates is used, of tickets of many sizes on two keys."""
    loops = asking(
        Bucket("input_tokens", 60_000, burst_ms=10_000, jitter_ms=0, rule="at_start_adjust"), keys=2
    )
    sizes = [500 + 371 * at % 600 for at in range(100)]
    for size in sizes:
        loops.put(1, tokens=(size, 0), used=size // 3)
    loops.run(60_000)
    assert not loops.waiting
    tickets = [ticket for size in sizes for ticket in loops.put(1, tokens=(size, 0), used=size // 3)]
    assert misses(loops, tickets, within_ms=max(sizes) // 2) == []


def test_lanes_that_share_an_account_are_told_of_each_other():
    """Tickets of another queue that came before count where the limit is of both."""
    loops = asking(requests(60), lanes=[LaneLimits("m1"), LaneLimits("m2")])
    tickets = loops.put(15, lane="m1") + loops.put(15, "B", lane="m2")
    assert "of other queues of the same accounts" in _after(loops, tickets[20])
    assert misses(loops, tickets) == []


def _after(loops: Once, ticket: str) -> str:
    loops.run(1)
    return explain(loops.rig, ticket).why


def test_limited_tenants_take_no_more_than_theirs():
    """Who waits for its tenant's own limit is told so; the others are told to go meanwhile."""
    tenants = (TenantLimits("x", lane=LaneLimits("*", (requests(60),))),)
    loops = asking(requests(240), tenants=tenants)
    limited, others = loops.put(15, tenant="x"), loops.put(40, tenant="y")
    assert "for its tenant's own limit of requests_per_minute; starts in" in _after(loops, limited[-1])
    assert misses(loops, limited + others, within_ms=ONE_GRANT_MS) == []


def pause_accounts(loops: Once, pauses: dict[str, int]) -> None:
    """The calls that run on these keys were answered with 429, of a resource that is not limited: nothing is cut."""
    rig, seen = loops.rig, set()
    for number in range(100):
        lease = explain(rig, f"t{number}")
        if lease.key_id in pauses and lease.key_id not in seen:
            seen.add(lease.key_id)
            rig.taken("A", settle(f"t{number}", 0, 0, pause_ms=pauses[lease.key_id], code=4))
    assert seen == set(pauses)


def test_no_start_is_expected_while_every_account_is_paused():
    """After the shortest pause only that account counts, until the other opens too."""
    loops = asking(requests(60), keys=2)
    loops.rig.taken("A", *[enqueue(f"t{at}", loops.rig.members["A"].limits) for at in range(4)])
    pause_accounts(loops, {"k0": 5_000, "k1": 9_000})
    tickets = loops.put(12)
    assert "while every account is paused by the provider for 5 s more; starts in about" in _after(
        loops, tickets[5]
    )
    assert misses(loops, tickets) == []


def test_the_head_counts_with_tenants_that_wake_before_it():
    """A higher band that waits for its tenant's own limit comes in between: nothing is told as certain."""
    tenants = (TenantLimits("x", lane=LaneLimits("*", (requests(60, burst_ms=1_000),))),)
    loops = asking(requests(30, burst_ms=10_000), tenants=tenants)
    loops.put(4)
    tickets = loops.put(8, tenant="x", band="interactive") + loops.put(4)
    loops.run(1)
    head = next(ticket for ticket in tickets[8:] if ticket in loops.waiting)
    assert (explain(loops.rig, head).is_exact, explain(loops.rig, head).ahead.higher > 0) == (False, True)
    assert misses(loops, tickets, within_ms=2_000) == []
