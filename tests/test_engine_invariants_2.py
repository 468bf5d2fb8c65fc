"""Invariant 13 of ENGINE.md §7: lost writes are seen by the first who can, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Bucket, PoolLimits
from tests.lua_redis import MiniRedis
from tests.oracle_books import Books, Held
from tests.oracle_buckets import UNIT
from tests.oracle_stories import MODEST, Act, acts, members, play, pools
from tests.pool_rig import Rig, beat, cancel, fake_rig, open_rig, per_day, pool_of, settle

BUSY = st.lists(acts("enqueue", "enqueue", "settle", "beat", "advance"), min_size=10, max_size=25)
DAILY = pool_of(per_day(100))
FOREVER_S, FOREVER_MS = 100_000.0, 10**9


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A rig with processes A and B at a pool of 100 requests a day, on the fake server and on a real one."""
    with open_rig(request) as opened:
        for process in ("A", "B"):
            opened.register(process, DAILY)
        yield opened


def lease_of(rig: Rig, held: Held) -> Lease:
    """What a process holds, as it registers with it."""
    lane, input, output = held.wire[3:6]
    return rig.lease(held.id, (held.key, held.fence), lane=lane, input_tokens=input, max_output_tokens=output)


@settings(MODEST, max_examples=25)
@given(pools(), BUSY, BUSY, st.booleans())
def test_13_lost_writes_are_seen_by_any_survivor(
    pool: PoolLimits, before: list[Act], since: list[Act], is_flushed: bool
) -> None:
    """Who saw a later state is told to register; then no level is above 0, and its leases are there again."""
    books = Books(Rig(MiniRedis()), members(pool, False), FOREVER_S)
    play(books, before)
    state, fence = books.rig.dump(), books.rig.snapshot()["fence"]
    play(books, since)
    books.rig.restore({} if is_flushed else state)
    for process, member in books.rig.members.items():
        if not is_flushed and member.known.fence <= fence:
            continue
        assert books.rig.step(process) is None
        leases = [lease_of(books.rig, held) for held in books.held_by(process)]
        books.rig.register(process, pool, leases=leases, ttl_s=FOREVER_S)
        assert books.rig.taken(process, beat(*((lease.ticket, 0) for lease in leases))).result[1] == []
        lost = [held for held in books.held_by(process) if is_flushed or held.fence > fence]
        assert_levels(books, pool, lost)
        return


def assert_levels(books: Books, pool: PoolLimits, asserted: list[Held]) -> None:
    """No level is above 0 less what was asserted again."""
    units, owners = books.rig.units(), dict(pool.keys)
    for domain in pool.domains:
        for at, limit in enumerate(domain.lanes[0].buckets):
            charged = sum(charged_by(held, limit) for held in asserted if domain.name in owners[held.key])
            assert units[f"{domain.name}|*"][at][0] <= -charged


def charged_by(held: Held, limit: Bucket) -> int:
    """Units that a lease takes from a level at its start, at least."""
    input, output = held.wire[4:6]
    amounts = {"requests": 1, "input_tokens": input, "output_tokens": output, "tokens": input + output}
    return 0 if limit.rule == "as_produced" else amounts[limit.resource] * UNIT


def grants(rig: Rig, process: str, *tickets: str) -> list[Lease]:
    """Take leases at once."""
    return [rig.lease(ticket, rig.enqueue(process, ticket)[1:]) for ticket in tickets]


def test_13_lost_writes_after_flushall_charge_what_is_in_flight(rig: Rig) -> None:
    """After FLUSHALL every survivor is told to register, and levels begin at 0 less what is in flight."""
    mine, theirs = grants(rig, "A", "a1", "a2"), grants(rig, "B", "b1")
    rig.client.flushall()
    assert rig.step("A") is None
    rig.register("A", DAILY, leases=mine)
    assert rig.units()["d0|*"][0][0] == -2 * UNIT
    assert rig.step("B") is None
    rig.register("B", DAILY, leases=theirs)
    assert rig.units()["d0|*"][0][0] == -3 * UNIT
    assert rig.snapshot()["domains"]["d0"]["in_flight"] == 3


