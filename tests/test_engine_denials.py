"""Denied at once is only who could not have gone in time (ENGINE.md §4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits
from tests.lua_redis import MiniRedis
from tests.oracle_books import Books
from tests.oracle_stories import MODEST, Act, acts, members, perform, play, pools, wire_of
from tests.pool_rig import Rig, Wire, cancel, enqueue, fake_rig, pool_of, settle

FOREVER_S, FOREVER_MS = 100_000.0, 10**9
PATIENCE_MS = 2_000
STORY = st.lists(acts("enqueue", "enqueue", "enqueue", "settle", "advance"), min_size=8, max_size=25)


def told(pool: PoolLimits, story: list[Act]) -> Books:
    """The books of a pool after a story."""
    books = Books(Rig(MiniRedis()), members(pool, False), FOREVER_S)
    books.patience_ms = (FOREVER_MS,) * 3
    play(books, story)
    return books


def behind(books: Books, at: int, wait_ms: int) -> tuple[str, Wire]:
    """A process, and its enqueue behind one of the tickets that it has waiting, with so much patience."""
    waiting = [(who, wire) for _, who, wire in books.sent if wire[0] == "e" and wire[1] in books.waiting]
    who, wire = waiting[at % len(waiting)]
    return who, ["e", f"behind {wire[1]}", *wire[2:6], wait_ms, *wire[7:]]


def favour(books: Books, process: str, mine: Wire) -> None:
    """Let nothing be in the way but what waits before it: what is in flight used nothing, others give up."""
    ends = [settle(held.id, 0, 0) for held in books.leases.values()]
    for first in range(0, len(ends), 100):
        books.step(process, *ends[first : first + 100])
    for other in books.members:
        given_up = [
            cancel(wire[1])
            for _, who, wire in list(books.sent)
            if who == other
            and wire[1] in books.waiting
            and not (who == process and flow_of(wire) == flow_of(mine))
        ]
        for first in range(0, len(given_up), 100):
            books.step(other, *given_up[first : first + 100])


def flow_of(wire: Wire) -> tuple[str, ...]:
    """Key set, lane, band and tenant of an enqueue."""
    return wire[2], wire[3], wire[7], wire[8]


def is_denied_rightly(tell: Callable[[], Books], at: int) -> bool:
    """Whether a ticket was denied before its deadline; then it is not granted by then, even if all else gives way."""
    books = tell()
    if not books.waiting:
        return False
    process, wire = behind(books, at, PATIENCE_MS)
    if books.step(process, wire).results[0][:2] != ("d", "timeout"):
        return False
    books = tell()
    process, wire = behind(books, at, FOREVER_MS)
    assert books.step(process, wire).results[0] == ("q",)
    deadline = books.now + PATIENCE_MS
    favour(books, process, wire)
    while books.now < deadline:
        assert wire[1] in books.waiting
        books.advance(max(1, min(books.next_wake(), deadline - books.now)), first=process)
    assert wire[1] in books.waiting
    return True


@settings(MODEST, max_examples=80)
@given(pools(), STORY, st.integers(0, 20))
def test_denied_early_is_only_who_could_not_have_gone(pool: PoolLimits, story: list[Act], at: int) -> None:
    """Who was denied before its deadline is not granted by then, even if all else gives way."""
    is_denied_rightly(lambda: told(pool, story), at)


def crowded(seed: int) -> Books:
    """The books of a crowd of keys after some bursts."""
    random = Random(seed)
    names = random.sample(("requests", "input_tokens", "tokens"), random.randint(1, 2))
    buckets = [Bucket(name, 600, burst_ms=random.choice((1_000, 4_000)), jitter_ms=0) for name in names]
    pool = pool_of(*buckets, keys=random.randint(9, 14), slots=random.choice((0, 0, 3)))
    books = Books(Rig(MiniRedis()), members(pool, False), FOREVER_S)
    books.patience_ms = (FOREVER_MS,) * 3
    for _ in range(random.randint(4, 12)):
        process, tokens = random.choice("AB"), (random.choice((1, 5, 10)), random.choice((0, 5)))
        burst = Act("enqueue", process, tokens=tokens)
        books.step(process, *(wire_of(books, burst) for _ in range(random.randint(1, 60))))
        for kind in random.choices(("settle", "cancel", "advance"), k=random.randint(0, 3)):
            perform(books, Act(kind, process, random.randint(0, 11), tokens=tokens))
    return books


def test_denied_early_in_a_crowd_is_only_who_could_not_have_gone() -> None:
    """The same of many keys with equal limits, whose buckets are not looked at one by one."""
    denied = [seed for seed in range(9) if is_denied_rightly(lambda seed=seed: crowded(seed), seed)]
    assert len(denied) >= 3


def test_hopeless_ticket_is_denied_at_once_and_told_when() -> None:
    """Behind 300 requests at one a second, who waits at most a minute is denied, and told how long it takes."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0))
    rig = fake_rig(limits)
    for first in range(0, 301, 100):
        rig.taken("A", *(enqueue(f"t{first + i}", limits) for i in range(100) if first + i <= 300))
    denied, reason, wait_ms, *_ = rig.enqueue("A", "hopeless", wait_ms=60_000)
    assert (denied, reason, wait_ms) == ("d", "timeout", 301_000)
    assert rig.enqueue("A", "patient", wait_ms=301_000) == ["q"]


