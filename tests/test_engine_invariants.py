"""The invariants of ENGINE.md §7 that hold after every call, each as a property of any story."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits
from tests.lua_redis import MiniRedis
from tests.oracle_books import Books, Call
from tests.oracle_buckets import OracleBucket
from tests.oracle_ledger import Ledger
from tests.oracle_stories import CALLS, LIMITS, MODEST, Act, acts, limits, members, perform, play, pools
from tests.pool_rig import Rig, pool_of

LONG = st.lists(acts(), min_size=15, max_size=40)
FOREVER_S = 100_000.0
LEDGER_ACTS = (
    "enqueue",
    "enqueue",
    "settle",
    "settle",
    "settle unknown",
    "cancel",
    "beat",
    "wake",
    "advance",
)


def opened(pool: PoolLimits, *, ttl_s: float = 15.0, fewer: bool = False) -> Books:
    """Two processes at an empty pool."""
    return Books(Rig(MiniRedis()), members(pool, fewer), ttl_s)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """A pool with one key and one minute limit; leases live for ever."""
    limit = draw(st.sampled_from(("requests", "input_tokens", "output_tokens", "tokens")).flatmap(one_limit))
    ledger = Ledger(Rig(MiniRedis()), members(pool_of(limit), False), FOREVER_S)
    ledger.keep(limit)
    return ledger


def one_limit(resource: str) -> st.SearchStrategy[Bucket]:
    return limits(resource, 1)


def untagged(story: list[Act]) -> list[Act]:
    """The story with a tag of its own for each act, so that nothing is learned."""
    return [Act(a.kind, a.process, a.at, "*", a.tokens, f"tag{i}") for i, a in enumerate(story)]


@settings(MODEST, max_examples=30)
@given(ledgers(), st.lists(acts(*LEDGER_ACTS), min_size=20, max_size=50))
def test_1_window_never_passes_capacity_and_refill(ledger: Ledger, story: list[Act]) -> None:
    """In any window, what is charged net of adjustments is at most capacity + limit x ticks + debts."""
    play(ledger, untagged(story))
    ledger.read()
    assert ledger.worst_window() <= 0


@settings(MODEST, max_examples=20)
@given(ledgers(), st.lists(acts(*LEDGER_ACTS), min_size=20, max_size=40))
def test_3_bounds_of_level_and_held(ledger: Ledger, story: list[Act]) -> None:
    """A level stays between its debts and its capacity, and held is the sum of the holds in flight."""
    for act in untagged(story):
        perform(ledger, act)
        ledger.read()
        level, held, _ = ledger.rig.units()["d0|*"][0]
        assert -ledger.debt <= level <= ledger.bucket.capacity
        assert held == ledger.held


@settings(MODEST, max_examples=25)
@given(pools(), st.booleans(), LONG, st.lists(acts("enqueue", "enqueue now"), min_size=3, max_size=6))
def test_4_blocked_changes_nothing_but_its_queue(
    pool: PoolLimits, fewer: bool, story: list[Act], late: list[Act]
) -> None:
    """A ticket that is not granted changes no level, hold, lease, slot or fence: only its queue."""
    books = opened(pool, fewer=fewer)
    play(books, story)
    for act in late:
        books.step(act.process)
        before = settled_state(books.rig)
        perform(books, act)
        if books.told.results[0][0] != "g":
            assert settled_state(books.rig) == before


def settled_state(rig: Rig) -> object:
    """All that a waiting ticket must leave alone."""
    shown = rig.snapshot()
    return rig.units(), shown["domains"], shown["keys"], shown["leases"], shown["fence"]


@settings(MODEST, max_examples=20)
@given(st.sampled_from((1, 2, 5)), st.booleans(), LONG)
def test_5_concurrency_is_never_exceeded(slots: int, has_limit: bool, story: list[Act]) -> None:
    """Leases in flight in a domain are never more than its slots, whatever happens."""
    limit = (Bucket("input_tokens", 2_000),) if has_limit else ()
    books = opened(pool_of(*limit, keys=2, slots=slots, lanes=[LaneLimits("big")]), ttl_s=FOREVER_S)
    for act in story:
        perform(books, act)
        in_flight = [sum(held.key == key for held in books.leases.values()) for key in ("k0", "k1")]
        shown = [domain["in_flight"] for _, domain in sorted(books.rig.snapshot()["domains"].items())]
        assert shown == in_flight
        assert max(in_flight) <= slots


@settings(MODEST, max_examples=15)
@given(pools(), st.booleans(), LONG)
def test_7_conservation_every_ticket_ends_once(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """Every ticket ends once, settled, cancelled or expired; after quiet and one TTL nothing is left."""
    books = opened(pool, fewer=fewer)
    play(books, story)
    for process in books.members:
        waiting = [["c", id] for id, who in books.waiting.items() if who == process]
        books.step(process, *waiting)
    for _ in range(4):
        books.advance(5_000)
    assert max(map(len, ends_of(books).values()), default=0) <= 1
    shown = books.rig.snapshot()
    assert (shown["leases"], shown["waiting"]) == (0, 0)
    for domain in shown["domains"].values():
        assert domain["in_flight"] == 0
        assert all(bucket["held"] == 0 for lane in domain["lanes"].values() for bucket in lane or ())


def ends_of(books: Books) -> dict[str, set[str]]:
    """Per ticket every end that anybody was told of; a late settle of an expired lease is told `s`."""
    ends: dict[str, set[str]] = {}
    for call in books.calls:
        for wire, result in zip(call.operations, call.results, strict=True):
            if result[0] in "ec" and result[1] in ("s", "c", "x"):
                ends.setdefault(wire[1], set()).add(result[1])
    return ends


@settings(MODEST, max_examples=40)
@given(
    pools(), st.lists(acts("enqueue", "enqueue", "settle", "throttle", "advance"), min_size=10, max_size=30)
)
def test_8_exact_wake_and_not_a_tick_earlier(pool: PoolLimits, story: list[Act]) -> None:
    """At the time that the first head was told it is granted, and one tick earlier it is not."""
    books = opened(replace(pool, tenants=()), ttl_s=FOREVER_S)
    books.patience_ms = (10**9, 10**9, 10**9)
    play(books, [replace(act, band="normal") for act in story])
    wakes = {wake for process in books.members for wake in books.step(process).wakes}
    arrived = [wire[1] for _, _, wire in books.sent if wire[1] in books.waiting]
    heads = [wake for wake in wakes if wake[2] == arrived[0]]  # others may be kept waiting by it
    owner, _, head, ms = heads[0] if heads else ("", "", "", 0)
    if not 0 < ms < 3_000_000:
        return
    books.rig.advance(ms - 1)
    books.step(owner)
    assert head in books.waiting
    books.rig.advance(1)
    books.step(owner)
    assert head in books.leases


@settings(MODEST, max_examples=25)
@given(pools(), st.booleans(), LONG)
def test_9_order_of_arrival_within_queue_band_and_tenant(
    pool: PoolLimits, fewer: bool, story: list[Act]
) -> None:
    """Within queue, band and tenant, grants come in the order of arrival."""
    books = opened(pool, fewer=fewer)
    play(books, story)
    arrivals = [wire[1] for _, _, wire in books.sent if wire[0] == "e"]
    for flow in {held.flow for held in books.grants}:
        granted = sorted((held for held in books.grants if held.flow == flow), key=lambda held: held.fence)
        places = [arrivals.index(held.id) for held in granted]
        assert places == sorted(places)


@settings(MODEST, max_examples=20)
@given(pools(), st.booleans(), LONG)
def test_16_work_conservation_after_every_step(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """After every step each queue is empty or its head is blocked: a step that asks nothing grants nothing."""
    books = opened(pool, fewer=fewer)
    for act in story:
        perform(books, act)
        for process in books.members:
            assert not books.step(process).grants


@settings(MODEST, max_examples=20)
@given(pools(), st.lists(acts(*CALLS, "advance", "wake", "quiet"), min_size=10, max_size=30), st.integers())
def test_6_idempotence_of_every_operation(pool: PoolLimits, story: list[Act], seed: int) -> None:
    """Any operation repeated any number of times, interleaved with any others, counts once."""
    books = opened(pool)
    play(books, story)
    once, often = replayed(pool, books.calls, None), replayed(pool, books.calls, Random(seed))
    assert once == often


def replayed(pool: PoolLimits, calls: list[Call], random: Random | None) -> object:
    """The state after these calls, each followed by another of its process: that repeats, or says nothing."""
    books = opened(pool)
    for call in calls:
        books.rig.time_ms = call.at
        books.step(call.process, *call.operations)
        lately = [
            wire
            for at, process, wire in books.sent
            if process == call.process and at > call.at - 50_000 and (wire[0] != "h" or at == call.at)
        ]  # a heartbeat renews, whenever it comes
        repeats = random.choices(lately, k=random.randint(1, 3)) if random and lately else []
        books.step(call.process, *repeats)
    return levels_of(pool, books), books.rig.snapshot()


def levels_of(pool: PoolLimits, books: Books) -> list[tuple[int, int]]:
    """Every level and hold by now, whenever it was written."""
    units = books.rig.units()
    return [
        (OracleBucket(limit, 0).level_after(level, ms, books.now), held)
        for domain in pool.domains
        for lane in domain.lanes
        for limit, (level, held, ms) in zip(lane.buckets, units[f"{domain.name}|{lane.lane}"], strict=True)
    ]


@st.composite
def shared_limits(draw: st.DrawFn) -> tuple[Bucket, ...]:
    """One or two limits that both lanes share."""
    names = draw(st.lists(st.sampled_from(sorted(LIMITS)), min_size=1, max_size=2, unique=True))
    return tuple(draw(limits(name, 1)) for name in names)


@settings(MODEST, max_examples=60)
@given(
    shared_limits(),
    st.sampled_from((0, 2)),
    st.lists(acts("enqueue", "settle unknown", "advance"), max_size=20),
)
def test_10_head_keeps_its_projected_start(shared: tuple[Bucket, ...], slots: int, story: list[Act]) -> None:
    """Whatever later tickets of another lane take, a rate-blocked head starts when it was told, at the latest."""
    own = Bucket("input_tokens", 600, jitter_ms=0)
    books = opened(pool_of(*shared, slots=slots, lanes=[LaneLimits("big", (own,))]), ttl_s=FOREVER_S)
    books.patience_ms = (10**9, 10**9, 10**9)
    books.step("A", books.enqueue("A", lane="big", tokens=(600, 0)))
    books.step("A", books.settle_one("A", 0, (None, None)))
    wakes = books.step("A", books.enqueue("A", lane="big", tokens=(300, 20))).wakes
    if not wakes:
        return
    [(_, _, head, ms)] = wakes
    due = books.now + ms
    for act in story:
        if act.kind != "advance" or books.now + 16_000 < due:
            perform(books, replace(act, lane="*"))
    books.advance(due - books.now)
    assert head not in books.waiting
