"""lib/bucket: integer buckets, compared with Python's integers (ENGINE.md §2)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lua_library import Library, examples

LIBRARY = Library("bucket")
REFILL, CEIL_DIV, WAIT_FOR, GIVE_BACK = LIBRARY.several("refill", "ceil_div", "wait_for", "give_back")

rates = st.one_of(st.integers(1, 200), st.integers(1, 10**11))
times = st.integers(10**12, 10**13)
ticks = st.sampled_from([1, 1440])


def refill(its_shape, level: int, at_ms: int, now: int) -> int:
    return REFILL(its_shape, level, at_ms, now)[0]


def shape(rate: int, capacity: int, tick: int = 1, **more: object):
    return LIBRARY.table({"rate": rate, "capacity": capacity, "tick": tick} | more)


def bucket(its_shape, level: int, held: int = 0, idle: int = 0):
    return LIBRARY.table({"shape": its_shape, "level": level, "held": held, "idle": idle})


@examples
@given(st.integers(0, 2**53 - 1), st.integers(1, 10**11))
def test_ceil_div_is_exact(amount, divisor) -> None:
    """The quotient is rounded up as integers are, up to 2^53."""
    assert CEIL_DIV(amount, divisor) == -(-amount // divisor)


@examples
@given(rates, st.integers(1, 120_000), times, st.integers(0, 10**10), ticks, st.data())
def test_refill_is_exact(rate, burst, at_ms, passed_ms, tick, data) -> None:
    """One tick refills exactly the rate; a level never passes the capacity."""
    capacity = rate * burst
    level = data.draw(st.integers(-capacity, capacity))
    expected = min(capacity, level + rate * ((at_ms + passed_ms) // tick - at_ms // tick))
    assert refill(shape(rate, capacity, tick), level, at_ms, at_ms + passed_ms) == expected


@examples
@given(rates, times, st.integers(1, 10**10))
def test_refill_ignores_a_clock_that_went_back(rate, at_ms, back_ms) -> None:
    """Less time than before refills nothing, and takes nothing."""
    assert refill(shape(rate, rate * 60_000), 5, at_ms, at_ms - back_ms) == 5


@examples
@given(rates, times, ticks, st.lists(st.integers(0, 10**5), max_size=20))
def test_refill_in_parts_is_refill_at_once(rate, at_ms, tick, parts) -> None:
    """Frequent calls lose nothing: a flooring refill would."""
    its_shape, level, now = shape(rate, rate * 60_000, tick), 0, at_ms
    for part in parts:
        level, now = refill(its_shape, level, now, now + part), now + part
    assert level == refill(its_shape, 0, at_ms, now)


@examples
@given(rates, st.integers(1, 120_000), times, ticks, st.data())
def test_wait_is_exact(rate, burst, now, tick, data) -> None:
    """At the end of the wait there is enough, one millisecond earlier there is not."""
    capacity = rate * burst
    level, need = data.draw(st.integers(-capacity, capacity)), data.draw(st.integers(0, 2 * capacity))
    its_shape = shape(rate, capacity, tick)
    wait = WAIT_FOR(bucket(its_shape, level), need, 0, now)
    wanted = min(need, capacity)
    if wait == 0:
        assert level >= wanted
    else:
        assert refill(its_shape, level, now, now + wait) >= wanted
        assert refill(its_shape, level, now, now + wait - 1) < wanted


@pytest.mark.parametrize(
    ("level", "held", "ahead", "need", "wait"),
    [
        (100, 0, 0, 100, 0),
        (100, 0, 0, 101, 1),
        (90, 0, 0, 100, 1),
        (80, 0, 0, 100, 2),
        (100, 40, 0, 61, 1),
        (100, 0, 40, 61, 1),
        (1_000, 0, 0, 5_000, 0),
        (999, 0, 0, 5_000, 1),
        (-30, 0, 0, 1, 4),
        (1_000, 500, 0, 501, math.inf),
        (1_000, 0, 1, 5_000, math.inf),
    ],
)
def test_wait_table(level, held, ahead, need, wait) -> None:
    """Holds and promises count as taken; for a need above the capacity a full bucket is enough."""
    assert WAIT_FOR(bucket(shape(10, 1_000), level, held), need, ahead, 10**12) == wait


def test_what_is_given_back_never_passes_the_capacity() -> None:
    """A full bucket stays full."""
    it = bucket(shape(10, 1_000), 950)
    GIVE_BACK(it, 30)
    assert it.level == 980
    GIVE_BACK(it, 30)
    assert it.level == 1_000


@pytest.mark.parametrize(
    ("level", "idle", "need", "wait"),
    [
        (1_000, 0, 1_000, 0),
        (1_000, 0, 3_000, 200),
        (1_000, 1_990, 3_000, 1),
        (1_000, 2_000, 3_000, 0),
        (990, 2_000, 3_000, 201),
        (1_000, 0, 5_001, math.inf),
    ],
)
def test_a_need_above_a_windows_bucket_waits_for_idle_time(level, idle, need, wait) -> None:
    """Where the provider counts windows, it goes only after as long an idle time as it takes to refill."""
    its_shape = shape(10, 1_000, is_window=True, most=5, unit=1_000)
    assert WAIT_FOR(bucket(its_shape, level, idle=idle), need, 0, 10**12) == wait


def test_only_a_windows_bucket_remembers_that_it_was_idle() -> None:
    """What refills beyond the capacity is lost, but for the needs above a window's bucket."""
    its_shape = shape(10, 1_000, is_window=True, most=5, unit=1_000)
    assert REFILL(its_shape, 990, 10**12, 10**12 + 101) == (1_000, 1_000)
    assert REFILL(its_shape, 990, 10**12, 10**13) == (1_000, 4_000)
    assert REFILL(shape(10, 1_000), 990, 10**12, 10**13) == (1_000, 0)
