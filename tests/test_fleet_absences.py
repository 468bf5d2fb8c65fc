"""Whatever Redis does, limits hold for the fleet, and nothing is left behind."""

from __future__ import annotations

import pytest

from tests.absence_stories import AbsenceStory

JITTER_S = 0.5
"""What `jitter_seconds` pays for: the judge's bucket has none."""

SEEDS = (310, 1, 104)
MORE = range(1_000, 1_040)


@pytest.mark.parametrize("seed", [*SEEDS, *(pytest.param(seed, marks=pytest.mark.slow) for seed in MORE)])
async def test_limits_hold_and_nothing_is_left_whatever_redis_does(own_server, namespace, seed) -> None:
    """7, conservation: no lease, ticket or hold remains; 1, window, and 5, concurrency, for all processes together."""
    story = AbsenceStory(own_server(), namespace, seed)
    state = await story.run()
    assert (state["leases"], state["waiting"]) == (0, 0), story.events
    buckets = [
        bucket for domain in state["domains"].values() for lane in domain["lanes"].values() for bucket in lane
    ]
    assert [bucket["held"] for bucket in buckets] == [0] * len(buckets), story.events
    assert len(story.sent) > 20
    assert story.overdraft_s() <= JITTER_S, story.events
    assert not story.slots or story.most_at_once <= story.slots * 2, story.events
