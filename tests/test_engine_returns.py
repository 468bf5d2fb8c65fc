"""Stories in which processes use limits by themselves and return that: the invariants of ENGINE.md §7 hold in them."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits
from tests.lua_redis import MiniRedis
from tests.oracle_returns import ReturningPair, kind_of, perform_or_return
from tests.oracle_stories import CALLS, MODEST, Act, acts, members, pools
from tests.pool_rig import Rig, pool_of, real_server

RETURNS = ("return", "return", "return again")
ANY = acts(*CALLS, *RETURNS, *RETURNS, "switch", "advance", "wake", "wake", "quiet")
LONG = st.lists(ANY, min_size=15, max_size=40)


def opened(pool: PoolLimits, fewer: bool = False) -> ReturningPair:
    """Two processes at an empty pool, and its oracle."""
    return ReturningPair(Rig(MiniRedis()), members(pool, fewer))


@settings(MODEST, max_examples=40)
@given(pools(), st.booleans(), LONG)
def test_2_oracle_agrees_with_returns_between_any_calls(
    pool: PoolLimits, fewer: bool, story: list[Act]
) -> None:
    """Levels, holds, leases, grants and wakes equal the oracle's, whatever is returned, or said again, in between."""
    pair = opened(pool, fewer)
    for act in story:
        perform_or_return(pair, act)
        pair.compare_overview()


@pytest.fixture(scope="module")
def url(server: PrivateServer) -> str:
    """A real server that all examples of a test share."""
    return server.url


@settings(MODEST, max_examples=15)
@given(
    pools(fastness=1_000), st.booleans(), st.lists(acts(*CALLS, *RETURNS, "nap"), min_size=20, max_size=50)
)
def test_2_oracle_agrees_with_returns_on_a_real_server(
    url: str, pool: PoolLimits, fewer: bool, story: list[Act]
) -> None:
    """On a real server, where limits refill within milliseconds, they equal it as well."""
    with real_server(url) as rig:
        pair = ReturningPair(rig, members(pool, fewer), ttl_s=0.03)
        for act in story:
            perform_or_return(pair, act)
        pair.compare_overview()


@settings(MODEST, max_examples=25)
@given(pools(), LONG)
def test_3_bounds_hold_with_returns(pool: PoolLimits, story: list[Act]) -> None:
    """No level passes its capacity, also where what was told in advance comes back; held are the holds in flight."""
    pair = opened(pool)
    for act in story:
        perform_or_return(pair, act)
        charges = [charge for lease in pair.oracle.leases for charge in lease.charges]
        for bucket in pair.oracle.every_bucket():
            assert bucket.level <= bucket.capacity
            assert bucket.held == sum(charge.hold for charge in charges if charge.bucket is bucket)


@settings(MODEST, max_examples=20)
@given(st.sampled_from((1, 2, 5)), LONG)
def test_5_concurrency_counts_what_was_returned(slots: int, story: list[Act]) -> None:
    """A returned lease may pass the slots; while as many are in flight, or more, no other is granted."""
    limits = pool_of(Bucket("input_tokens", 2_000), keys=2, slots=slots, lanes=[LaneLimits("big")])
    pair, before = opened(limits), {"d0": 0, "d1": 0}
    for act in story:
        perform_or_return(pair, act)
        shown = {name: domain["in_flight"] for name, domain in pair.rig.snapshot()["domains"].items()}
        assert shown == {name: pair.oracle.in_flight(name) for name in shown}
        if not act.kind.startswith("return"):
            assert all(shown[name] <= max(slots, before[name]) for name in shown)
        before = shown


@settings(MODEST, max_examples=25)
@given(pools(), st.booleans(), LONG, st.integers())
def test_6_idempotence_of_returns(pool: PoolLimits, fewer: bool, story: list[Act], seed: int) -> None:
    """A return repeated any number of times, between any other calls, changes nothing of all that is stored."""
    assert contents_after(pool, fewer, story, None) == contents_after(pool, fewer, story, Random(seed))


def contents_after(pool: PoolLimits, fewer: bool, story: list[Act], random: Random | None) -> object:
    """What Redis holds after a story, each act of which is followed by a registration; it repeats returns, or none."""
    pair = opened(pool, fewer)
    for act in story:
        perform_or_return(pair, act)
        lately = pair.returned_lately(act.process)
        pair.give_back(act.process, *(random.choices(lately, k=2) if random and lately else ()))
    return pair.rig.contents()


@settings(MODEST, max_examples=20)
@given(pools(), st.booleans(), LONG)
def test_7_conservation_of_returned_leases(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """After quiet and one TTL nothing is in flight, nothing is held and nothing waits, whoever brought it."""
    pair = opened(pool, fewer)
    for act in story:
        perform_or_return(pair, act)
    for process in pair.members:
        pair.step(process, *(["c", id] for id, who in pair.waiting.items() if who == process))
    for _ in range(4):
        pair.advance(5_000)
    shown = pair.rig.snapshot()
    assert (shown["leases"], shown["waiting"]) == (0, 0)
    assert {domain["in_flight"] for domain in shown["domains"].values()} == {0}
    assert {held for buckets in pair.rig.units().values() for _, held, _ in buckets} <= {0}


@settings(MODEST, max_examples=25)
@given(pools(), LONG, LONG, st.booleans())
def test_13_lost_writes_leave_the_debts_of_returns(
    pool: PoolLimits, before: list[Act], since: list[Act], is_flushed: bool
) -> None:
    """No level of a survivor is above what is in debt by its returns; its leases are there once, and repeats change nothing."""
    pair = opened(pool)
    for act in before:
        perform_or_return(pair, act)
    state = pair.rig.dump()
    for act in since:
        perform_or_return(pair, act)
    returns = [pair.any_return("A", Random(at)) for at in range(2)]
    pair.rig.restore({} if is_flushed else state)
    pair.rig.register("A", pool, is_lost=True, returns=returns)
    units = pair.rig.units()
    for field, kind, _, debt, unit in (lack for each in returns for lack in each[1]):
        domain, _, lane = field.rpartition("|")
        for at, bucket in enumerate(pair.oracle.buckets.get((domain, lane), ())):
            if kind_of(bucket) == kind:
                assert units[field][at][0] <= -debt * bucket.unit // unit
    asserted = {lease[0] for each in returns for lease in each[2]}
    held = pair.rig.snapshot()["leases"]
    assert held >= len(asserted) or not is_flushed
    for _ in range(2):
        pair.rig.register("A", pool, is_lost=False, returns=returns)
    assert (pair.rig.units(), pair.rig.snapshot()["leases"]) == (units, held)
