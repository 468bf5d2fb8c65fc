"""Lines of silent processes are set aside as they are met, and put back in parts: no ticket is lost, and no step is long."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from llm_fleet.engine.values import Bucket, PoolLimits
from tests.pool_rig import (
    Answer,
    Rig,
    Wire,
    beat,
    cancel,
    enqueue,
    leave,
    mini_rig,
    open_rig,
    pool_of,
    settle,
)

ONE_SLOT = pool_of(Bucket("requests", 10**6, jitter_ms=0), slots=1)
PATIENT_MS = 10**9
MOST_WORK = 1_500
"""Commands and arguments of one step, however many lines there are."""
AT_ONCE = ["", "", 0]


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with open_rig(request) as found:
        yield found


def asked(number: int, tenant: str, limits: PoolLimits = ONE_SLOT) -> Wire:
    return enqueue(f"B-{number:x}", limits, tenant=tenant, wait_ms=PATIENT_MS)


def queue_up(rig: Rig, tenants: int, limits: PoolLimits = ONE_SLOT) -> None:
    """A holds the only slot, and B has one ticket queued for each of so many tenants."""
    for process in "AB":
        rig.register(process, limits)
    rig.enqueue("A", "A-1")
    for first in range(0, tenants, 100):
        names = range(first, min(first + 100, tenants))
        rig.taken("B", *(asked(i + 1, f"t{i:03}", limits) for i in names))


def fall_silent(rig: Rig) -> Answer:
    """B is granted a ticket and does not read of it; A calls after that, and is told that more is to do."""
    rig.advance(1)
    rig.taken("A", settle("A-1"))
    rig.advance(300)
    return rig.taken("A", beat())


def lines(rig: Rig) -> tuple[set[str], set[str]]:
    """The tenants with a line in the order, and those with one that is set aside."""
    members = rig.client.execute_command("ZRANGE", rig.keys.all()[2], 0, -1)
    heads = {member.split("|")[3] for member in members if member.startswith("h|")}
    return heads, {member.split("|")[4] for member in members if member.startswith("s|")}


def count_of_flows(rig: Rig) -> int:
    """How many flows something is known of."""
    members = rig.client.execute_command("ZRANGE", rig.keys.all()[2], 0, -1)
    fields = [name for name in rig.client.hgetall(rig.keys.all()[0]) if name.startswith("flow|")]
    assert len(fields) == len([member for member in members if member[:2] in ("t|", "p|", "e|")])
    return len(fields)


def steps_until_done(rig: Rig, process: str) -> list[int]:
    """Step at once as long as that is asked for; the work of each step."""
    works: list[int] = []
    answer = None
    while answer is None or answer.wakes[:1] == [AT_ONCE]:
        rig.client.work()
        answer = rig.taken(process)
        works.append(rig.client.work())
    return works


def test_silent_process_with_many_lines_leaves_the_order_in_parts() -> None:
    """Each step sets 25 lines aside and asks for another one at once, until somebody else may go."""
    rig = mini_rig(ONE_SLOT, "A", "B")
    queue_up(rig, 500)
    rig.client.work()
    assert fall_silent(rig).wakes == [AT_ONCE]
    assert rig.client.work() <= MOST_WORK
    works = steps_until_done(rig, "A")
    assert len(works) == 499 // 25
    assert max(works) <= MOST_WORK
    assert lines(rig) == (set(), {f"t{i:03}" for i in range(1, 500)})


def test_process_that_calls_again_comes_back_in_parts() -> None:
    """Each step puts 24 lines back, whoever calls, and in the end all have their places again."""
    rig = mini_rig(ONE_SLOT, "A", "B")
    queue_up(rig, 500)
    fall_silent(rig)
    steps_until_done(rig, "A")
    rig.taken("A", enqueue("A-2", ONE_SLOT))
    rig.client.work()
    rig.register("B", ONE_SLOT)
    assert rig.client.work() <= MOST_WORK
    assert len(lines(rig)[1]) == 499
    works = steps_until_done(rig, "A")
    assert len(works) == 499 // 24 + 1
    assert max(works) <= MOST_WORK
    assert lines(rig) == ({f"t{i:03}" for i in range(1, 500)}, set())
    assert rig.client.hget(rig.keys.all()[0], "parked") == "[]"
    rig.taken("A", settle("A-2"))
    assert [grant[0] for grant in rig.mailbox("B").grants] == ["B-2"]


def test_new_ticket_of_a_line_that_is_not_back_yet_waits_behind_it() -> None:
    """Who comes back with a new ticket does not overtake itself, and what it would not wait for is denied."""
    limits = pool_of(Bucket("requests", 10**6, jitter_ms=0), slots=100)
    rig = mini_rig(limits, "A", "B")
    rig.taken("A", *(enqueue(f"A-{i}", limits) for i in range(100)))
    rig.taken("B", *(asked(i + 1, f"t{i:02}", limits) for i in range(60)))
    rig.advance(1)
    rig.taken("A", settle("A-0"))
    rig.advance(300)
    rig.taken("A", beat(*((f"A-{i}", 0) for i in range(1, 100))))
    steps_until_done(rig, "A")
    rig.taken("A", *(settle(f"A-{i}") for i in range(1, 100)))
    rig.register("B", limits)
    said = rig.taken("B", asked(61, "t59", limits), enqueue("B-3e", limits, tenant="t59", wait_ms=0))
    assert [result[0] for result in said.results] == ["q", "d"]
    assert said.wakes == [AT_ONCE]
    assert [grant[0] for grant in said.grants] == [f"B-{i:x}" for i in range(2, 26)]
    rest = [grant[0] for _ in range(2) for grant in rig.taken("B").grants]
    assert rest == [f"B-{i:x}" for i in range(26, 62)]


def test_dead_process_with_many_lines_is_dropped_in_parts() -> None:
    """No step touches more than some of its lines; all of them go."""
    rig = mini_rig(ONE_SLOT, "A", "B")
    queue_up(rig, 500)
    works: list[int] = []
    wakes = []
    for _ in range(60):
        rig.advance(750 if len(works) < 6 else 20)
        rig.client.work()
        wakes.append(rig.taken("A", beat(("A-1", 0))).wakes)
        works.append(rig.client.work())
    assert max(works) <= MOST_WORK
    assert [["", "", 20]] in wakes
    assert rig.snapshot()["waiting"] == 0
    assert lines(rig) == (set(), set())


def test_process_that_leaves_with_many_lines_goes_in_parts() -> None:
    """Neither its own step nor a later one touches more than some of its lines; none of its tickets is granted."""
    rig = mini_rig(ONE_SLOT, "A", "B")
    queue_up(rig, 500)
    rig.client.work()
    assert rig.taken("B", leave()).grants == []
    works = [rig.client.work()]
    waiting = [rig.snapshot()["waiting"]]
    while waiting[-1]:
        rig.client.work()
        rig.taken("A", settle("A-1"))
        works.append(rig.client.work())
        waiting.append(rig.snapshot()["waiting"])
    assert max(works) <= MOST_WORK
    assert waiting[:3] == [476, 452, 428]
    assert rig.snapshot()["leases"] == 0
    assert lines(rig) == (set(), set())
    assert "process|B" not in rig.client.hgetall(rig.keys.all()[0])


def test_every_server_parks_brings_back_and_drops_in_parts(rig: Rig) -> None:
    """Also where time and scripts are real: 60 lines go and come back, and go with their process."""
    queue_up(rig, 60)
    assert fall_silent(rig).wakes == [AT_ONCE]
    assert len(lines(rig)[1]) == 25
    while rig.taken("A").wakes[:1] == [AT_ONCE]:
        pass
    assert len(lines(rig)[1]) == 59
    rig.taken("A", enqueue("A-2", ONE_SLOT))
    rig.register("B", ONE_SLOT)
    while rig.taken("B").wakes[:1] == [AT_ONCE]:
        pass
    assert (len(lines(rig)[0]), lines(rig)[1]) == (59, set())
    rig.taken("B", leave())
    assert rig.snapshot()["waiting"] == 35
    rig.taken("A")
    rig.taken("A")
    assert rig.snapshot()["waiting"] == 0
    assert lines(rig) == (set(), set())


def test_line_that_is_set_aside_and_withdrawn_leaves_nothing() -> None:
    """Who comes back only to withdraw all it had queued: neither a line nor its being set aside is left."""
    rig = mini_rig(ONE_SLOT, "A", "B")
    queue_up(rig, 60)
    rig.taken("B", asked(61, "t059"))
    fall_silent(rig)
    steps_until_done(rig, "A")
    rig.register("B", ONE_SLOT)
    assert rig.taken("B", cancel("B-3c")).wakes == [AT_ONCE]
    assert lines(rig)[1] == {f"t{i:03}" for i in range(25, 60)}
    said = rig.taken("B", *(cancel(f"B-{i:x}") for i in range(1, 62)))
    assert said.wakes == [AT_ONCE]
    assert lines(rig) == (set(), set())
    assert rig.client.hget(rig.keys.all()[0], "parked") == '["B"]'
    assert rig.taken("A").wakes == []
    assert rig.client.hget(rig.keys.all()[0], "parked") == "[]"
    assert rig.client.hget(rig.keys.all()[0], "queues") == "{}"


def test_process_that_falls_silent_again_on_its_way_back_is_parked_again() -> None:
    """A part of its lines is back; they are set aside again, and each of its tickets still goes."""
    rig = mini_rig(ONE_SLOT, "A", "B")
    queue_up(rig, 60)
    fall_silent(rig)
    steps_until_done(rig, "A")
    rig.register("B", ONE_SLOT)
    rig.advance(1)
    assert [grant[0] for grant in rig.taken("A").grants] == []
    rig.advance(300)
    rig.taken("A")
    steps_until_done(rig, "A")
    assert len(lines(rig)[1]) == 58  # one was granted, and that was taken back
    assert json.loads(rig.client.hget(rig.keys.all()[0], "parked")) == ["B"]
    rig.register("B", ONE_SLOT)
    order: list[str] = []
    while len(order) < 58:
        told = rig.taken("B", *(settle(name) for name in order[-1:]))
        order += [grant[0] for grant in (*told.grants, *rig.mailbox("B").grants)]
    assert sorted(order, key=lambda name: int(name[2:], 16)) == [f"B-{i:x}" for i in range(3, 61)]


def test_queue_with_many_empty_flows_closes_in_parts() -> None:
    """Of 400 tenants that had had their turn 250 are forgotten in the step in which the last ticket goes, the others then."""
    limits = pool_of(Bucket("requests", 10**6, jitter_ms=0), slots=400)
    rig = mini_rig(limits, "A", "B")
    parts = [range(first, first + 100) for first in (0, 100, 200, 300)]
    for part in parts:
        rig.taken("A", *(enqueue(f"A-{i}", limits) for i in part))
    for turn in (0, 400):
        for part in parts:
            rig.taken("B", *(asked(turn + i + 1, f"t{i}", limits) for i in part))
    for part in parts:
        rig.taken("A", *(settle(f"A-{i}") for i in part))
    answers = [rig.taken("B", *(cancel(f"B-{401 + i:x}") for i in part)) for part in parts]
    assert [answer.wakes for answer in answers] == [[], [], [], [AT_ONCE]]
    assert [count_of_flows(rig), rig.taken("A").wakes, count_of_flows(rig)] == [150, [], 0]
    assert rig.client.hget(rig.keys.all()[0], "queues") == "{}"
    rig.taken("B", asked(900, "t0", limits), asked(901, "t0", limits))
    rig.taken("B", settle("B-1"))
    rig.taken("B", cancel(f"B-{901:x}"))
    assert count_of_flows(rig) == 0
    assert rig.client.hget(rig.keys.all()[0], "queues") == "{}"


def test_what_is_left_of_a_line_that_was_dropped_in_part_comes_back() -> None:
    """Of 250 tickets of a process that leaves 200 go; it is there again before the others have gone, and they are served."""
    rig = mini_rig(ONE_SLOT, "A", "B")
    queue_up(rig, 0)
    for first in (1, 126):
        rig.taken("B", *(asked(number, "t") for number in range(first, first + 125)))
    rig.taken("B", leave())
    assert (rig.snapshot()["waiting"], lines(rig)) == (50, (set(), {"t"}))
    rig.register("B", ONE_SLOT)
    rig.taken("A", settle("A-1"))
    assert lines(rig) == ({"t"}, set())
    assert [grant[0] for grant in rig.mailbox("B").grants] == ["B-c9"]


def test_ticket_that_a_process_asks_for_as_it_leaves_stops_nobody() -> None:
    """It is no line yet that could be set aside: the pump passes it, and it goes with the next part."""
    rig = mini_rig(ONE_SLOT, "A", "B")
    queue_up(rig, 30)
    assert rig.taken("B", asked(31, "t030"), leave()).wakes == [["", "", 20]]
    assert lines(rig) == ({"t030"}, {f"t{i:03}" for i in range(24, 30)})
    rig.taken("A")
    assert (rig.snapshot()["waiting"], lines(rig)) == (0, (set(), set()))
