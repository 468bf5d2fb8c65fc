"""Denied at once is only who could not have gone in time (ENGINE.md §4)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, PoolLimits
from tests.oracle_books import Books
from tests.oracle_stories import MODEST, Act, acts, members, play, pools
from tests.pool_rig import FAKE, Rig, Wire, cancel, enqueue, fake_rig, pool_of, settle

FOREVER_S, FOREVER_MS = 100_000.0, 10**9
PATIENCE_MS = 2_000
STORY = st.lists(acts("enqueue", "enqueue", "enqueue", "settle", "advance"), min_size=8, max_size=25)


def name_of(act: Act) -> str:
    """One id per probe."""
    return f"probe {act}"


def probe(books: Books, act: Act, wait_ms: int) -> Wire:
    """The enqueue that an act stands for, with so much patience."""
    tenant = books.members["A"].tenants[0].name if books.members["A"].tenants and act.tenant else "default"
    options = {"lane": act.lane, "tokens": act.tokens, "band": act.band, "tenant": tenant}
    return enqueue(name_of(act), books.members[act.process], wait_ms=wait_ms, **options)  # type: ignore[arg-type]


def favour(books: Books, act: Act, flow: tuple[str, ...]) -> None:
    """Let nothing be in the way but what waits before it: what is in flight used nothing, others give up."""
    used = [settle(held.id, 0, 0) for held in books.leases.values()]
    books.step(act.process, *used)
    others = {
        wire[1]: who for _, who, wire in books.sent if wire[1] in books.waiting and flow_of(wire) != flow
    }
    for id, who in others.items():
        books.step(who, cancel(id))


def flow_of(wire: Wire) -> tuple[str, ...]:
    """Key set, lane, band and tenant of an enqueue."""
    return wire[2], wire[3], wire[7], wire[8]


@settings(MODEST, max_examples=60)
@given(pools(), STORY, st.lists(acts("enqueue"), min_size=6, max_size=6))
def test_denied_early_is_only_who_could_not_have_gone(
    pool: PoolLimits, story: list[Act], probes: list[Act]
) -> None:
    """Who was denied before its deadline is not granted by then even if all else had given way."""
    FAKE.flushall()
    books = Books(Rig(FAKE), members(pool, False), FOREVER_S)
    books.patience_ms = (FOREVER_MS,) * 3
    play(books, story)
    for act in probes:
        books.step(act.process)
        state, known = books.rig.dump(), replace(books.rig.members[act.process].known)
        result = books.step(act.process, probe(books, act, PATIENCE_MS)).results[0]
        books.rig.restore(state)
        books.rig.members[act.process].known = known
        if result[:2] == ("d", "timeout"):
            assert_in_vain(books, act)
            return


def assert_in_vain(books: Books, act: Act) -> None:
    """The probe waits, all else gives way, and yet it is not granted before its deadline."""
    wire = probe(books, act, FOREVER_MS)
    start = books.now
    books.ends.pop(name_of(act), None)
    assert books.step(act.process, wire).results[0] == ("q",)
    favour(books, act, flow_of(wire))
    while name_of(act) in books.waiting and books.now < start + PATIENCE_MS:
        books.advance(min(books.next_wake(), start + PATIENCE_MS - books.now), first=act.process)
    assert name_of(act) in books.waiting or books.now >= start + PATIENCE_MS


def test_hopeless_ticket_is_denied_at_once_and_told_when() -> None:
    """Behind 300 requests at one a second, who waits at most a minute is denied, and told how long it takes."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0))
    rig = fake_rig(limits)
    for first in range(0, 301, 100):
        rig.taken("A", *(enqueue(f"t{first + i}", limits) for i in range(100) if first + i <= 300))
    denied, reason, wait_ms, *_ = rig.enqueue("A", "hopeless", wait_ms=60_000)
    assert (denied, reason, wait_ms) == ("d", "timeout", 301_000)
    assert rig.enqueue("A", "patient", wait_ms=301_000) == ["q"]


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
