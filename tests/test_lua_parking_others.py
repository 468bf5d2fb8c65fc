"""What others get, and are told, while lines of a silent process are still in the order."""

from __future__ import annotations

import json

import pytest

from llm_fleet.engine.values import Bucket, LaneLimits, TenantLimits
from tests.pool_rig import Rig, beat, cancel, enqueue, mini_rig, pool_of, settle


def behind_a_limited_tenant() -> Rig:
    """B has not read for 300 ms; its B-3 waits for the limit of tenant t, and A's A-4, that could go, behind it."""
    lane = LaneLimits("*", (Bucket("tokens", 1_000, jitter_ms=0),))
    limits = pool_of(Bucket("tokens", 10_000, jitter_ms=0), slots=3, tenants=[TenantLimits("t", lane=lane)])
    rig = mini_rig(limits, "A", "B")
    for name, tenant, tokens in (("A-1", "t", 900), ("A-2", "u", 8_000), ("A-3", "u", 1),
                                 ("B-1", "u", 1), ("B-2", "u", 5_000), ("B-3", "t", 900), ("A-4", "t", 10)):  # fmt: skip
        rig.enqueue(name[0], name, tenant=tenant, tokens=(tokens, 0))
    rig.taken("A", settle("A-1"), settle("A-3"))
    assert rig.snapshot()["queues"][0]["waiting"] == 3
    rig.advance(300)
    return rig


@pytest.mark.parametrize("is_beat", [True, False])
def test_who_waits_behind_a_silent_process_for_the_limit_of_a_tenant_goes(is_beat: bool) -> None:
    """A heartbeat that finds a process silent lets those behind it go at once, any other step with the next one."""
    rig = behind_a_limited_tenant()
    first = rig.taken("A", *[beat(("A-2", 0))][: int(is_beat)])
    granted = [grant[0] for grant in first.grants]
    if not is_beat:
        assert (granted, first.wakes) == ([], [["", "", 0]])
        granted = [grant[0] for grant in rig.taken("A").grants]
    assert granted == ["A-4"]


def behind_a_silent_process() -> Rig:
    """B has not read for 300 ms; behind A's interactive head, which waits for refill, its B-2 heads the flow of A-3."""
    limits = pool_of(Bucket("requests", 2, jitter_ms=0), slots=1)
    rig = mini_rig(limits, "A", "B")
    rig.enqueue("A", "A-1")
    rig.enqueue("B", "B-1")
    rig.enqueue("A", "A-2", band="interactive")
    rig.enqueue("B", "B-2", tenant="v")
    rig.enqueue("A", "A-3", tenant="v")
    rig.taken("A", settle("A-1"), cancel("A-2"))
    rig.enqueue("A", "A-4", band="interactive")
    rig.advance(300)
    return rig


def test_tickets_of_a_silent_process_count_as_ahead_of_nobody() -> None:
    """Once it is known as silent, nor does a line of it that is still in the order: not for who asks, nor who withdraws."""
    rig = behind_a_silent_process()

    def ahead() -> list[int]:
        found = json.loads(rig.call("pool_explain", "A-3"))["ahead"]
        return [found["own"], found["higher"]]

    assert ahead() == [1, 1]
    rig.taken("A", beat())
    members = rig.client.execute_command("ZRANGE", rig.keys.all()[2], 0, -1)
    assert [member for member in members if member.startswith("h|") and member.endswith("|B-2")]
    assert ahead() == [0, 1]
    assert rig.taken("A", cancel("A-3")).result[2][-1] == 1


def test_lines_set_aside_behind_a_blocked_head_ask_for_another_step() -> None:
    """What a head leaves over is for who is behind 30 lines of a silent process: it goes with the next step, at once."""
    limits = pool_of(Bucket("tokens", 1_000, jitter_ms=0), slots=1, keys=3)
    rig = mini_rig(limits, "A", "B")
    rig.taken("A", *(enqueue(f"A-{i}", limits, tokens=(500, 0)) for i in range(3)))
    rig.taken("B", *(enqueue(f"B-{i + 1:x}", limits, tenant=f"t{i:02}") for i in range(31)))
    rig.taken("A", enqueue("A-3", limits, tenant="u"), settle("A-2"))
    rig.enqueue("A", "A-4", band="interactive", tokens=(900, 0))
    rig.advance(300)
    first = rig.taken("A", settle("A-0"), settle("A-1"))
    assert (first.grants, first.wakes) == ([], [["", "", 0]])
    assert [grant[0] for grant in rig.taken("A").grants] == ["A-3"]


def test_lines_of_all_that_come_back_together_are_as_many_as_of_one() -> None:
    """Two processes call again: no more than 24 lines of both come back in one step."""
    limits = pool_of(Bucket("requests", 10**6, jitter_ms=0), slots=2)
    rig = mini_rig(limits, "A", "B", "C")
    rig.taken("A", enqueue("A-1", limits), enqueue("A-2", limits))
    for name in "BC":
        rig.taken(name, *(enqueue(f"{name}-{i + 1:x}", limits, tenant=f"{name}{i}") for i in range(21)))
    rig.advance(1)
    rig.taken("A", settle("A-1"), settle("A-2"))
    for _ in "BC":
        rig.advance(300)
        while rig.taken("A").wakes[:1] == [["", "", 0]]:
            pass
    rig.taken("A", enqueue("A-3", limits), enqueue("A-4", limits))
    aside = [aside_in(rig)]
    for name in "BC":
        rig.register(name, limits)
    for _ in range(2):
        rig.taken("A")
        aside.append(aside_in(rig))
    assert aside == [38, 14, 0]


def aside_in(rig: Rig) -> int:
    """How many lines are set aside."""
    members = rig.client.execute_command("ZRANGE", rig.keys.all()[2], 0, -1)
    return sum(member.startswith("s|") for member in members)
