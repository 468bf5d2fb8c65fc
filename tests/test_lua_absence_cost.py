"""Tickets of an absent process are dropped many at a time, undecoded: the books are right, and it asks for little."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from llm_fleet.engine.values import Bucket
from tests.pool_rig import Rig, Wire, beat, cancel, enqueue, leave, mini_rig, pool_of, settle

FEW = pool_of(Bucket("requests", 2, jitter_ms=0), Bucket("tokens", 10**7), keys=2)
PATIENT_MS = 10**9
BANDS = ("interactive", "normal", "batch")


def asked(number: int) -> Wire:
    """The nth ticket of B: no two neighbours are of one flow, or of one size."""
    return enqueue(
        f"B-{number:x}", FEW, wait_ms=PATIENT_MS, tokens=(number % 7, 10 + number % 11), tag=("", "q", FEW.pool)[number % 3],
        band=BANDS[number % 3], tenant=("t", "t1", "1")[number % 4 % 3],
    )  # fmt: skip


def crowded(queued: int) -> Rig:
    """A has taken all there is, and B has so many tickets queued, in nine flows."""
    rig = mini_rig(FEW, "A", "B")
    rig.taken("A", *(enqueue(f"A-{i}", FEW) for i in range(4)))
    for first in range(1, queued + 1, 50):
        rig.taken("B", *(asked(number) for number in range(first, min(first + 50, queued + 1))))
    return rig


def books(rig: Rig) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Per flow, as bands and tenants name it: what is written of what waits in it, and what its tickets come to."""
    pool, live, *_ = rig.keys.all()
    written = {
        name.split("|", 2)[2]: json.loads(text)[1:5]
        for name, text in rig.client.hgetall(pool).items()
        if name.startswith("flow|")
    }
    added: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for text in rig.client.hgetall(live).values():
        if text.startswith('["q"'):
            ticket = json.loads(text)
            flow = added[f"{ticket[11]}|{ticket[12]}"]
            flow[:] = [flow[0] + 1, *(known + new for known, new in zip(flow[1:], ticket[5:8], strict=True))]
    return {flow: sums for flow, sums in written.items() if sums[0]}, dict(added)


def lines(rig: Rig) -> list[list[int]]:
    """The sums over the lines of B."""
    fields = rig.client.hgetall(rig.keys.all()[0])
    return sorted(json.loads(text)[:4] for name, text in fields.items() if name.startswith("line|B|"))


@pytest.mark.parametrize("queued", [30, 199, 200, 201, 350])
def test_sums_are_right_after_every_part(queued: int) -> None:
    """What is written of a flow, and of a line in it, is what the tickets come to that are left of it."""
    rig = crowded(queued)
    rig.taken("B", leave())
    while rig.snapshot()["waiting"]:
        written, added = books(rig)
        assert written == added
        assert lines(rig) == sorted(added.values())
        rig.taken("A")
    assert not [name for name in rig.client.hkeys(rig.keys.all()[0]) if name.startswith(("line|", "flow|"))]


def test_every_dropped_ticket_has_ended_and_nothing_of_it_waits() -> None:
    """Each is remembered as cancelled, and neither its record nor its place is left."""
    rig = crowded(130)
    rig.taken("B", leave())
    rig.taken("A")
    _, live, index, _, *generations = rig.keys.all()
    over = {name: state for key in generations for name, state in rig.client.hgetall(key).items()}
    assert {name: over[name] for name in over if name.startswith("B-")} == {
        f"B-{i:x}": "c" for i in range(1, 131)
    }
    assert not [name for name in rig.client.hkeys(live) if name.startswith("B-")]
    assert not [member for member in rig.client.execute_command("ZRANGE", index, 0, -1) if "B-" in member]


def test_ticket_is_dropped_or_withdrawn_and_not_both() -> None:
    """Who leaves and withdraws tickets in one step, of those that go at once and of those that go later, ends each once."""
    rig = crowded(350)
    said = rig.taken("B", cancel("B-3"), cancel("B-2"), leave()).results
    assert [result[:2] for result in said] == [["c", "q"], ["c", "q"], ["b"]]
    written, added = books(rig)
    assert written == added
    assert sum(sums[0] for sums in added.values()) == rig.snapshot()["waiting"] == 149


def test_process_that_comes_back_keeps_what_was_not_dropped() -> None:
    """A part of its tickets is gone; what is left is summed up as it is, and one of them goes first."""
    rig = crowded(180)
    for _ in range(5):
        rig.advance(750)
        rig.taken("A", beat())
    rig.register("B", FEW)
    rig.advance(30_000)
    assert rig.taken("B").results == []
    written, added = books(rig)
    assert written == added
    assert sum(sums[0] for sums in added.values()) == rig.snapshot()["waiting"] < 80


