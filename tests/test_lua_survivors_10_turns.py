"""What a full queue takes first, what a head keeps that is withdrawn, and the life of a key of a new minute."""

from __future__ import annotations

from llm_fleet.engine.values import Bucket
from tests.pool_rig import cancel, enqueue, mini_rig, pool_of


def test_full_queue_takes_its_head_first() -> None:
    """Of two tickets that come at once the one place left goes to the higher band, not to the first."""
    limits = pool_of(slots=1)
    rig = mini_rig(limits)
    rig.enqueue("A", "A-1")
    asked = (enqueue(band, limits, band=band, max_queued=1) for band in ("normal", "interactive"))
    assert [result[0] for result in rig.taken("A", *asked).results] == ["d", "q"]


def test_key_of_a_new_minute_has_a_lifetime_at_once() -> None:
    """What ended in a minute that has just begun is kept for a time only, though all keys were touched before it."""
    rig = mini_rig(pool_of())
    for ms in (59_900, 200):
        rig.advance(ms)
        rig.taken("A", cancel(f"after {ms}"))
    assert min(rig.lifetimes().values()) > 0


def test_tenant_keeps_its_turn_when_its_head_is_withdrawn() -> None:
    """While its head was blocked another tenant got 30 tokens: its own next 30 go before any more of that one."""
    rig = mini_rig(pool_of(Bucket("input_tokens", 6_000, burst_ms=1_000, jitter_ms=0), keys=2))
    for key, eaten in (("k0", 60), ("k1", 50)):
        rig.enqueue("A", key, tokens=(eaten, 0), preferred=key)
    assert rig.enqueue("A", "large", tokens=(90, 0), tenant="x") == ["q"]
    asked = ("x1", "y1", "y2", "y3", "x2")
    said = [rig.enqueue("A", ticket, tokens=(15, 0), tenant=ticket[0])[0] for ticket in asked]
    assert said == ["q", "g", "g", "q", "q"]
    assert [grant[0] for grant in rig.taken("A", cancel("large")).grants] == ["x1", "x2", "y3"]
