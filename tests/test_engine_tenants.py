"""Limits of a tenant's own: one more domain, which blocks nobody else (ENGINE.md §4)."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits, TenantLimits
from tests.closed_loops import Loops, streams
from tests.oracle_stories import MODEST
from tests.pool_rig import Rig, beat, cancel, enqueue, fake_rig, mini_rig, per_day, pool_of, settle

AMPLE = Bucket("input_tokens", 6_000, burst_ms=10_000, jitter_ms=0)


def limited(*buckets: Bucket, slots: int = 0) -> PoolLimits:
    """An ample pool in which tenant x has limits of its own."""
    return pool_of(AMPLE, tenants=[TenantLimits("x", lane=LaneLimits("*", buckets, slots))])


def tokens_per_minute(amount: int, **more: object) -> Bucket:
    return Bucket("input_tokens", amount, jitter_ms=0, **more)  # type: ignore[arg-type]


def test_a_tenant_parked_by_its_own_limit_blocks_nobody() -> None:
    """While x waits for its own limit the others are served at once: in its band, a lower one, another process."""
    rig = fake_rig(limited(tokens_per_minute(60)), "A", "B")
    assert rig.enqueue("A", "x1", tokens=(60, 0), tenant="x", band="interactive")[0] == "g"
    assert rig.enqueue("A", "x2", tokens=(60, 0), tenant="x", band="interactive") == ["q"]
    for process, band in (("A", "interactive"), ("B", "interactive"), ("A", "batch")):
        assert rig.enqueue(process, f"{process}{band}", tokens=(60, 0), band=band)[0] == "g"
    assert rig.snapshot()["waiting"] == 1


def test_a_parked_tenant_goes_exactly_when_its_limit_allows() -> None:
    """Its process is told the exact time; one tick earlier it is not granted."""
    rig = fake_rig(limited(tokens_per_minute(60)))
    rig.enqueue("A", "x1", tokens=(60, 0), tenant="x")
    rig.enqueue("A", "x2", tokens=(30, 0), tenant="x")
    [wake] = rig.taken("A").wakes
    assert wake[1:] == ["x2", 30_000]
    for _ in range(29):
        rig.advance(1_000)
        rig.taken("A")
    rig.advance(999)
    assert rig.taken("A").grants == []
    rig.advance(1)
    assert [grant[0] for grant in rig.taken("A").grants] == ["x2"]


def test_slots_of_a_tenant_are_never_exceeded_and_come_back() -> None:
    """A tenant with two slots has two calls in flight; the third goes when one ends, by whatever end."""
    rig = fake_rig(limited(slots=2))
    rig.taken("A", *(enqueue(f"x{i}", rig.members["A"].limits, tokens=(1, 0), tenant="x") for i in range(5)))
    assert rig.snapshot()["domains"]["tenant:x"]["in_flight"] == 2
    assert [grant[0] for grant in rig.taken("A", settle("x0", 1, 0)).grants] == ["x2"]
    assert [grant[0] for grant in rig.taken("A", cancel("x1")).grants] == ["x3"]
    for _ in range(3):
        rig.advance(5_000)
        answer = rig.taken("A", beat(("x3", 0)))
    assert [grant[0] for grant in answer.grants] == ["x4"]
    assert rig.snapshot()["domains"]["tenant:x"]["in_flight"] == 2


def test_what_a_call_did_not_use_comes_back_to_its_tenant() -> None:
    """A settle adjusts the tenant's bucket as the key's, and what waits for it goes in the same step."""
    rig = fake_rig(limited(tokens_per_minute(100, rule="at_start_adjust")))
    rig.enqueue("A", "x1", tokens=(90, 0), tenant="x")
    assert rig.enqueue("A", "x2", tokens=(50, 0), tenant="x") == ["q"]
    assert [grant[0] for grant in rig.taken("A", settle("x1", 30, 0)).grants] == ["x2"]
    assert rig.bucket(domain="tenant:x")["level"] == 20


def test_a_lease_that_was_not_sent_returns_the_tenants_charges_too() -> None:
    """Cancelling it gives back what it took of the key and of the tenant."""
    rig = fake_rig(limited(tokens_per_minute(100), slots=1))
    before = rig.snapshot()["domains"]
    rig.enqueue("A", "x1", tokens=(90, 0), tenant="x")
    rig.taken("A", cancel("x1"))
    assert rig.snapshot()["domains"] == before


def test_progress_of_a_call_may_end_the_wait_of_its_tenant() -> None:
    """A flow that no refill could help is looked at again when a heartbeat reports what was produced."""
    rig = fake_rig(limited(Bucket("output_tokens", 800, jitter_ms=0, rule="as_produced")))
    for at in range(20):  # what is known of outputs: all are large
        rig.enqueue("A", f"l{at}", tokens=(1, 500))
        rig.taken("A", settle(f"l{at}", 1, 500))
    rig.enqueue("A", "x1", tokens=(1, 500), tenant="x")
    rig.enqueue("A", "x2", tokens=(1, 500), tenant="x")
    assert rig.taken("A").wakes == []
    [wake] = rig.taken("A", beat(("x1", 400))).wakes
    assert wake[1:] == ["x2", -(-(500 + 100 - 400) * 60_000 // 800)]


def test_a_need_above_the_tenants_limit_is_refused_at_once() -> None:
    """Whether first or behind others, and however long it would wait, it is told that it never fits."""
    rig = fake_rig(limited(tokens_per_minute(60)))
    assert rig.enqueue("A", "never", tokens=(61, 0), tenant="x")[:2] == ["d", "too_large"]
    rig.enqueue("A", "x1", tokens=(60, 0), tenant="x")
    rig.enqueue("A", "x2", tokens=(60, 0), tenant="x")
    assert rig.enqueue("A", "never2", tokens=(61, 0), tenant="x")[:2] == ["d", "too_large"]
    assert rig.enqueue("A", "other", tokens=(61, 0), tenant="y")[0] == "g"


def test_a_cancelled_head_lets_the_rest_of_its_tenant_go() -> None:
    """A parked flow waits for its head's need: when that is withdrawn, a smaller one behind it goes at once."""
    rig = fake_rig(limited(tokens_per_minute(60)))
    rig.enqueue("A", "x1", tokens=(50, 0), tenant="x")
    rig.enqueue("A", "x2", tokens=(60, 0), tenant="x")
    rig.enqueue("A", "x3", tokens=(10, 0), tenant="x")
    assert [grant[0] for grant in rig.taken("A", cancel("x2")).grants] == ["x3"]


