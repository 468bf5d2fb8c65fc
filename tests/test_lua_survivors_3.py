"""Processes that leave or stay away with much queued, and silent ones that nobody waits behind."""

from __future__ import annotations

from collections.abc import Sequence

from llm_fleet.engine.values import Bucket
from tests.pool_rig import Rig, Wire, beat, enqueue, leave, mini_rig, pool_of, settle

SLOW = pool_of(Bucket("requests", 1, jitter_ms=0), Bucket("tokens", 100_000))
PATIENT_MS = 10**9
AGAIN = [["", "", 20]]


def crowded(queued: int) -> Rig:
    """A holds a lease, and B has so many tickets queued behind it."""
    rig = mini_rig(SLOW, "A", "B")
    rig.enqueue("A", "lease")
    wires: Sequence[Wire] = [enqueue(f"b{i:03}", SLOW, wait_ms=PATIENT_MS) for i in range(queued)]
    for first in range(0, queued, 50):
        rig.taken("B", *wires[first : first + 50])
    return rig


def queued_by(rig: Rig, process: str) -> tuple[int, int] | None:
    """The state of a process, and how many of its tickets wait; None when it is forgotten."""
    shown = rig.snapshot()["processes"].get(process)
    return shown and (shown["state"], shown["queued"])


def fields_of(rig: Rig, process: str) -> list[str]:
    """The records that the pool has of a process."""
    return [name for name in rig.client.hkeys(rig.keys.all()[0]) if name.endswith(f"|{process}")]


def test_process_that_leaves_with_much_queued_is_dropped_in_parts() -> None:
    """Its own step and each later one drop a part; the caller is told to come again until all is gone."""
    rig = crowded(250)
    assert rig.taken("B", leave()).wakes == AGAIN
    assert queued_by(rig, "B") == (2, 50)
    assert rig.step("B") is None
    assert rig.taken("A").wakes == []
    assert fields_of(rig, "B") == []
    assert rig.snapshot()["waiting"] == 0


def test_process_that_leaves_with_little_queued_is_gone_at_once() -> None:
    """Fewer than a hundred tickets go with the step that says so, and so does all that is known of it."""
    rig = crowded(60)
    assert rig.taken("B", leave()).wakes == []
    assert rig.snapshot()["waiting"] == 0
    assert fields_of(rig, "B") == []
    assert rig.client.hget(rig.keys.all()[0], "parked") in (None, "[]")


def test_two_that_leave_with_much_queued_are_both_dropped() -> None:
    """What the parted have queued is dropped one after the other, and nobody else loses anything."""
    rig = mini_rig(SLOW, "A", "B", "C", "D")
    rig.enqueue("A", "lease")
    for process in ("D", "C", "B"):
        for first in (0, 100, 200):
            wires = [enqueue(f"{process}{first + i}", SLOW, wait_ms=PATIENT_MS) for i in range(100)]
            rig.taken(process, *wires)
    rig.taken("D", leave())
    rig.taken("C", leave())
    for _ in range(6):
        rig.taken("A")
    assert [queued_by(rig, process) for process in "BCD"] == [(0, 300), None, None]


def test_process_is_absent_after_three_seconds_and_not_before() -> None:
    """At 3,000 ms of presence nothing is dropped; a moment later a hundred of its tickets are, and then the rest."""
    rig = crowded(120)
    for _ in range(4):
        rig.advance(750)
        assert rig.taken("A", beat(("lease", 0))).wakes == []
        assert queued_by(rig, "B") == (0, 120)
    rig.advance(1)
    assert rig.taken("A", beat(("lease", 0))).wakes == AGAIN
    assert queued_by(rig, "B") == (2, 20)
    assert rig.step("B") is None
    assert rig.taken("A").wakes == []
    assert fields_of(rig, "B") == []


def test_dropped_tickets_are_remembered_as_cancelled() -> None:
    """Who comes back and asks again under an id that was dropped is told so."""
    rig = crowded(10)
    for _ in range(5):
        rig.advance(750)
        rig.taken("A", beat(("lease", 0)))
    rig.register("B", SLOW)
    assert rig.enqueue("B", "b003") == ["e", "c"]


def silent_behind_a_head() -> Rig:
    """B does not read its mailbox; its ticket waits behind A's head, so that no grant finds out."""
    limits = pool_of(Bucket("requests", 60_000, jitter_ms=0), slots=2)
    rig = mini_rig(limits, "A", "B")
    rig.taken("A", enqueue("l1", limits), enqueue("l2", limits))
    rig.enqueue("B", "b0")
    rig.enqueue("A", "a1")
    rig.enqueue("B", "b1")
    rig.advance(1)
    rig.taken("A", settle("l1"))
    rig.enqueue("A", "a2")
    return rig


def test_heartbeat_finds_silent_processes_that_nobody_waits_behind() -> None:
    """A heartbeat looks at every line's head: a silent process is parked though its ticket is not first."""
    rig = silent_behind_a_head()
    rig.advance(251)
    rig.taken("A")
    assert queued_by(rig, "B") == (0, 1)
    rig.taken("A", beat(("l2", 0)))
    assert (queued_by(rig, "B") or (0,))[0] > 0
    assert queued_by(rig, "A") is not None


def test_heartbeat_parks_nobody_who_reads() -> None:
    """A process whose mailbox was read in time keeps its place, and the caller parks itself never."""
    rig = silent_behind_a_head()
    rig.advance(250)
    rig.taken("A", beat(("l2", 0)))
    assert [(queued_by(rig, name) or (9,))[0] for name in "AB"] == [0, 0]
    rig.mailbox("B")
    rig.advance(2_000)
    rig.taken("A", beat(("l2", 0)))
    assert [(queued_by(rig, name) or (9,))[0] for name in "AB"] == [0, 0]


def test_heartbeats_look_at_many_lines_in_turns() -> None:
    """Of more than 64 lines each heartbeat looks at some: all silent processes are found within a few grants."""
    limits = pool_of(Bucket("requests", 60_000, jitter_ms=0), slots=1)
    others = [f"p{i:03}" for i in range(150)]
    rig = mini_rig(limits, "A", *others)
    rig.enqueue("A", "a0")
    for process in others:
        rig.enqueue(process, f"{process}-1")
    for turn in range(12):
        rig.advance(900)
        asked = enqueue(f"a{turn + 1}", limits, band="interactive")
        rig.taken("A", settle(f"a{turn}"), asked, beat())
    shown = rig.snapshot()["processes"]
    assert [name for name in others if name in shown and shown[name]["state"] == 0] == []
