"""Long walks in a crowd, numbers after a return, records that are gone, timers that are kept, and a turn begun."""

from __future__ import annotations

from typing import Any

from llm_fleet.engine.values import Bucket, LaneLimits
from tests.pool_rig import Rig, beat, cancel, enqueue, mini_rig, pool_of
from tests.pool_views import AMPLE, SECOND, explain, granted, grants_in_turn

INPUTS = Bucket("input_tokens", 600, jitter_ms=0)


def only_queue(rig: Rig) -> dict[str, Any]:
    """The queue that waits, as a snapshot shows it."""
    [queue] = rig.snapshot()["queues"]
    return dict(queue)


def starved(keys: int) -> Rig:
    """A crowd whose keys have a request again in 0.5 s, but 100 tokens in 9.5 s; the last one has both in 1 s."""
    limits = pool_of(SECOND, INPUTS, keys=keys)
    rig = mini_rig(limits)
    for first in range(0, keys - 1, 100):
        some = range(first, min(first + 100, keys - 1))
        wires = [enqueue(f"x{i}", limits, tokens=(600, 0), preferred=f"k{i}") for i in some]
        assert {result[0] for result in rig.taken("A", *wires).results} == {"g"}
    rig.advance(500)
    assert rig.enqueue("A", "last", preferred=f"k{keys - 1}")[:2] == ["g", f"k{keys - 1}"]
    return rig


def test_walk_past_keys_that_are_not_free_is_bounded() -> None:
    """A ticket that no key can take now asks for no more among 400 keys than among 100."""
    works = []
    for keys in (100, 400):
        rig = starved(keys)
        rig.client.work()
        assert rig.enqueue("A", "new", tokens=(100, 0)) == ["q"]
        works.append(rig.client.work())
    assert works[1] <= 1.05 * works[0]


def test_key_behind_64_that_are_not_free_is_used_in_time() -> None:
    """A ticket goes by the key that is free first, when it is, though a hundred others only seem to be free earlier."""
    rig = starved(120)
    asked_at, answer = rig.time_ms, rig.taken("A", enqueue("new", rig.members["A"].limits, tokens=(100, 0)))
    while not answer.grants:
        rig.advance(max(1, min(wake[2] for wake in answer.wakes)))
        answer = rig.taken("A")
    assert (answer.grants[0][:2], rig.time_ms - asked_at) == (["new", "k119"], 1_000)


def test_process_that_registers_again_asks_for_no_more() -> None:
    """After a second registration a process's new tickets are known to be new, as before it."""
    limits = pool_of(AMPLE)
    rig, works = mini_rig(limits), []
    for first in (16, 32):
        rig.enqueue("A", f"A-{first - 1:x}")
        rig.client.work()
        assert [rig.enqueue("A", f"A-{first + i:x}")[0] for i in range(10)] == ["g"] * 10
        works.append(rig.client.work())
        rig.register("A", limits)
    assert works[1] == works[0]


def test_lost_records_of_leases_keep_no_later_lease() -> None:
    """Where the records of a hundred leases are gone, a later lease that nobody renews still expires."""
    limits = pool_of(slots=1_000)
    rig = mini_rig(limits, "A", "B")
    tickets = [f"A-{i:x}" for i in range(1, 102)]
    rig.taken("A", *(enqueue(ticket, limits) for ticket in tickets))
    rig.taken("A", beat(*((ticket, 0) for ticket in tickets[:100])))
    rig.client.hdel(rig.keys.all()[1], *tickets[:100])
    rig.advance(1_000)
    rig.taken("A", beat((tickets[100], 0)))
    for _ in range(5):
        rig.advance(5_000)
        rig.taken("B")
    assert explain(rig, tickets[100])["state"] == "expired"


def test_call_that_stops_at_its_bound_leaves_timers_alone() -> None:
    """Who knows when to call is not told once more because another's call granted so much that it did not come to it."""
    limits = pool_of(AMPLE, lanes=[LaneLimits("a"), LaneLimits("b", (INPUTS,))])
    rig = mini_rig(limits, "A", "B")
    rig.enqueue("B", "eater", lane="b", tokens=(600, 0))
    rig.switch("k0", "pause", 1_000)
    for first in range(0, 600, 100):
        rig.taken("A", *(enqueue(f"A-{first + i:x}", limits, lane="a") for i in range(100)))
    told = rig.taken("B", enqueue("B-1", limits, lane="b", tokens=(100, 0))).wakes
    assert [wake[1:] for wake in told] == [["B-1", 10_000]]
    rig.advance(1_000)
    answers = [rig.taken("A"), rig.taken("A")]
    assert [len(answer.grants) for answer in answers] == [512, 88]
    assert [answer.wakes for answer in answers] == [[["", "", 0]], []]
    assert rig.mailbox("B").wakes == []


def test_queue_that_waits_for_slots_has_no_timer() -> None:
    """Once no time is waited for, nobody is shown as the one who calls."""
    rig = mini_rig(pool_of(SECOND, slots=2))
    for ticket in ("A-1", "A-2", "A-3"):
        rig.enqueue("A", ticket)
    shown = [only_queue(rig)["armed_by"]]
    rig.advance(1_000)
    assert granted(rig.taken("A")) == ["A-2"]
    assert [*shown, only_queue(rig)["armed_by"]] == ["A", ""]


def waiting_of_b() -> Rig:
    """Two tickets of B wait for the next request, in 1 s."""
    limits = pool_of(SECOND)
    rig = mini_rig(limits, "A", "B")
    rig.enqueue("A", "A-1")
    rig.taken("B", enqueue("B-1", limits), enqueue("B-2", limits))
    return rig


def test_timer_that_moves_is_kept() -> None:
    """When a ticket has to wait longer than it seemed its process, which was told, calls then: no other is told to."""
    rig = waiting_of_b()
    rig.switch("k0", "pause", 5_000)
    assert [wake[2] for wake in rig.taken("B").wakes] == [5_000]
    rig.advance(1_100)
    assert rig.taken("A").wakes == []


def test_timer_of_the_next_ticket_is_kept() -> None:
    """Who withdraws its first ticket is told when to call for its second, once: a call of another tells it nothing."""
    rig = waiting_of_b()
    assert [wake[1:] for wake in rig.taken("B", cancel("B-1")).wakes] == [["B-2", 1_000]]
    rig.taken("A")
    assert rig.mailbox("B").wakes == []


def test_timer_that_changes_hands_is_kept() -> None:
    """A timer that another armed because it was overdue is shown as its owner's again when that has called."""
    rig = waiting_of_b()
    rig.switch("k0", "pause", 5_000)
    rig.advance(1_051)
    shown = []
    for process in "AB":
        assert [wake[1:] for wake in rig.taken(process).wakes] == [["B-1", 3_949]]
        shown.append(only_queue(rig)["armed_by"])
    assert shown == ["A", "B"]


def test_turn_that_has_begun_is_counted() -> None:
    """When three have gone before an aged ticket four more go, not seven: it starts in five seconds, as it is told."""
    limits = pool_of(SECOND, aging_ms=500)
    rig = mini_rig(limits)
    rig.taken("A", enqueue("drain", limits), enqueue("old", limits, band="batch"))
    rig.taken("A", *(enqueue(f"i{i}", limits, band="interactive") for i in range(20)))
    assert grants_in_turn(rig, 3) == ["i0", "i1", "i2"]
    told = explain(rig, "old")
    assert (told["ahead"]["higher"], told["start_ms"]) == (4, 5_000)
    assert grants_in_turn(rig, 5) == ["i3", "i4", "i5", "i6", "old"]
