"""How benchmarks/engine.py judges: times by the speed of the machine, pairs in turns, deaths by each other."""

from __future__ import annotations

import pytest

from benchmarks.engine_curves import flatness, points
from benchmarks.engine_dropping import longest_us
from benchmarks.engine_report import Figure, scaled, scales_told, table
from benchmarks.engine_scale import REFERENCE_US, Scale

TWICE = Scale((180.0, 2 * REFERENCE_US, 150.0))
"""Readings of a machine that is, at its best, half as fast as the one of the targets."""


def judged(value: float, scale: Scale = TWICE) -> Figure:
    """A time whose target is 60 µs."""
    return scaled([Figure("a life", value, "µs", ("≤", 60))], scale)[0]


def test_the_best_reading_counts() -> None:
    """The least slowness is excused that was seen while the figures were measured."""
    assert (TWICE.bare_us, TWICE.slowness) == (2 * REFERENCE_US, 2.0)


def test_a_faster_machine_keeps_the_target_as_written() -> None:
    """No scale is below 1: being quick makes no target stricter."""
    assert Scale((REFERENCE_US / 2,)).slowness == 1.0
    assert judged(60, Scale((REFERENCE_US / 2,))).verdict == "met"


@pytest.mark.parametrize(
    ("value", "verdict"), [(60, "met"), (61, "met when scaled"), (120, "met when scaled"), (121, "missed")]
)
def test_a_time_that_is_met_by_its_scale_alone_says_so(value: float, verdict: str) -> None:
    """Met as measured, met at the speed of the machine of the targets, and missed are three verdicts."""
    assert judged(value).verdict == verdict


def test_a_verdict_is_not_of_rounded_values() -> None:
    """A time that is above its target by less than the table shows is missed."""
    assert judged(120.0001).verdict == "missed"


def test_what_is_no_time_with_a_target_is_not_scaled() -> None:
    """Ratios, counts and bytes stay as they are, and so do times that nothing was promised of."""
    others = [Figure("r", 1.6, "x", ("≤", 1.5)), Figure("b", 451, "B", ("≤", 450)), Figure("t", 99, "µs")]
    assert scaled(others, TWICE) == others
    assert [figure.verdict for figure in others] == ["missed", "missed", ""]


def test_the_json_has_the_raw_value_and_the_scaled_one() -> None:
    """Raw value, slowness, scaled value, target and verdict; null where nothing is scaled."""
    found = judged(90).to_json()
    assert (found["value"], found["slowness"], found["scaled"]) == (90, 2.0, 45.0)
    assert (found["target"], found["verdict"]) == ("≤60", "met when scaled")
    plain = Figure("ratio", 1.0, "x").to_json()
    assert (plain["slowness"], plain["scaled"]) == (None, None)


def test_the_table_shows_both_values() -> None:
    """The value as measured stays beside the scaled one."""
    assert table([judged(90)]).splitlines()[2].split() == [
        *("a", "life", "90", "µs", "45", "µs", "≤", "60", "met", "when", "scaled")
    ]


def test_a_line_says_what_the_scale_is() -> None:
    """Of what it was measured, by which reference, and how it was in each part."""
    said = scales_told({"cost": TWICE})
    assert "\n" not in said
    assert "EVALSHA return 1" in said
    assert "/ 66 µs, at least 1" in said
    assert "cost: 132 µs (lowest of 3 readings up to 180) → 2.00" in said


def test_a_ratio_is_the_median_of_the_ratios_of_each_turn() -> None:
    """A turn in which everything took thrice as long, and one in which half of it did, decide nothing."""
    found = points((4, 1_000), [[100, 300, 100, 90, 100], [120, 360, 300, 108, 120]])
    assert found == [{"x": 4, "us": 90}, {"x": 1_000, "us": 108}]
    assert flatness("keys", found).value == 1.2


def test_the_longest_step_is_seen_in_every_death() -> None:
    """What only one of two deaths shows at a length of the queue was something beside it."""
    quiet = [(300, 1.0), (300, 4.0), (200, 2.0), (100, 3.0)]
    disturbed = [(300, 4.5), (300, 1.0), (300, 1.0), (200, 90.0), (100, 3.5)]
    assert longest_us([quiet, disturbed]) == 4.0
    assert longest_us([disturbed]) == 90.0