def test_13_lost_writes_empty_the_buckets_once() -> None:
    """A second survivor does not empty again what has refilled since: it adds only what it holds."""
    limits = pool_of(Bucket("requests", 60, jitter_ms=0))
    rig = fake_rig(limits, "A", "B", ttl_s=FOREVER_S)
    mine, theirs = grants(rig, "A", "a1"), grants(rig, "B", "b1")
    rig.client.flushall()
    rig.register("A", limits, leases=mine, ttl_s=FOREVER_S)
    rig.advance(31_000)
    rig.register("B", limits, leases=theirs, ttl_s=FOREVER_S)
    assert rig.bucket()["level"] == 29


def test_13_lost_writes_are_noticed_even_if_a_new_process_came_first(rig: Rig) -> None:
    """A new process finds a new pool; the first survivor after it still empties the buckets."""
    mine = grants(rig, "A", "a1")
    rig.client.flushall()
    rig.register("new", DAILY)
    assert rig.bucket()["level"] == 100
    assert rig.step("A") is None
    rig.register("A", DAILY, leases=mine)
    assert rig.units()["d0|*"][0][0] == -1 * UNIT


def test_13_lost_writes_by_an_older_state_keep_fences_growing(rig: Rig) -> None:
    """After an older state came back, its next fence is still above all that survivors have seen."""
    grants(rig, "A", "a1")
    state = rig.dump()
    later = grants(rig, "A", "a2", "a3")
    rig.restore(state)
    assert rig.step("A") is None
    rig.register("A", DAILY, leases=later)
    assert rig.taken("A").fence >= later[-1].fence
    assert rig.snapshot()["leases"] == 3


def test_13_lost_writes_of_a_grant_bring_back_the_lease(rig: Rig) -> None:
    """A ticket that waits in the older state, but was granted since, is a lease again, and waits no more."""
    rig.switch("k0", "pause", 60_000)
    rig.enqueue("A", "a1")
    state = rig.dump()
    rig.switch("k0", "resume")
    [grant] = rig.taken("A").grants
    rig.restore(state)
    assert rig.step("A") is None
    rig.register("A", DAILY, leases=[rig.lease("a1", grant[1:])])
    shown = rig.snapshot()
    assert (shown["leases"], shown["waiting"]) == (1, 0)
    assert shown["domains"]["d0"]["in_flight"] == 1


def test_13_lost_writes_show_in_a_heartbeat(rig: Rig) -> None:
    """A lease that is neither known nor ended shows lost writes, even to who has seen no later fence."""
    state = rig.dump()
    known = replace(rig.members["B"].known)
    [lease] = grants(rig, "B", "b1")
    rig.restore(state)
    rig.members["B"].known = known  # it was told of the grant by mail: that carries no fence
    assert rig.taken("B", beat(("b1", 0))).result == ["h", [["b1", ""]], []]
    rig.register("B", DAILY, leases=[lease], is_lost=True)
    assert rig.units()["d0|*"][0][0] == -1 * UNIT
    assert rig.snapshot()["leases"] == 1


def test_13_lost_writes_leave_waiters_their_ids(rig: Rig) -> None:
    """Who waited enqueues again under the same id, and is granted once."""
    rig.switch("k0", "pause", 60_000)
    rig.enqueue("A", "a1")
    rig.client.flushall()
    rig.register("A", DAILY)
    assert rig.enqueue("A", "a1", wait_ms=FOREVER_MS) == ["q"]
    assert rig.enqueue("A", "a1", wait_ms=FOREVER_MS) == ["q"]
    assert rig.snapshot()["waiting"] == 1


def test_13_lost_writes_are_not_seen_where_there_are_none(rig: Rig) -> None:
    """Tickets that ended are remembered: late heartbeats, settles and cancels do not look like lost writes."""
    grants(rig, "A", "a1", "a2")
    rig.taken("A", settle("a1"), cancel("a2"))
    assert rig.taken("A", beat(("a1", 0), ("a2", 0))).result == ["h", [["a1", "s"], ["a2", "c"]], []]
    assert rig.step("B") is not None
