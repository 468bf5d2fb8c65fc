"""What may go while a head is blocked: whatever it leaves over, and nothing that it needs (ENGINE.md §4)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits
from tests.oracle_books import Books
from tests.oracle_stories import MODEST, Act, acts, members, perform
from tests.pool_rig import Rig, enqueue, fake_rig, mini_rig, pool_of, settle

FOREVER_S, FOREVER_MS = 100_000.0, 10**9
TOKENS = Bucket("input_tokens", 6_000, burst_ms=1_000, jitter_ms=0)


def blocked_rig(limits: PoolLimits) -> Rig:
    """A rig whose tenant `large` waits 400 ms for 90 tokens of k1, while k0 has 40 of 100 left."""
    rig = fake_rig(limits, "A", "B")
    for key, eaten in (("k0", 60), ("k1", 50)):
        assert rig.enqueue("A", f"eats {key}", tokens=(eaten, 0), preferred=key)[1] == key
    assert rig.enqueue("A", "large", tokens=(90, 0), tenant="large") == ["q"]
    return rig


def test_leftovers_of_another_key_go_to_a_later_tenant() -> None:
    """A head that waits for one key leaves the other to what fits there, of its band or a lower one."""
    rig = blocked_rig(pool_of(TOKENS, keys=2))
    assert rig.enqueue("A", "small", tokens=(20, 0), tenant="small")[:2] == ["g", "k0"]
    assert rig.enqueue("B", "low", tokens=(20, 0), tenant="large", band="batch")[:2] == ["g", "k0"]


def test_what_a_head_needs_is_kept_for_it() -> None:
    """On the key for which the head waits nothing is left over, though a small request could be paid."""
    rig = blocked_rig(pool_of(TOKENS, keys=2))
    assert rig.enqueue("A", "small", tokens=(41, 0), tenant="small", preferred="k1") == ["q"]
    rig.advance(400)
    assert [grant[:2] for grant in rig.taken("A").grants] == [["large", "k1"], ["small", "k0"]]


def test_nothing_overtakes_inside_a_flow() -> None:
    """A tenant's own small request waits behind its large one, in whichever process."""
    rig = blocked_rig(pool_of(TOKENS, keys=2))
    assert rig.enqueue("A", "own", tokens=(1, 0), tenant="large") == ["q"]
    assert rig.enqueue("B", "own too", tokens=(1, 0), tenant="large") == ["q"]


def test_a_flow_goes_on_while_leftovers_last() -> None:
    """Behind a blocked head a tenant is granted one ticket after another, until the leftovers end."""
    limits = pool_of(TOKENS, keys=2)
    rig = blocked_rig(limits)
    results = rig.taken(
        "A", *(enqueue(f"t{i}", limits, tokens=(15, 0), tenant="small") for i in range(4))
    ).results
    assert [result[0] for result in results] == ["g", "g", "q", "q"]


def test_scan_stops_after_eight_flows_that_cannot_go() -> None:
    """Leftovers are offered to so many other flows that eight are passed over, and to none after them."""
    limits = pool_of(TOKENS, keys=2)
    for many, expected in ((7, "g"), (8, "q")):
        rig = blocked_rig(limits)
        rig.taken("A", *(enqueue(f"p{i}", limits, tokens=(50, 0), tenant=f"t{i}") for i in range(many)))
        assert rig.enqueue("A", "fits", tokens=(1, 0), tenant="small")[0] == expected


def test_heads_of_two_queues_reserve_in_order_of_arrival() -> None:
    """What is left over behind one queue's head is not taken from another queue's."""
    limits = pool_of(TOKENS, lanes=[LaneLimits("a"), LaneLimits("b")])
    rig = fake_rig(limits)
    rig.enqueue("A", "eater", tokens=(100, 0), lane="a")
    rig.enqueue("A", "first", tokens=(50, 0), lane="a")
    rig.enqueue("A", "second", tokens=(40, 0), lane="b")
    rig.enqueue("A", "third", tokens=(1, 0), lane="a", tenant="x")
    rig.advance(500)
    assert [grant[0] for grant in rig.taken("A").grants] == ["first"]
    rig.advance(400)
    assert [grant[0] for grant in rig.taken("A").grants] == ["second"]


@settings(MODEST, max_examples=60)
@given(
    st.booleans(),
    st.sampled_from((0, 3)),
    st.lists(acts("enqueue", "settle unknown", "advance"), max_size=25),
)
def test_10_head_keeps_its_start_whatever_goes_behind_it(
    is_apart: bool, slots: int, story: list[Act]
) -> None:
    """However much is backfilled behind it, in its band or a lower one, a head starts when it was told."""
    buckets = (
        Bucket("input_tokens", 600, burst_ms=30_000, jitter_ms=0),
        Bucket("requests", 90, burst_ms=30_000, jitter_ms=0),
    )
    domains = tuple(DomainLimits(name, (LaneLimits("*", buckets, slots),)) for name in ("d0", "d1"))
    pool = PoolLimits(
        "p", (("k0", ("d0",)), ("k1", ("d1" if is_apart else "d0",))), domains, aging_ms=FOREVER_MS
    )
    books = Books(mini_rig(pool), members(pool, False), FOREVER_S)
    books.patience_ms = (FOREVER_MS,) * 3
    books.step("A", *(books.enqueue("A", tokens=(need, 0), tenant="eater") for need in (150, 280)))
    books.step("A", books.settle_one("A", 0, (None, None)), books.settle_one("A", 1, (None, None)))
    wakes = books.step("A", books.enqueue("A", tokens=(290, 0), tenant="head")).wakes
    [(_, _, head, ms)] = wakes
    due = books.now + ms
    for act in story:
        if act.kind != "advance" or books.now + 16_000 < due:
            perform(books, replace(act, lane="*", band="normal" if act.band == "interactive" else act.band))
    assert head in books.waiting
    books.advance(due - books.now)
    assert head not in books.waiting


def test_10_head_may_be_delayed_by_an_earlier_band() -> None:
    """An interactive request that comes later goes before a normal head, which then waits for both."""
    rig = fake_rig(pool_of(TOKENS), "A", "B")
    rig.enqueue("A", "eater", tokens=(100, 0))
    rig.enqueue("A", "large", tokens=(90, 0))
    rig.advance(500)
    assert rig.enqueue("B", "now", tokens=(30, 0), band="interactive")[0] == "g"
    rig.advance(400)
    assert rig.taken("A").grants == []
    rig.advance(300)
    assert [grant[0] for grant in rig.taken("A").grants] == ["large"]


def test_16_work_conservation_beside_a_head_that_waits_for_a_slot() -> None:
    """A head that waits for a slot of one account leaves the other account's to those behind it."""
    limits = replace(pool_of(keys=2, slots=1), domains=(
        DomainLimits("d0", (LaneLimits("*", (TOKENS,), 1),)), DomainLimits("d1", (LaneLimits("*", (TOKENS,), 1),)),
    ))  # fmt: skip
    rig = fake_rig(limits)
    assert rig.enqueue("A", "one", tokens=(90, 0), preferred="k0")[1] == "k0"
    assert rig.enqueue("A", "large", tokens=(100, 0), tenant="large")[:2] == ["g", "k1"]
    assert rig.enqueue("A", "waits", tokens=(5, 0)) == ["q"]
    assert [grant[0] for grant in rig.taken("A", settle("one")).grants] == ["waits"]
