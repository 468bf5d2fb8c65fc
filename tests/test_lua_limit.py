"""lib/limit: what a configured limit means for its bucket (ENGINE.md §2)."""

from __future__ import annotations

from math import floor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.lua_library import Library, examples

LIBRARY = Library("bucket", "limit")
DEFINE = LIBRARY["define"]
UNIT, MINUTE_MS, DAY_MS = 60_000, 60_000, 86_400_000
REQUESTS, INPUT = 1, 2

amounts = st.one_of(st.integers(1, 400), st.integers(1, 10**9))
bursts = st.integers(1, 120_000)
jitters = st.integers(0, 3_000)


def define(code=REQUESTS, amount=60, *, period=MINUTE_MS, burst=60_000, jitter=0, window=0):
    """Rate, capacity, unit and most."""
    return DEFINE(LIBRARY.table([code, amount, period, burst, jitter, window]))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({"amount": 60}, (60, 60 * UNIT, UNIT, 60)),
        ({"amount": 120, "burst": 10_000}, (120, 20 * UNIT, UNIT, 120)),
        ({"amount": 120, "burst": 10_000, "jitter": 500}, (120, 19 * UNIT, UNIT, 120)),
        ({"amount": 100, "period": DAY_MS, "burst": 1, "jitter": 500}, (100, 100 * UNIT, UNIT, 100)),
        ({"amount": 12, "burst": 1_000, "jitter": 500}, (12, 66_000, 66_000, 12)),
        ({"code": INPUT, "amount": 6_000, "burst": 200, "jitter": 500}, (6_000, UNIT, UNIT, 6_000)),
        ({"amount": 600, "window": 60_000}, (540, 60 * UNIT, UNIT, 600)),
        ({"amount": 600, "window": 10_000}, (540, 10 * UNIT, UNIT, 100)),
        ({"amount": 5, "window": 60_000, "jitter": 500}, (5, 62_500, 62_500, 5)),
        ({"amount": 1, "window": 60_000, "jitter": 500}, (1, 60_500, 60_500, 1)),
    ],
)
def test_limit_table(limit, expected) -> None:
    """Depth pays for jitter, the rate stays; spaced where less than one request would be left."""
    assert define(**limit) == expected


@examples
@given(amounts, bursts, jitters)
def test_bucket_behind_the_jitter_never_overflows_the_providers(amount, burst, jitter) -> None:
    """What is granted in any time L arrives within L + J: the provider's own bucket always has it."""
    assume(amount * burst >= UNIT)
    rate, capacity, unit, _ = define(amount=amount, burst=burst, jitter=jitter)
    if unit == UNIT:
        assert capacity + rate * jitter <= amount * burst
    else:  # spaced: two arrivals are never closer than the provider refills one
        assert -(-unit // rate) - jitter >= UNIT / amount


@examples
@given(st.integers(1, 5_000), bursts, jitters, st.sampled_from([1_000, 7_000, 10_000, 60_000]))
def test_window_never_sees_more_than_its_limit(amount, burst, jitter, window) -> None:
    """`enforced_as: window`: the most requests that can arrive in any window, each up to J late."""
    limit = floor(amount * window / MINUTE_MS)
    assume(limit >= 1)
    rate, capacity, unit, most = define(amount=amount, burst=burst, jitter=jitter, window=window)
    assert most == limit
    reach = window + jitter - 1  # grants whose arrivals can share a half-open window lie closer than W + J
    assert (capacity + rate * reach) // unit <= limit


@examples
@given(amounts, bursts, jitters, st.sampled_from([0, 10_000, 60_000]), st.sampled_from([REQUESTS, INPUT]))
def test_one_always_fits(amount, burst, jitter, window, code) -> None:
    """The capacity is one request, or one token, at least; the rate at least 1."""
    rate, capacity, unit, most = define(code, amount, burst=burst, jitter=jitter, window=window)
    assert capacity >= unit >= UNIT
    assert 1 <= rate <= amount
    assert most >= 1


@examples
@given(st.integers(1, 400), bursts, jitters)
def test_spacing_costs_only_the_jitter(amount, burst, jitter) -> None:
    """Spaced requests go 60 / limit + J apart, rounded up to a millisecond."""
    rate, capacity, unit, _ = define(amount=amount, burst=burst, jitter=jitter)
    assume(unit != UNIT)
    assert (rate, capacity) == (amount, unit)
    assert unit == UNIT + amount * jitter
