"""Limits through the scripts (ENGINE.md §2 and §3): days, windows, debts, clocks, predictions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits
from tests.oracle_stories import MODEST
from tests.pool_rig import (
    Rig,
    beat,
    cancel,
    enqueue,
    fake_rig,
    mini_rig,
    open_rig,
    per_day,
    pool_of,
    settle,
)  # fmt: skip

MINUTE_MS = 60_000


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An empty rig, on the fake server and on a real one."""
    with open_rig(request) as opened:
        yield opened


def granted_over(rig: Rig, ms: int) -> list[int]:
    """Call whenever told to for so long; the times of grants, relative to now."""
    start, times = rig.time_ms, []
    while rig.time_ms < start + ms:
        answer = rig.taken("A")
        times += [rig.time_ms - start] * len(answer.grants)
        rig.advance(min([wake[2] for wake in answer.wakes], default=ms))
    return times


def test_day_limit_grants_exactly_what_it_is(rig: Rig) -> None:
    """Of 2,000 enqueues of four processes that would not wait, a limit of 100 a day grants exactly 100."""
    limits = pool_of(per_day(100))
    for process in "ABCD":
        rig.register(process, limits)
    granted = 0
    for batch in range(20):
        process = "ABCD"[batch % 4]
        wires = [enqueue(f"{process}{batch}-{i}", limits, wait_ms=0) for i in range(100)]
        granted += sum(result[0] == "g" for result in rig.taken(process, *wires).results)
    assert granted == 100


def test_day_limit_refills_though_it_is_called_often() -> None:
    """A day's limit refills by its ticks of 1,440 ms, however often the pool is called in between."""
    rig = mini_rig(pool_of(per_day(1_000)))
    rig.taken("A", *(enqueue(f"t{i}", pool_of(per_day(1_000)), wait_ms=0) for i in range(100)))
    for _ in range(865):
        rig.advance(1_000)
        rig.enqueue("A", f"u{rig.time_ms}", wait_ms=0)  # each takes one
    assert rig.units()["d0|*"][0][0] == 1_000 * 60_000 - 965 * 60_000 + 865_000 // 1_440 * 1_000


