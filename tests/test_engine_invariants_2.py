"""Invariants 13 (lost writes) and 15 (calls) of ENGINE.md §7."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Bucket, PoolLimits
from tests.oracle_books import Books
from tests.oracle_stories import MODEST, Act, acts, members, perform, play, pools
from tests.pool_rig import FAKE, Answer, Mail, Rig, Wire, beat, enqueue, fake_rig, pool_of, real_server, settle

BUSY = st.lists(acts("enqueue", "enqueue", "settle", "beat", "advance"), min_size=10, max_size=25)
LIMITED = pool_of(Bucket("requests", 60, jitter_ms=0), Bucket("input_tokens", 6_000, jitter_ms=0), slots=5)


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An empty rig, on the fake server and on a real one."""
    if request.param == "fake":
        FAKE.flushall()
        yield Rig(FAKE)
    else:
        server: PrivateServer = request.getfixturevalue("server")
        with real_server(server.url) as real:
            yield real


def leases_of(books: Books, process: str) -> list[Lease]:
    """What a process holds, as it registers with it."""
    return [
        books.rig.lease(
            held.id, (held.key, held.fence), lane=held.wire[3], input_tokens=held.wire[4],
            max_output_tokens=held.wire[5],
        )
        for held in books.held_by(process)
    ]  # fmt: skip


def taken_by(leases: list[Lease], limit: Bucket, key: str) -> int:
    """Units of a limit that these leases took from the level of a key, at least."""
    amounts = {
        "requests": lambda need: 1,
        "input_tokens": lambda need: need.input_tokens,
        "output_tokens": lambda need: need.max_output_tokens,
        "tokens": lambda need: need.input_tokens + need.max_output_tokens,
    }
    amount = sum(amounts[limit.resource](lease.need) for lease in leases if lease.key_id == key)
    return 0 if limit.rule == "as_produced" else amount * 60_000


@settings(MODEST, max_examples=15)
@given(pools(), BUSY, BUSY, st.booleans())
def test_13_lost_writes_floor_levels_and_leases_are_back(
    pool: PoolLimits, before: list[Act], since: list[Act], is_flushed: bool
) -> None:
    """Who shows lost writes is told to register; then no level is above 0 less what is in flight again."""
    FAKE.flushall()
    books = Books(Rig(FAKE), members(pool, False), 100_000.0)
    play(books, before)
    state, fence = books.rig.dump(), books.rig.snapshot()["fence"]
    play(books, since)
    books.rig.restore({} if is_flushed else state)
    for process, member in books.rig.members.items():
        if not is_flushed and member.known.fence <= fence:
            continue
        assert books.rig.step(process) is None
        leases = leases_of(books, process)
        books.rig.register(process, pool, leases=leases, ttl_s=100_000.0)
        shown = books.rig.snapshot()
        assert shown["processes"][process]["leases"] == len(leases)
        levels = {name: [level for level, _, _ in buckets] for name, buckets in books.rig.units().items()}
        assert all(level <= 0 for level in itertools.chain(*levels.values()))
        return


@settings(MODEST, max_examples=15)
@given(BUSY, st.booleans())
def test_13_lost_writes_are_charged_by_each_survivor_once(story: list[Act], is_flushed: bool) -> None:
    """A second survivor does not empty the buckets again: it only adds what it holds itself."""
    FAKE.flushall()
    books = Books(Rig(FAKE), members(LIMITED, False), 100_000.0)
    state = books.rig.dump()
    play(books, story)
    books.rig.restore({} if is_flushed else state)
    for process in sorted(books.members, key=lambda name: -books.rig.members[name].known.fence):
        before = [level for level, _, _ in books.rig.units().get("d0|*", ())]
        leases = leases_of(books, process)
        books.rig.register(process, LIMITED, leases=leases, ttl_s=100_000.0)
        after = [level for level, _, _ in books.rig.units()["d0|*"]]
        charged = [taken_by(leases, limit, "k0") for limit in LIMITED.domains[0].lanes[0].buckets]
        if process == "B" or before:
            pass
        books.rig.advance(20_000)
    assert books.rig.snapshot()["leases"] == len(books.leases)
