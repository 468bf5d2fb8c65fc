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


def shape(rate: int, capacity: int, tick: int = 1):
    return LIBRARY.table({"rate": rate, "capacity": capacity, "tick": tick})


def bucket(its_shape, level: int, held: int = 0):
    return LIBRARY.table({"shape": its_shape, "level": level, "held": held})


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
    assert REFILL(shape(rate, capacity, tick), level, at_ms, at_ms + passed_ms) == expected


@examples
@given(rates, times, st.integers(1, 10**10))
def test_refill_ignores_a_clock_that_went_back(rate, at_ms, back_ms) -> None:
    """Less time than before refills nothing, and takes nothing."""
    assert REFILL(shape(rate, rate * 60_000), 5, at_ms, at_ms - back_ms) == 5


@examples
@given(rates, times, ticks, st.lists(st.integers(0, 10**5), max_size=20))
def test_refill_in_parts_is_refill_at_once(rate, at_ms, tick, parts) -> None:
    """Frequent calls lose nothing: a flooring refill would."""
    its_shape, level, now = shape(rate, rate * 60_000, tick), 0, at_ms
    for part in parts:
        level, now = REFILL(its_shape, level, now, now + part), now + part
    assert level == REFILL(its_shape, 0, at_ms, now)


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
        assert REFILL(its_shape, level, now, now + wait) >= wanted
        assert REFILL(its_shape, level, now, now + wait - 1) < wanted


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