@pytest.mark.parametrize("per_minute", [1, 2, 7, 12, 100])
@pytest.mark.parametrize("window_ms", [60_000, 10_000])
def test_window_is_never_exceeded_by_requests(per_minute: int, window_ms: int) -> None:
    """With `enforced_as: window` no window sees more requests than its limit, sent up to J after the grant."""
    limits = pool_of(Bucket("requests", per_minute, window_ms=window_ms, jitter_ms=500))
    rig = fake_rig(limits)
    answer = rig.taken("A", *(enqueue(f"t{i}", limits) for i in range(128)))
    times = [0] * len([result for result in answer.results if result[0] == "g"])
    times += granted_over(rig, 3 * MINUTE_MS)
    most = max(1, per_minute * window_ms // MINUTE_MS)
    assert len(times) > most
    for late, early in zip(times[most:], times, strict=False):
        assert late - (early + 500) >= window_ms  # the first arrives late, and the last at once


@pytest.mark.parametrize("need", [900, 4_000, 10_000])
def test_window_is_never_exceeded_by_tokens(need: int) -> None:
    """With `enforced_as: window` no window sees more tokens than its limit, however large the requests."""
    limits = pool_of(Bucket("input_tokens", 10_000, window_ms=MINUTE_MS, jitter_ms=500))
    rig = fake_rig(limits)
    answer = rig.taken("A", *(enqueue(f"t{i}", limits, tokens=(need, 0)) for i in range(60)))
    times = [0] * len([result for result in answer.results if result[0] == "g"])
    times += granted_over(rig, 4 * MINUTE_MS)
    assert need * len(times) > 10_000
    for start in times:
        arrived = [at for at in times if start <= at < start + MINUTE_MS - 500]
        assert need * len(arrived) <= 10_000


def test_need_above_capacity_waits_for_a_full_bucket_and_goes_into_debt() -> None:
    """A need above the capacity but within the limit goes when the bucket is full, and leaves a debt."""
    limits = pool_of(Bucket("input_tokens", 600, burst_ms=10_000, jitter_ms=0))
    rig = fake_rig(limits)
    rig.enqueue("A", "small", tokens=(1, 0))
    assert rig.enqueue("A", "large", tokens=(500, 0)) == ["q"]
    rig.advance(99)
    assert not rig.taken("A").grants
    rig.advance(1)
    assert [grant[0] for grant in rig.taken("A").grants] == ["large"]
    assert rig.bucket()["level"] == -400


def test_need_above_the_limit_is_refused_at_once_behind_a_head_too() -> None:
    """A need above the limit is denied at once, and the denial names resource, need and limit."""
    rig = fake_rig(pool_of(Bucket("input_tokens", 600, jitter_ms=0)))
    rig.enqueue("A", "all", tokens=(600, 0))
    rig.enqueue("A", "head", tokens=(600, 0))
    denied, reason, _, resource, _, need, _, limit, *_ = rig.enqueue("A", "never", tokens=(601, 0))
    assert (denied, reason, int(resource), need, limit) == ("d", "too_large", 2, 601, 600)


def test_predictions_never_make_a_ticket_too_large() -> None:
    """Where output counts as produced, no max_tokens is too large: the hold is clamped."""
    rig = fake_rig(pool_of(Bucket("output_tokens", 80, jitter_ms=0, rule="as_produced")))
    assert rig.enqueue("A", "huge", tokens=(0, 1_000_000))[0] == "g"
    assert rig.bucket()["held"] == 10  # before samples: an eighth of the capacity


@settings(MODEST, max_examples=30)
@given(st.lists(st.integers(1, 900), min_size=0, max_size=90), st.sampled_from((0, 50, 400, 100_000)))
def test_prediction_is_the_09_quantile_of_the_last_outputs(outputs: list[int], most: int) -> None:
    """A hold is the 0.9 quantile of the last 50 outputs, at most max_tokens; before 20 of them the largest, 256 at least."""
    limits = pool_of(Bucket("output_tokens", 10**8, jitter_ms=0, rule="as_produced"))
    rig = fake_rig(limits)
    for first in range(0, len(outputs), 20):
        part = list(enumerate(outputs[first : first + 20], first))
        rig.taken("A", *(enqueue(f"t{i}", limits, tokens=(0, 1_000)) for i, _ in part))
        rig.taken("A", *(settle(f"t{i}", 0, tokens) for i, tokens in part))
    recent = sorted(outputs[-50:])
    quantile = recent[-(len(recent) // 10)] if len(outputs) >= 20 else max([256, *recent])
    rig.enqueue("A", "next", tokens=(0, most))
    assert rig.bucket()["held"] == min(most, quantile)


def test_holds_of_a_later_lane_do_not_delay_a_head() -> None:
    """A blocked head keeps its start: what is held, not consumed, does not refill before its turn."""
    limits = pool_of(
        Bucket("output_tokens", 1_000, jitter_ms=0, rule="as_produced"),
        lanes=[LaneLimits("big", (Bucket("input_tokens", 1_000, jitter_ms=0),))],
    )
    rig = fake_rig(limits)
    teach(rig, limits, 100)
    rig.enqueue("A", "before", lane="big", tokens=(1_000, 100))
    rig.taken("A", settle("before", 1_000, 0))
    rig.enqueue("A", "head", lane="big", tokens=(900, 100))
    late = [enqueue(f"late{i}", limits, tokens=(0, 100)) for i in range(10)]
    rig.taken("A", *late)
    rig.advance(54_000)
    assert "head" in [grant[0] for grant in rig.taken("A").grants]


def teach(rig: Rig, limits: PoolLimits, output: int) -> None:
    """Settle 20 calls of so many output tokens in each lane, and let the limits recover."""
    for lane in ("*", "big"):
        for i in range(20):
            rig.enqueue("A", f"taught {lane}{i}", lane=lane, tokens=(0, 8_000))
            rig.taken("A", settle(f"taught {lane}{i}", 0, output))
            rig.advance(MINUTE_MS)


def test_unlimited_shared_lane_leaves_the_choice_to_the_lane() -> None:
    """Where only the lane has limits, the key with the most room in its tightest resource is chosen."""
    rig = fake_rig(pool_of(keys=2, lanes=[LaneLimits("big", (Bucket("input_tokens", 1_000, jitter_ms=0),))]))
    rig.enqueue("A", "idle1", preferred="k0")
    rig.enqueue("A", "idle2", preferred="k0")
    rig.enqueue("A", "large", lane="big", tokens=(600, 0), preferred="k1")
    assert rig.enqueue("A", "next", lane="big", tokens=(10, 0))[1] == "k0"


def test_clock_that_steps_back_raises_no_level() -> None:
    """A server clock that steps back, and forward again, refills nothing twice."""
    rig = fake_rig(pool_of(Bucket("requests", 60, jitter_ms=0)))
    rig.taken("A", *(enqueue(f"t{i}", rig.members["A"].limits) for i in range(60)))
    rig.advance(5_000)
    assert rig.taken("A").now
    assert rig.bucket()["level"] == 5
    rig.advance(-30_000)
    assert rig.enqueue("A", "one") == ["g", "k0", 61, 1_000]
    rig.advance(3_000)
    rig.taken("A")
    assert rig.bucket()["level"] == 7


@pytest.mark.parametrize("jumps", [[-30_000, 7_500], [3_600_000], [5_000, -60_000, 4_999, 3]])
def test_clock_that_jumps_frees_no_lease_early(jumps: list[int]) -> None:
    """The lease clock takes at most a third of the TTL per call: a jump, back or forth, kills nobody."""
    rig = fake_rig(pool_of(Bucket("requests", 60, jitter_ms=0)))
    rig.enqueue("A", "held")
    for jump in jumps:
        rig.advance(jump)
        assert rig.taken("A").now >= rig.time_ms
    assert rig.taken("A", beat(("held", 0))).result[1] == []


def test_clock_that_steps_back_shortens_no_pause_of_a_key() -> None:
    """A key paused for a time stays out for that time, also when the clock has just stepped back."""
    rig = fake_rig(pool_of(Bucket("requests", 60, jitter_ms=0)))
    rig.advance(20_000)
    rig.taken("A")
    rig.advance(-10_000)
    rig.switch("k0", "pause", 5_000)
    assert rig.enqueue("A", "early") == ["q"]


@pytest.mark.parametrize("amount", [1, 60, 150_000_000_000])
def test_numbers_stay_exact_up_to_the_largest_limit(amount: int) -> None:
    """A level is exact to the unit from the smallest limit to 1.5e11 per minute."""
    rig = fake_rig(pool_of(Bucket("tokens", amount, jitter_ms=0)))
    rig.enqueue("A", "all", tokens=(amount, 0))
    for passed in (7, 1_013, 29_989):
        rig.advance(passed)
        rig.enqueue("A", f"t{passed}", tokens=(0, 0))
    assert rig.units()["d0|*"][0][0] == amount * (7 + 1_013 + 29_989)


def test_spaced_requests_are_the_limit_and_the_jitter_apart() -> None:
    """Where jitter leaves less than one request, requests are 60 / limit + J apart."""
    limits = pool_of(Bucket("requests", 120, burst_ms=400, jitter_ms=500))
    rig = fake_rig(limits)
    rig.taken("A", *(enqueue(f"t{i}", limits) for i in range(6)))
    times = granted_over(rig, 6_000)
    assert [late - early for early, late in pairwise(times)] == [1_000] * 4


def test_throttle_pauses_every_lane_and_key_of_the_domain() -> None:
    """After a 429 nothing of the domain is granted until retry-after, to any process, by any of its keys."""
    limits = pool_of(Bucket("requests", 60, jitter_ms=0), lanes=[LaneLimits("big")])
    rig = fake_rig(limits, "A", "B")
    rig.enqueue("A", "first")
    rig.taken("A", settle("first", pause_ms=3_000, code=1))
    assert rig.bucket()["level"] == 0
    assert rig.enqueue("B", "waits", lane="big") == ["q"]
    rig.advance(2_999)
    assert not rig.taken("B").grants
    rig.advance(1)
    assert [grant[0] for grant in rig.taken("B").grants] == ["waits"]


def test_late_settle_charges_only_what_exceeds() -> None:
    """After a lease has expired, a settle adds what exceeds its charge, once, and frees no slot twice."""
    limits = pool_of(Bucket("input_tokens", 6_000, jitter_ms=0, rule="at_start_adjust"), slots=1)
    rig = fake_rig(limits)
    rig.enqueue("A", "gone", tokens=(100, 0))
    for _ in range(3):
        rig.advance(5_000)
        rig.taken("A")
    assert rig.enqueue("A", "next", tokens=(100, 0))[0] == "g"
    level: Any = rig.bucket()["level"]
    rig.taken("A", settle("gone", 40, 0))
    rig.taken("A", settle("gone", 150, 0), settle("gone", 150, 0))
    assert rig.bucket()["level"] == level - 50
    assert rig.snapshot()["domains"]["d0"]["in_flight"] == 1


def test_cancelled_lease_returns_all_its_charges() -> None:
    """A lease that was never sent gives back every charge, hold and slot, once."""
    limits = pool_of(
        Bucket("requests", 60, jitter_ms=0),
        Bucket("output_tokens", 600, jitter_ms=0, rule="as_produced"),
        slots=1,
    )
    rig = fake_rig(limits)
    before = rig.snapshot()["domains"]
    rig.enqueue("A", "unsent", tokens=(5, 50))
    rig.taken("A", cancel("unsent"), cancel("unsent"))
    rig.taken("A", cancel("unsent"))
    assert rig.snapshot()["domains"] == before
