"""lib/clock: one time for the pool, that never goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lua_library import Library, examples

LIBRARY = Library("clock")
ADVANCE = LIBRARY["advance"]
TTL_MS = 15_000


def clock(**fields: int):
    return LIBRARY.table({"offset": 0, "seen": 0, "lease": 0, "presence": 0} | fields)


@pytest.mark.parametrize(
    ("server_ms", "now", "offset", "lease", "presence"),
    [
        (1_000, 1_000, 0, 0, 0),
        (1_250, 1_250, 0, 250, 250),
        (5_000, 5_000, 0, 4_000, 1_000),
        (90_000, 90_000, 0, 5_000, 1_000),
        (400, 1_000, 600, 0, 0),
    ],
)
def test_clock_advances_by_bounded_strides(server_ms, now, offset, lease, presence) -> None:
    """Now follows the server and never goes back; the lease clock moves TTL/3 at most, presence 1 s."""
    it = clock(seen=1_000)
    assert ADVANCE(it, server_ms, TTL_MS) == now
    assert (it.offset, it.lease, it.presence, it.seen) == (offset, lease, presence, now)


def test_first_call_moves_no_lease_clock() -> None:
    """A pool that was never seen does not count the time since 1970."""
    it = clock()
    assert ADVANCE(it, 1_700_000_000_000, TTL_MS) == 1_700_000_000_000
    assert (it.lease, it.presence) == (0, 0)


def test_time_goes_on_from_where_it_was_after_a_step_back() -> None:
    """After the server's clock went back, a second of it still is a second."""
    it = clock(seen=10_000)
    ADVANCE(it, 3_000, TTL_MS)
    assert ADVANCE(it, 4_000, TTL_MS) == 11_000


@examples
@given(st.lists(st.integers(0, 10**13), min_size=2, max_size=30), st.integers(3, 10**6))
def test_now_never_goes_back(times, ttl_ms) -> None:
    """Whatever the server's clock does, now grows, and so do both expiry clocks, never faster than it."""
    it, before = clock(), (0, 0, 0)
    for i, time_ms in enumerate(times):
        now = ADVANCE(it, time_ms, ttl_ms)
        after = (now, it.lease, it.presence)
        assert all(new >= old for new, old in zip(after, before, strict=True))
        if i:
            assert it.lease - before[1] <= min(now - before[0], ttl_ms // 3)
            assert it.presence - before[2] <= min(now - before[0], 1_000)
        before = after