def test_drop_of_a_hundred_asks_for_four_words_each() -> None:
    """Of each ticket Redis is told its record to read, its member and its record to remove, and how it ended."""
    rig = mini_rig(FEW, "A", "B")
    rig.taken("A", *(enqueue(f"A-{i}", FEW) for i in range(4)))
    for first in (0, 100, 200):
        rig.taken("B", *(enqueue(f"B-{first + i:x}", FEW, wait_ms=PATIENT_MS) for i in range(100)))
    rig.taken("B", leave())
    rig.client.work()
    rig.taken("A")
    assert 500 <= rig.client.work() <= 500 + 70


def behind_many_tenants(tenants: int) -> Rig:
    """A has taken all there is, and B has one ticket queued for each of so many tenants."""
    rig = mini_rig(FEW, "A", "B")
    rig.taken("A", *(enqueue(f"A-{i}", FEW) for i in range(4)))
    for first in range(0, tenants, 50):
        names = range(first, min(first + 50, tenants))
        rig.taken("B", *(enqueue(f"B-{i + 1:x}", FEW, wait_ms=PATIENT_MS, tenant=f"t{i}") for i in names))
    return rig


def test_absent_process_with_many_lines_is_parked_once() -> None:
    """A heartbeat that meets it at the head of many lines parks it, once, and drops 24 lines; as many go with each call."""
    rig = behind_many_tenants(120)
    for _ in range(4):
        rig.advance(750)
        rig.taken("A", beat())
    rig.client.work()
    rig.advance(1)
    assert rig.taken("A", beat()).wakes == [["", "", 0]]
    assert rig.client.work() <= 2_000
    assert rig.client.hget(rig.keys.all()[0], "parked") == '["B"]'
    waiting, wakes = [rig.snapshot()["waiting"]], []
    for _ in range(4):
        wakes += rig.taken("A").wakes
        waiting.append(rig.snapshot()["waiting"])
        written, added = books(rig)
        assert written == added
    assert waiting == [96, 72, 48, 24, 0]
    assert wakes == [["", "", 0], ["", "", 0], ["", "", 20]]
    assert rig.client.hget(rig.keys.all()[0], "parked") == "[]"
    assert not [
        member for member in rig.client.execute_command("ZRANGE", rig.keys.all()[2], 0, -1) if "B" in member
    ]


def heads(rig: Rig) -> set[str]:
    """The tenants whose lines stand in the order."""
    members = rig.client.execute_command("ZRANGE", rig.keys.all()[2], 0, -1)
    return {member.split("|")[3] for member in members if member.startswith("h|")}


def test_silent_process_with_many_lines_gets_their_places_back() -> None:
    """All its lines leave the order; when it calls again all are back, and one of their tickets goes."""
    limits = pool_of(Bucket("requests", 60_000, jitter_ms=0), slots=1)
    rig = mini_rig(limits, "A", "B")
    rig.enqueue("A", "A-1")
    for i in range(6):
        rig.enqueue("B", f"B-{i + 1:x}", tenant=f"t{i}")
    rig.advance(1)
    rig.taken("A", settle("A-1"))
    assert heads(rig) == {"t1", "t2", "t3", "t4", "t5"}
    rig.advance(300)
    rig.taken("A", beat())
    assert heads(rig) == set()
    rig.register("B", limits)
    rig.taken("B")
    assert heads(rig) == {"t2", "t3", "t4", "t5"}


def test_process_whose_record_is_gone_registers_again() -> None:
    """Some of what it has queued is dropped like that of any other that is away; when it calls it is told to register."""
    limits = pool_of(Bucket("requests", 60, jitter_ms=0), slots=1)
    rig = mini_rig(limits, "A", "B")
    rig.enqueue("A", "A-1")
    for first in (0, 75):
        rig.taken("B", *(enqueue(f"B-{first + i:x}", limits) for i in range(75)))
    rig.client.execute_command("HDEL", rig.keys.all()[0], "process|B")
    beats = 0
    while rig.snapshot()["waiting"] == 150 and beats < 9:
        rig.advance(1_000)
        rig.taken("A", beat(("A-1", 0)))
        beats += 1
    assert rig.snapshot()["waiting"] == 50
    assert rig.step("B", enqueue("B-f00", limits)) is None
