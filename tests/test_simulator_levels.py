"""The simulator's arithmetic of one limit, with the time given by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.simulator.levels import JUST_ABOVE_ZERO, Level, Rule

MINUTE = 60.0
START = 1000.0


def bucket(limit: int = 120, burst_s: float = 10.0) -> Level:
    return Rule(limit, MINUTE, burst_s).open(START)


def window(limit: int = 60, window_s: float = 10.0) -> Level:
    return Rule(limit, MINUTE, MINUTE, window_s).open(START)


def test_bucket_holds_what_flows_in_during_its_burst() -> None:
    """120 a minute with a burst of 10 seconds is a bucket of 20, full at first."""
    assert bucket().capacity == 20
    assert bucket().available(START) == 20


def test_bucket_fills_continuously_and_not_beyond_its_capacity() -> None:
    """What was taken comes back at the rate, up to the capacity."""
    level = bucket()
    level.take(20, START)
    assert level.available(START + 1.25) == pytest.approx(2.5)
    assert level.available(START + 1000) == 20


@pytest.mark.parametrize(("amount", "wait"), [(1, 0.5), (5, 2.5), (20, 10.0), (100, 10.0)])
def test_bucket_wait_is_the_time_until_the_amount_is_there(amount: float, wait: float) -> None:
    """An empty bucket tells when an amount is there; one above its capacity waits for all of it."""
    level = bucket()
    level.take(20, START)
    assert level.wait(amount, START) == pytest.approx(wait)
    assert level.wait(amount, START + wait) == 0


def test_bucket_can_go_into_debt_and_pays_it_first() -> None:
    """What is taken without being there has to flow in before anything is available."""
    level = bucket()
    level.take(26, START)
    assert level.available(START) == -6
    assert level.wait(JUST_ABOVE_ZERO, START) == pytest.approx(3.0, abs=1e-5)
    assert level.full_in(START) == pytest.approx(13.0)


def test_least_keeps_a_short_burst_from_denying_everything() -> None:
    """3 requests a minute with a burst of one second still hold one request."""
    assert Rule(3, MINUTE, 1.0, least=1.0).open(START).capacity == 1


def test_window_gives_all_at_its_first_moment_and_nothing_before() -> None:
    """A spent window waits for the next one, and that is whole at once."""
    level = window()
    level.take(10, START + 9)
    assert level.available(START + 9.99) == 0
    assert level.wait(1, START + 9) == pytest.approx(1.0)
    assert level.available(START + 10) == 10


def test_window_carries_what_was_taken_beyond_it() -> None:
    """15 out of a window of 10 leave 5 in the next one and all in the one after."""
    level = window()
    level.take(15, START)
    assert level.available(START + 10) == 5
    assert level.wait(6, START + 10) == pytest.approx(10.0)
    assert level.available(START + 20) == 10


def test_window_may_lose_several_windows_unused() -> None:
    """An idle time leaves no more than one window's share."""
    level = window()
    level.take(10, START)
    assert level.available(START + 1003) == 10
    level.take(10, START + 1003)
    assert level.wait(1, START + 1003) == pytest.approx(7.0)


def test_bucket_permits_its_capacity_and_what_flows_in() -> None:
    """The books' yardstick: capacity + rate x elapsed."""
    assert bucket().permitted(START, START + 30) == 20 + 60


def test_window_permits_every_window_that_was_touched() -> None:
    """25 seconds touch three windows of 10."""
    assert window().permitted(START, START + 25) == 30


@pytest.mark.parametrize("level", [bucket(), window()])
def test_fill_makes_a_level_as_new(level: Level) -> None:
    """After `fill` nothing is missing, and windows begin at that moment."""
    level.take(100, START)
    level.fill(START + 3)
    assert level.available(START + 3) == level.capacity
    assert level.full_in(START + 3) == 0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60), st.integers(1, 8))
def test_no_span_of_time_sees_more_than_is_permitted(gaps: list[float], amount: int) -> None:
    """Whatever the arrivals, between any two of them at most capacity + rate x time was taken."""
    level, now = bucket(), START
    taken: list[float] = []
    for gap in gaps:
        now += gap
        if level.wait(amount, now) == 0:
            level.take(amount, now)
            taken.append(now)
    for index, first in enumerate(taken):
        for count, last in enumerate(taken[index:], start=1):
            assert count * amount <= level.permitted(first, last) + 1e-6
