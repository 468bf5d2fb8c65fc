"""What tickets are told of others before them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits, TenantLimits
from tests.pool_rig import Rig, enqueue, mini_rig, pool_of, settle
from tests.projections import Once

HOUR_MS = 3_600_000
LANES = (LaneLimits("m1"), LaneLimits("m2"))


def requests(amount: int, burst_ms: int = 2_000) -> Bucket:
    return Bucket("requests", amount, burst_ms=burst_ms, jitter_ms=0)


def put(rig: Rig, *groups: tuple[int, dict[str, Any]], process: str = "A") -> list[list[str]]:
    """Tickets in groups of so many with these options, in this order; gives their ids per group."""
    limits, ids = rig.members[process].limits, []
    for count, options in groups:
        first = rig.steps * 10_000
        ids.append([f"{process}{first + at}" for at in range(count)])
        for at in range(0, count, 100):
            rig.taken(process, *(enqueue(id, limits, **options) for id in ids[-1][at : at + 100]))
    return ids


def view(rig: Rig, ticket: str) -> dict[str, Any]:
    """A ticket as the script explains it."""
    return dict(json.loads(rig.call("pool_explain", ticket)))


def drained(limits: PoolLimits, *processes: str) -> Rig:
    """A pool of requests per minute in whose accounts nothing is left."""
    rig = mini_rig(limits, *(processes or ("A",)))
    lane = limits.domains[0].lanes[-1].lane
    while rig.enqueue("A", f"drain{rig.steps}", lane=lane)[0] == "g":
        pass
    rig.taken("A", ["c", f"drain{rig.steps - 1}"])
    return rig


def test_tickets_of_another_queue_that_came_before_a_mate_go_first() -> None:
    """A tenant's later tickets that its tag lets go first wait for what came before them elsewhere: so does who is behind."""
    rig = drained(pool_of(requests(60), lanes=LANES))
    mine, _, _ = put(
        rig, (5, {"lane": "m1", "tenant": "x"}), (3, {"lane": "m2"}), (3, {"lane": "m1", "tenant": "y"})
    )
    told = view(rig, mine[4])
    assert (told["ahead"]["own"], told["ahead"]["tenants"], told["others"]) == (4, 3, 3)


def test_tickets_of_another_queue_that_came_before_a_higher_band_go_first() -> None:
    """What came to the other queue after a ticket, but before the interactive ones ahead of it, goes before it."""
    rig = drained(pool_of(requests(60), lanes=LANES))
    mine, _, _ = put(
        rig, (2, {"lane": "m1"}), (3, {"lane": "m2"}), (2, {"lane": "m1", "band": "interactive"})
    )
    told = view(rig, mine[1])
    assert (told["ahead"]["higher"], told["others"]) == (2, 3)


def test_later_head_of_another_queue_holds_up_what_is_behind_it() -> None:
    """A later ticket with a small tag heads the other queue after one grant: older ones behind it do not go first."""
    rig = drained(pool_of(requests(60), lanes=LANES))
    _, _, mine, _ = put(
        rig, (5, {"lane": "m2", "tenant": "z"}), (2, {"lane": "m2", "band": "batch"}), (2, {"lane": "m1"}),
        (1, {"lane": "m2", "tenant": "w"}),
    )  # fmt: skip
    assert view(rig, mine[1])["others"] == 1


def test_limits_of_a_lane_are_not_used_by_another_lane() -> None:
    """Tickets of other lanes come before, but take nothing of what this lane alone is allowed."""
    lanes = [LaneLimits(name, (requests(60, 1_000),)) for name in ("m1", "m2")]
    rig = drained(pool_of(requests(6_000), lanes=lanes))
    rig.enqueue("A", "m1 full", lane="m1")
    _, mine = put(rig, (10, {"lane": "m2"}), (3, {"lane": "m1"}))
    told = view(rig, mine[2])
    assert (told["others"], told["start_ms"]) == (10, 3_000)


def test_limited_tenant_in_a_higher_band_takes_no_more_than_it_may() -> None:
    """Of twenty that wait for their tenant's own limit only those are ahead that can go in time."""
    tenants = (TenantLimits("x", lane=LaneLimits("*", (requests(60, 1_000),))),)
    rig = drained(pool_of(requests(240), tenants=tenants))
    _, others = put(rig, (20, {"tenant": "x", "band": "interactive"}), (12, {"tenant": "y"}))
    assert view(rig, others[-1])["ahead"]["higher"] == 5


