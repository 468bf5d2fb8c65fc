"""Heartbeats in parts: many leases are reported some at a time, and none is told to be missing for that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.engine.heartbeat import LEASES_AT_ONCE, parts_of
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Bucket, Need
from tests.lua_library import examples
from tests.pool_rig import Rig, enqueue, fake_rig, pool_of

PLENTY = pool_of(Bucket("requests", 100_000, jitter_ms=0))


def leases_of(*ids: str) -> list[Lease]:
    """Leases with these ids, of nobody."""
    return [Lease(None, id, Need("*", 0, 0), None) for id in ids]  # type: ignore[arg-type]


def span(*reported: str, after: str = "", upto: str = "") -> list[object]:
    """A heartbeat that answers for some ids only."""
    return ["h", [[id, 0] for id in reported], after, upto]


def busy_rig() -> Rig:
    """A holds A-1 to A-9."""
    rig = fake_rig(PLENTY)
    rig.taken("A", *(enqueue(f"A-{i}", PLENTY) for i in range(1, 10)))
    return rig


@examples
@given(st.sets(st.text("0123456789abcdef-", min_size=1, max_size=6), max_size=40), st.integers(1, 9))
def test_parts_cover_every_lease_once_and_every_id(ids: set[str], most: int) -> None:
    """The parts hold each lease once, in order; their spans follow each other and leave no id out."""
    parts = list(parts_of(leases_of(*ids), most))
    assert [lease.ticket for part, _ in parts for lease in part] == sorted(ids)
    assert all(len(part) <= most for part, _ in parts)
    assert [after for _, (after, _) in parts] == ["", *(upto for _, (_, upto) in parts[:-1])]
    assert parts[-1][1][1] == ""


def test_no_part_is_large() -> None:
    """A thousand leases are four parts."""
    assert len(list(parts_of(leases_of(*map(str, range(1_000)))))) == 1_000 // LEASES_AT_ONCE


def test_a_part_tells_what_is_missing_in_its_span_only() -> None:
    """Reporting A-1 and A-3 up to A-4 misses A-2 and A-4; what comes after A-4 is another part's matter."""
    rig = busy_rig()
    _, unknown, missing = rig.taken("A", span("A-1", "A-3", upto="A-4")).result
    assert (unknown, [grant[0] for grant in missing]) == ([], ["A-2", "A-4"])
    _, _, missing = rig.taken("A", span("A-5", after="A-4")).result
    assert [grant[0] for grant in missing] == ["A-6", "A-7", "A-8", "A-9"]


def test_one_lease_is_renewed_alone() -> None:
    """A span from an id to itself reports just that one, and asks for nothing else."""
    rig = busy_rig()
    assert rig.taken("A", span("A-5", after="A-5", upto="A-5")).result == ["h", [], []]


def test_parts_renew_what_they_report() -> None:
    """What some part reported lives on when the others have run out."""
    rig = busy_rig()
    rig.advance(4_000)
    rig.taken("A", span("A-1", "A-2", "A-3", upto="A-3"))
    for _ in range(3):
        rig.advance(4_000)
        rig.taken("A")
    _, unknown, _ = rig.taken("A", span(*(f"A-{i}" for i in range(1, 10)))).result
    assert [id for id, state in unknown if state == "x"] == [f"A-{i}" for i in range(4, 10)]
