"""Invariant 12 of ENGINE.md §7: bands go first, but every wait is bounded."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, PoolLimits, TenantLimits
from llm_fleet.models import BANDS
from tests.closed_loops import Loops, streams
from tests.oracle_stories import MODEST
from tests.pool_rig import Rig, enqueue, fake_rig, mini_rig, pool_of

AGING_MS = 2_000
GRANTS_PER_TURN = 8


def paced(aging_ms: int = AGING_MS) -> PoolLimits:
    """One request each 100 ms."""
    return pool_of(Bucket("requests", 600, burst_ms=100, jitter_ms=0), aging_ms=aging_ms)


def granted_by(rig: Rig, wakes: int) -> list[str]:
    """What process A is granted while it calls whenever it is told to."""
    order: list[str] = []
    for _ in range(wakes):
        answer = rig.taken("A")
        order += [grant[0] for grant in answer.grants]
        rig.advance(min((wake[2] for wake in answer.wakes), default=0))
    return order


def test_bands_are_strict_before_anything_has_aged() -> None:
    """Interactive goes before normal, and normal before batch, however they arrived."""
    rig = fake_rig(paced())
    rig.enqueue("A", "first")
    for at, band in enumerate(("batch", "normal", "interactive", "normal", "batch", "interactive")):
        rig.enqueue("A", f"{band}{at}", band=band)
    order = granted_by(rig, 8)
    assert order == ["interactive2", "interactive5", "normal1", "normal3", "batch0", "batch4"]


def test_12_aging_gives_every_eighth_grant_to_an_aged_band() -> None:
    """Once a batch ticket has waited longer than the aging time, seven others go, and then it does."""
    rig, limits = fake_rig(paced()), paced()
    rig.enqueue("A", "first")
    for at in range(2):
        rig.enqueue("A", f"batch{at}", band="batch")
    rig.taken("A", *(enqueue(f"t{at:02}", limits, band="interactive") for at in range(60)))
    order = granted_by(rig, 50)
    assert order.index("batch0") == AGING_MS // 100 + GRANTS_PER_TURN - 1  # at 2,000 ms it is not yet aged
    assert order.index("batch1") - order.index("batch0") == GRANTS_PER_TURN


def test_12_aging_takes_the_band_whose_oldest_ticket_came_first() -> None:
    """Of two aged bands the one that has waited longest is served, even if it is the lowest."""
    rig, limits = fake_rig(paced()), paced()
    rig.enqueue("A", "first")
    for band in ("batch", "normal"):
        rig.enqueue("A", band, band=band)
    rig.taken("A", *(enqueue(f"t{at:02}", limits, band="interactive") for at in range(60)))
    order = granted_by(rig, 50)
    assert order.index("normal") - order.index("batch") == GRANTS_PER_TURN


@settings(MODEST, max_examples=12)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 4), st.sampled_from((500, 2_000)))
def test_12_aging_bounds_every_wait(batch: int, tenants: int, normal: int, aging_ms: int) -> None:
    """Under endless interactive load every ticket of a lower band is served, in its turn after the aging time."""
    rig = mini_rig(paced(aging_ms), "A", "B")
    rush = [
        task for at in range(12) for task in streams(1, "AB"[at % 2], band="interactive", tenant=f"x{at % 3}")
    ]
    low = [task for at in range(batch) for task in streams(1, band="batch", tenant=f"y{at % tenants}")]
    low += streams(normal, "B", band="normal")
    loops = Loops(rig, [*rush, *low])
    loops.run(aging_ms + (len(low) + 2) * 2 * GRANTS_PER_TURN * 100)
    assert all(task.waits for task in low)
    longest = aging_ms + (len(low) + 1) * GRANTS_PER_TURN * 100
    assert max(wait for task in low for wait in task.waits) <= longest


def test_12_aging_leaves_seven_of_eight_grants_to_the_band_above() -> None:
    """However much has aged below, interactive requests keep seven grants of eight."""
    rig = mini_rig(paced(), "A")
    loops = Loops(rig, [*streams(20, band="batch"), *streams(10, band="interactive")])
    loops.run(20_000)
    late = Counter(
        g.stream.options["band"] for g in loops.grants if g.at > loops.grants[0].at + AGING_MS + 100
    )
    assert abs(late["interactive"] - 7 * late["batch"]) <= GRANTS_PER_TURN


def test_interactive_waits_little_under_saturating_batch_load() -> None:
    """Its wait is at most the refill of its own need, of the largest batch ticket, and of one aging grant."""
    limit = Bucket("input_tokens", 6_000, burst_ms=1_000, jitter_ms=0)
    rig = mini_rig(pool_of(limit, aging_ms=1_000, tenants=[TenantLimits("greedy", 5_000)]), "A", "B")
    batch = [
        task
        for need in (10, 35, 60, 60)
        for task in streams(3, tokens=(need, 0), band="batch", tenant="greedy")
    ]
    loops = Loops(rig, batch)
    loops.run(2_000)
    [asks] = streams(1, "B", tokens=(5, 0), band="interactive")
    loops.ask(asks)
    loops.run(20_000)
    assert len(asks.waits) >= 20
    assert max(asks.waits) <= (5 + 60 + 60) * 10
    assert sum(len(task.waits) for task in batch) >= 20


def test_bands_of_a_ticket_are_the_three_of_the_config() -> None:
    """A queue shows what waits in each band."""
    rig = fake_rig(paced())
    rig.enqueue("A", "first")
    for band in BANDS:
        rig.enqueue("A", band, band=band)
    [queue] = rig.snapshot()["queues"]
    assert queue["head"]["ticket"] == "interactive"