def test_a_429_of_the_provider_pauses_the_account_and_not_the_tenant() -> None:
    """The tenant's own limits know no pause: with another key it goes on."""
    rig = fake_rig(
        pool_of(AMPLE, keys=2, tenants=[TenantLimits("x", lane=LaneLimits("*", (tokens_per_minute(600),)))])
    )
    rig.enqueue("A", "x1", tokens=(1, 0), tenant="x", preferred="k0")
    rig.taken("A", settle("x1", pause_ms=60_000, code=2))
    assert rig.enqueue("A", "x2", tokens=(1, 0), tenant="x")[:2] == ["g", "k1"]
    assert rig.bucket(domain="tenant:x")["level"] == 598


def test_limits_of_a_tenant_hold_over_all_keys_lanes_and_bands() -> None:
    """Ten requests a day of a tenant are ten, whichever key, lane, band and process they go by."""
    limits = pool_of(
        AMPLE,
        keys=3,
        lanes=[LaneLimits("big")],
        tenants=[TenantLimits("x", lane=LaneLimits("*", (per_day(10),)))],
    )
    rig, granted = fake_rig(limits, "A", "B"), 0
    for at in range(30):
        band, lane = ("interactive", "normal", "batch")[at % 3], ("*", "big")[at % 2]
        result = rig.enqueue(
            "AB"[at % 2], f"x{at}", tokens=(1, 0), tenant="x", wait_ms=0, band=band, lane=lane
        )
        granted += result[0] == "g"
    assert granted == 10


def use_of(rig: Rig, tenants: int) -> Counter[str]:
    """What a limited tenant and some others take in 20 s, all of them saturated."""
    tasks = [
        task for at in range(tenants) for task in streams(6, "AB"[at % 2], tokens=(20, 0), tenant=f"y{at}")
    ]
    loops = Loops(rig, [*tasks, *streams(6, tokens=(20, 0), tenant="x")])
    loops.run(20_000)
    used: Counter[str] = Counter()
    for grant in loops.grants:
        used["x" if grant.stream.options["tenant"] == "x" else "others"] += grant.used
    return used


@settings(MODEST, max_examples=5)
@given(st.integers(1, 3), st.sampled_from((300, 900)), st.sampled_from((500, 3_000)))
def test_16_work_conservation_beside_a_limited_tenant(tenants: int, amount: int, weight: int) -> None:
    """A tenant uses its own limit to the full, and what it leaves goes to the others: nothing is lost."""
    own = LaneLimits("*", (tokens_per_minute(amount, burst_ms=5_000),))
    rig = mini_rig(pool_of(AMPLE, tenants=[TenantLimits("x", weight, own)]), "A", "B")
    used = use_of(rig, tenants)
    assert used["x"] >= 0.9 * amount * 25 / 60
    assert used["x"] <= amount * 25 / 60
    assert used["x"] + used["others"] >= 0.98 * 6_000 * 30 / 60
