"""Whatever mix of silences, comebacks, leaves and deaths: no ticket is lost, and nothing is left behind."""

from __future__ import annotations

import pytest

from tests.parking_stories import Story, nothing_left


@pytest.mark.parametrize("seed", range(9))
def test_no_ticket_is_lost_however_often_processes_fall_silent(seed: int) -> None:
    """Sums, order, work conservation and conservation hold after each step; in the end nothing is left."""
    story = Story(seed, tenants=(3, 40, 80)[seed % 3])
    for _ in range(70):
        story.act()
    story.end()
    assert nothing_left(story) == []