def test_own_limit_of_a_tenant_counts_its_higher_bands() -> None:
    """Interactive tickets of the same tenant use its limit up before a normal one."""
    tenants = (TenantLimits("x", lane=LaneLimits("*", (requests(60, 1_000),))),)
    rig = mini_rig(pool_of(requests(6_000), tenants=tenants))
    _, mine = put(rig, (6, {"tenant": "x", "band": "interactive"}), (2, {"tenant": "x"}))
    told = view(rig, mine[1])
    assert (told["start_ms"], told["binding"]["is_tenants"]) == (7_000, True)


def test_tenant_that_is_far_ahead_lets_others_go() -> None:
    """After a large grant its small tickets wait until the others have had as much: none of them is ahead."""
    rig = mini_rig(pool_of(Bucket("input_tokens", 6_000, burst_ms=10_000, jitter_ms=0)))
    sizes, limits = [1_000, *[1] * 50], rig.members["A"].limits
    rig.taken(
        "A", *(enqueue(f"y{at}", limits, tenant="y", tokens=(size, 0)) for at, size in enumerate(sizes))
    )
    [mine] = put(rig, (3, {"tenant": "x", "tokens": (5, 0)}))
    assert view(rig, mine[2])["ahead"]["tenants"] == 0


def test_small_tickets_before_large_ones_count_as_they_are() -> None:
    """Of its own flow each ticket ahead counts with its own size, of few."""
    rig = mini_rig(pool_of(Bucket("tokens", 6_000, burst_ms=10_000, jitter_ms=0)))
    put(rig, (1, {"tokens": (1_000, 0)}))
    mine, _ = put(rig, (5, {"tokens": (100, 100)}), (5, {"tokens": (900, 0)}))
    assert view(rig, mine[4])["binding"]["ahead"] == 800


def test_many_tickets_ahead_count_with_the_mean() -> None:
    """Of more than two thousand nobody looks at each: all are as large as the mean."""
    rig = mini_rig(pool_of(Bucket("input_tokens", 6_000, burst_ms=10_000, jitter_ms=0)))
    put(rig, (1, {"tokens": (1_000, 0)}))
    mine, _ = put(rig, *((2_100, {"tokens": (size, 0), "wait_ms": 10 * HOUR_MS}) for size in (100, 300)))
    told = view(rig, mine[-1])
    assert (told["ahead"]["own"], told["binding"]["ahead"]) == (2_099, 2_099 * 200)


def test_line_of_a_silent_process_is_ahead_of_its_own_tickets() -> None:
    """Who waits in a silent process is told of those before it in that process."""
    rig = drained(pool_of(requests(60)), "A", "B")
    [mine] = put(rig, (5, {}), process="B")
    for ms in (1_000, 300):
        rig.advance(ms)
        rig.taken("A")
    told = view(rig, mine[4])
    assert (told["silence"], told["ahead"]["own"]) == ("silent", 3)


def test_ticket_that_needs_what_those_before_it_do_not_use() -> None:
    """Tokens that nobody before it takes are there at once: it waits for requests alone."""
    rig = drained(pool_of(requests(60), Bucket("input_tokens", 6_000, burst_ms=10_000, jitter_ms=0)))
    _, mine = put(rig, (10, {}), (1, {"tokens": (900, 0)}))
    assert view(rig, mine[0])["start_ms"] == 11_000


def test_start_beyond_all_time_is_not_told() -> None:
    """Behind a pause of seventy years no start is expected."""
    rig = mini_rig(pool_of(requests(60)))
    rig.enqueue("A", "t0")
    rig.taken("A", settle("t0", pause_ms=2**41))
    [mine] = put(rig, (12, {"wait_ms": HOUR_MS}))
    assert "start_ms" not in view(rig, mine[-1])