@pytest.mark.parametrize("keys", [9, 10, 40])
def test_hopeless_ticket_of_a_crowd_is_denied_at_once(keys: int) -> None:
    """Behind 30 requests for each of many accounts of one a second: who waits 28 s at most is denied, 31 s is served."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0), keys=keys)
    rig = fake_rig(limits)
    for first in range(0, 31 * keys, 100):
        asked = range(first, min(first + 100, 31 * keys))
        rig.taken("A", *(enqueue(f"t{i}", limits) for i in asked))
    denied, reason, wait_ms, *_ = rig.enqueue("A", "hopeless", wait_ms=28_000)
    assert (denied, reason) == ("d", "timeout")
    assert 28_000 < wait_ms <= 31_000
    assert rig.enqueue("A", "patient", wait_ms=31_000) == ["q"]


def test_crowd_with_unlike_limits_denies_nobody_early() -> None:
    """What its first key is limited to says nothing of the others."""
    slow, fast = (Bucket("requests", limit, burst_ms=60_000 // limit, jitter_ms=0) for limit in (60, 600))
    limits = pool_of(fast, keys=9)
    limits = replace(limits, domains=(DomainLimits("d0", (LaneLimits("*", (slow,)),)), *limits.domains[1:]))
    rig = fake_rig(limits)
    rig.taken("A", *(enqueue(f"t{i}", limits) for i in range(9)))
    assert rig.enqueue("A", "waits", wait_ms=300) == ["q"]
    rig.advance(100)
    assert [grant[0] for grant in rig.taken("A").grants] == ["waits"]


def test_part_of_what_a_crowd_lacks_may_have_come_back() -> None:
    """What a call gives back to one of many accounts is known before the index is: it shortens the wait."""
    limits = pool_of(Bucket("input_tokens", 600, burst_ms=1_000, jitter_ms=0), keys=9)
    rig = fake_rig(limits)
    rig.taken("A", *(enqueue(f"t{i}", limits, tokens=(5, 0)) for i in range(18)))
    assert rig.enqueue("A", "denied", tokens=(10, 0), wait_ms=900)[:2] == ["d", "timeout"]
    told = rig.taken("A", cancel("t7"), enqueue("waits", limits, tokens=(10, 0), wait_ms=900)).results
    assert told[1] == ["q"]
    rig.advance(500)
    assert [grant[0] for grant in rig.taken("A").grants] == ["waits"]


def test_account_of_a_crowd_that_is_free_again_denies_nobody() -> None:
    """What a call gives back counts for those that it asks for."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0), keys=9)
    rig = fake_rig(limits)
    rig.taken("A", *(enqueue(f"t{i}", limits) for i in range(9)))
    assert rig.enqueue("A", "denied", wait_ms=900)[:2] == ["d", "timeout"]
    assert rig.taken("A", cancel("t3"), enqueue("served", limits, wait_ms=900)).results[1][0] == "g"


def test_only_what_waits_in_its_own_flow_counts() -> None:
    """Another tenant's backlog, or a lower band's, denies nobody: it may be overtaken."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0))
    rig = fake_rig(limits)
    rig.taken("A", *(enqueue(f"t{i}", limits) for i in range(100)))
    assert rig.enqueue("A", "tenant", wait_ms=5_000, tenant="x") == ["q"]
    assert rig.enqueue("A", "band", wait_ms=5_000, band="batch") == ["q"]
    assert rig.enqueue("A", "behind", wait_ms=5_000)[:2] == ["d", "timeout"]


def test_need_above_the_capacity_denies_nobody() -> None:
    """A need above the capacity waits for a full bucket only: it is not denied for what it cannot find there."""
    limits = pool_of(Bucket("input_tokens", 600, burst_ms=2_000, jitter_ms=0))
    rig = fake_rig(limits)
    rig.enqueue("A", "small", tokens=(10, 0))
    assert rig.enqueue("A", "large", tokens=(400, 0), wait_ms=2_000) == ["q"]
    rig.advance(1_000)
    assert [grant[0] for grant in rig.taken("A").grants] == ["large"]


def test_what_may_come_back_denies_nobody() -> None:
    """Where calls may use less than they reserved, and nothing is known of that, nobody is denied early."""
    limits = pool_of(Bucket("input_tokens", 600, burst_ms=10_000, jitter_ms=0, rule="at_start_adjust"))
    rig = fake_rig(limits)
    rig.enqueue("A", "t0", tokens=(100, 0))
    rig.taken("A", *(enqueue(f"t{i}", limits, tokens=(100, 0)) for i in range(1, 50)))
    assert rig.enqueue("A", "hopes", tokens=(100, 0), wait_ms=1_000) == ["q"]


def test_key_that_is_out_for_a_time_denies_nobody() -> None:
    """A key that is out of service for a time may be back before the deadline: what it has counts."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0), keys=2)
    rig = fake_rig(limits)
    rig.switch("k1", "pause", 500)
    rig.enqueue("A", "lease")
    assert rig.enqueue("A", "waits", wait_ms=600) == ["q"]
    rig.advance(500)
    assert [grant[1] for grant in rig.taken("A").grants] == ["k1"]


def test_denial_leaves_no_trace_in_the_queue() -> None:
    """Who is denied neither waits nor counts for those who come after."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0))
    rig = fake_rig(limits)
    rig.taken("A", *(enqueue(f"t{i}", limits) for i in range(12)))
    before = rig.snapshot()["queues"]
    assert rig.enqueue("A", "denied", wait_ms=5_000)[0] == "d"
    assert rig.snapshot()["queues"] == before
