"""The lines of an absence: order within a band, strict bands, the aging share, blocked lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from llm_fleet.engine.operations import Waiter
from llm_fleet.engine.share.lines import Lines
from llm_fleet.engine.values import Need


def waiter(created: float, band: str = "normal", lane: str = "*") -> Waiter:
    lease: Any = SimpleNamespace(need=Need(lane, 1, 1, band=band), ticket=str(created))
    nobody: Any = None
    made = Waiter(lease, nobody, 0)
    made.created = created
    return made


def served(lines: Lines, count: int, now: float = 100.0) -> list[Waiter]:
    order = []
    for _ in range(count):
        turn = lines.first(now, set())
        if turn is None:
            break
        turn[1].is_done = True
        lines.granted()
        order.append(turn[1])
    return order


def test_order_within_a_band_is_that_of_arrival() -> None:
    """Across lanes too: whoever came first goes first."""
    lines, all_ = Lines(1e9), [waiter(at, lane=lane) for at, lane in ((1, "a"), (2, "b"), (3, "a"))]
    for one in all_:
        lines.add(one)
    assert served(lines, 5) == all_


def test_bands_are_strict() -> None:
    """Batch waits for normal, normal for interactive."""
    lines = Lines(1e9)
    batch, normal, first = waiter(1, "batch"), waiter(2), waiter(3, "interactive")
    for one in (batch, normal, first):
        lines.add(one)
    assert served(lines, 3) == [first, normal, batch]


def test_every_eighth_grant_goes_to_the_oldest_that_has_waited_too_long() -> None:
    """So a batch ticket goes although interactive ones never end; a young one does not."""
    lines = Lines(30.0)
    old, young = waiter(1, "batch"), waiter(99, "batch")
    for one in (old, young, *[waiter(90 + at / 100, "interactive") for at in range(30)]):
        lines.add(one)
    order = served(lines, 24)
    assert order.index(old) == 7
    assert young not in order


def test_a_blocked_line_blocks_no_other_and_those_who_gave_up_block_nobody() -> None:
    """Lanes, and tenants with limits of their own, have lines of their own."""
    lines = Lines(1e9)
    gone, stuck, behind, limited = waiter(0), waiter(0.5), waiter(1), waiter(2)
    assert lines.add(gone)
    assert not lines.add(stuck)
    lines.add(behind)
    gone.is_done = stuck.is_stuck = True
    assert lines.add(limited, "tenant")
    line, first = lines.first(100, set())
    assert first is behind
    assert lines.first(100, {line})[1] is limited
    assert lines.first(100, {line, lines.first(100, {line})[0]}) is None