def test_account_of_two_keys_counts_once() -> None:
    """Two keys that draw from one account have its limit once; it is open as soon as one of them is."""
    limits = replace(pool_of(requests(60)), keys=(("k0", ("d0",)), ("k1", ("d0",))))
    rig = drained(limits)
    rig.switch("k0", "pause", 50_000)
    [mine] = put(rig, (12, {}))
    told = view(rig, mine[11])
    assert (told["start_ms"], told["binding"]["limit"]) == (12_000, 60)


def test_start_waits_for_the_first_key_that_is_put_back() -> None:
    """While the only key is out of service for a time nothing starts."""
    rig = drained(pool_of(requests(60, 1_000)))
    rig.switch("k0", "pause", 50_000)
    [mine] = put(rig, (3, {}))
    told = view(rig, mine[2])
    assert (told["opens_ms"], told["start_ms"]) == (50_000, 52_000)


def test_limit_that_one_key_has_not_binds_nobody() -> None:
    """Where one key has no limit of requests nobody waits for requests."""
    limits = pool_of(requests(60), keys=2, slots=2)
    free = replace(limits.domains[1], lanes=(LaneLimits("*", (), 2),))
    rig = mini_rig(replace(limits, domains=(limits.domains[0], free)))
    [mine] = put(rig, (12, {}))
    told = view(rig, mine[-1])
    assert (told.get("binding"), told["calls"]) == (None, "slots")


def test_free_slot_is_enough_where_time_is_waited_for() -> None:
    """Calls that start before it will have ended: three slots are enough for thirty tickets."""
    rig = drained(pool_of(requests(60), slots=5))
    [mine] = put(rig, (30, {}))
    assert "calls" not in view(rig, mine[-1])


def test_keys_out_of_service_are_counted() -> None:
    """One that is off for ever and one for a time; not one that is back."""
    rig = drained(pool_of(requests(1), keys=3))
    rig.switch("k1", "pause", 1_000)
    rig.switch("k0", "pause")
    [mine] = put(rig, (3, {}))
    seen = [view(rig, mine[2])["outages"]]
    rig.advance(1_000)
    assert [*seen, view(rig, mine[2])["outages"]] == [2, 1]


BATCH, NORMAL, INTERACTIVE = {"band": "batch"}, {"band": "normal"}, {"band": "interactive"}
OLD = {"band": "batch", "tenant": "old"}
TURNS: dict[str, tuple[int, int, list[tuple[int, dict[str, str]]], list[tuple[int, dict[str, str]]]]] = {
    "will age": (3_000, 1, [], [(8, NORMAL), (4, NORMAL), (4, BATCH), (60, INTERACTIVE)]),
    "of the oldest": (10_000, 10_100, [(60, OLD)], [(1, BATCH), (20, INTERACTIVE)]),
    "began before": (1_000, 3_600, [(14, BATCH), (40, INTERACTIVE)], []),
    "of two bands": (1_000, 2_300, [(1, NORMAL), (20, BATCH)], [(60, INTERACTIVE), (6, NORMAL)]),
    "older normal": (1_000, 1_200, [(13, NORMAL), (12, BATCH)], [(14, INTERACTIVE), (150, NORMAL)]),
}


@pytest.mark.parametrize("name", TURNS)
def test_turns_of_aged_bands_are_told_to_the_millisecond(name: str) -> None:
    """The last batch ticket and the last interactive one, and of two bands the last normal one, start just when they are told."""
    aging_ms, ms, earlier, later = TURNS[name]
    loops = Once(mini_rig(pool_of(requests(240), aging_ms=aging_ms)))
    groups = [(loops.put(count, **options), options["band"]) for count, options in earlier]
    loops.run(ms)
    groups += [(loops.put(count, **options), options["band"]) for count, options in later]
    loops.run(1)
    last = [
        ids[-1]
        for ids, band in groups
        if band != "normal" or (ids[-1] in loops.waiting and name == "of two bands")
    ]
    assert [(told, was) for _, told, was in loops.compared(*last) if told != was] == []


def test_of_equal_tags_the_tenant_that_came_first_goes_first() -> None:
    """Two tenants take turns: the third ticket of one has three before it of who began, the other way round two."""
    rig = drained(pool_of(requests(60)))
    first, second = put(rig, (5, {"tenant": "y"}), (5, {"tenant": "x"}))
    assert [view(rig, ids[2])["ahead"]["tenants"] for ids in (first, second)] == [2, 3]
