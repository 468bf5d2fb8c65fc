"""Keys without limits, leases that were never reported, lifetimes to the millisecond, versions from 0, what is learned."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace

import pytest

from llm_fleet.engine.values import Bucket, PoolLimits
from tests.lua_library import Library
from tests.lua_redis import numbers_in
from tests.pool_rig import Rig, beat, enqueue, mini_rig, pool_of, settle

HOUR_MS = 3_600_000
PLENTY = pool_of(Bucket("requests", 100_000, jitter_ms=0))


def keys_used(rig: Rig, count: int, first: int = 0) -> Counter[str]:
    """The keys of so many grants, one after the other."""
    return Counter(rig.enqueue("A", f"A-{first + i}")[1] for i in range(count))


def lasting(rig: Rig) -> int:
    """Leases in flight."""
    return int(rig.snapshot()["leases"])


@pytest.mark.parametrize(
    "limits",
    [pool_of(keys=3), pool_of(keys=3, slots=10), pool_of(Bucket("tokens", 10**7), keys=3, slots=5)],
)
def test_key_that_is_least_in_use_is_chosen(limits: PoolLimits) -> None:
    """Without limits, or where slots are scarce, each key gets as many; what ended makes room on its own key."""
    rig = mini_rig(limits, "A")
    assert set(keys_used(rig, 9).values()) == {3}
    ids = [f"A-{i}" for i in range(9)]
    owners = {view: rig.call("pool_explain", view) for view in ids}
    mine = [id for id, text in owners.items() if json.loads(text)["key"] == "k1"]
    rig.taken("A", *(settle(id) for id in mine))
    assert keys_used(rig, 2, first=9) == {"k1": 2}


def test_lease_that_was_never_reported_ends_one_ttl_after_its_grant() -> None:
    """Each lease of a silent process runs out by itself, to the millisecond, the first first."""
    rig = mini_rig(PLENTY, "A", "B")
    rig.enqueue("A", "A-1")
    rig.advance(4_000)
    rig.enqueue("A", "A-2")
    seen = []
    for ms in (5_000, 5_000, 999, 1, 3_999, 1):
        rig.advance(ms)
        rig.taken("B")
        seen.append(lasting(rig))
    assert seen == [2, 2, 2, 1, 1, 0]


def test_reported_lease_ends_one_ttl_after_its_report() -> None:
    """A heartbeat counts from its own time, for what it reports; what it leaves out counts from the grant."""
    rig = mini_rig(PLENTY, "A", "B")
    rig.taken("A", enqueue("A-1", PLENTY), enqueue("A-2", PLENTY))
    rig.advance(3_000)
    rig.taken("A", beat(("A-1", 0)))
    seen = []
    for ms in (5_000, 5_000, 1_999, 1, 2_999, 1):
        rig.advance(ms)
        rig.taken("B")
        seen.append(lasting(rig))
    assert seen == [2, 2, 2, 1, 1, 0]


def test_leases_that_end_in_time_leave_the_others_alone() -> None:
    """When a process settles its first lease, the second still runs out one TTL after its own grant."""
    rig = mini_rig(PLENTY, "A", "B")
    rig.enqueue("A", "A-1")
    rig.advance(2_000)
    rig.enqueue("A", "A-2")
    rig.taken("A", settle("A-1"))
    for ms in (5_000, 5_000, 4_999):
        rig.advance(ms)
        rig.taken("B")
        assert lasting(rig) == 1
    rig.advance(1)
    rig.taken("B")
    assert lasting(rig) == 0


def test_lifetimes_are_renewed_once_a_second() -> None:
    """A second after the last time every key gets its whole lifetime again: 30 days for limits, an hour for tickets."""
    rig = mini_rig(PLENTY, "A")
    rig.enqueue("A", "A-1")
    pool, tickets, index, expiries, *_ = rig.keys.all()
    rig.advance(999)
    rig.taken("A")
    late = {name: rig.lifetimes()[name] for name in (tickets, index, expiries)}
    assert set(late.values()) == {HOUR_MS - 999}
    rig.advance(1)
    rig.taken("A")
    assert {rig.lifetimes()[name] for name in (tickets, index, expiries)} == {HOUR_MS}
    assert rig.lifetimes()[pool] == 30 * 24 * HOUR_MS


def test_version_0_is_a_version() -> None:
    """It replaces what has no version though that was superseded once, and nothing without one replaces it."""
    first, second = (pool_of(Bucket("requests", amount)) for amount in (10, 20))
    rig = mini_rig(first, "A")
    assert rig.register("A", second)[4] == ["d0", "applied"]
    assert rig.register("A", first)[4] == ["d0", "kept"]
    assert rig.register("A", replace(first, version=0))[4] == ["d0", "applied"]
    assert rig.register("A", pool_of(Bucket("requests", 30)))[4] == ["d0", "kept"]
    assert rig.register("A", replace(second, version=0))[4] == ["d0", "kept"]


def test_fences_go_on_after_lost_writes() -> None:
    """A survivor that knows a fence brings it along, also when it holds no lease: the next grant's is above it."""
    rig = mini_rig(PLENTY, "A")
    for i in range(5):
        rig.enqueue("A", f"A-{i}")
    rig.client.flushall()
    rig.register("A", PLENTY)
    rig.advance(1_000)
    assert rig.enqueue("A", "A-9")[2] == 6


def learned(rig: Rig) -> dict[int, list[int]]:
    """What is known of reserved and used amounts in the lane, by the resource's code."""
    numbers = numbers_in(rig.client.hget(rig.keys.all()[0], "ratio|*") or "")
    return {numbers[at]: numbers[at + 1 : at + 4] for at in range(0, len(numbers), 4)}


def live(rig: Rig, count: int, used: tuple[int, int], *, ms: int = 10) -> None:
    """So many leases, settled with this usage; so much time passes before each 50."""
    limits = rig.members["A"].limits
    for first in range(0, count, 50):
        rig.advance(ms)
        ids = [f"A-{rig.steps}{first + i:04}" for i in range(min(50, count - first))]
        rig.taken("A", *(enqueue(id, limits, tokens=(100, 200)) for id in ids))
        rig.taken("A", *(settle(id, *used) for id in ids))


def test_what_is_reserved_and_used_is_learned_where_it_can_differ() -> None:
    """Of adjusted and produced resources the sums are kept; of what is charged at the start there is nothing to learn."""
    limits = pool_of(
        Bucket("requests", 100_000, jitter_ms=0),
        Bucket("input_tokens", 10**7, rule="at_start_adjust"),
        Bucket("output_tokens", 10**7, rule="as_produced"),
    )
    rig = mini_rig(limits, "A")
    live(rig, 10, (80, 50))
    assert learned(rig) == {2: [10, 1_000, 800], 3: [10, 2_000, 500]}
    rig.taken("A", enqueue("lost", limits, tokens=(100, 200)))
    rig.taken("A", settle("lost"))
    assert learned(rig)[2] == [10, 1_000, 800]


def test_what_is_learned_is_halved_so_that_new_leases_count() -> None:
    """At 256 samples all sums are halved."""
    rig = mini_rig(pool_of(Bucket("input_tokens", 10**8, rule="at_start_adjust")), "A")
    seen = []
    for _ in range(40):
        live(rig, 50, (80, 50))
        seen.append(learned(rig)[2][0])
    assert max(seen) < 256
    assert any(late < early for early, late in itertools.pairwise(seen))
    samples, reserved, actual = learned(rig)[2]
    assert (reserved, actual) == (samples * 100, samples * 80)


def test_once_enough_is_known_every_eighth_lease_teaches() -> None:
    """The first fifty all teach, after that those whose fence is a multiple of eight."""
    rig = mini_rig(pool_of(Bucket("input_tokens", 10**8, rule="at_start_adjust")), "A")
    live(rig, 50, (80, 50))
    assert learned(rig)[2][0] == 50
    live(rig, 50, (80, 50))
    assert learned(rig)[2][0] == 50 + len(range(56, 101, 8))


def test_once_enough_is_known_the_first_step_in_ten_milliseconds_teaches() -> None:
    """However many leases end, what is learned from is of the step in which ten milliseconds began."""
    rig = mini_rig(pool_of(Bucket("input_tokens", 10**8, rule="at_start_adjust")), "A")
    live(rig, 50, (80, 50))
    rig.advance(9 - rig.time_ms % 10)
    taught = []
    for _ in range(25):
        before = learned(rig)[2][0]
        live(rig, 8, (80, 50), ms=1)
        taught.append(learned(rig)[2][0] - before)
    assert taught == [1, *[0] * 9] * 2 + [1, *[0] * 4]


def test_key_is_moved_by_newer_configurations_only() -> None:
    """An older version cannot say that a key belongs to another account, a newer one can."""
    limits = replace(pool_of(Bucket("requests", 60), keys=2), version=5)
    elsewhere = replace(limits, keys=(("k0", ("d1",)), ("k1", ("d1",))))
    rig = mini_rig(limits, "A")
    seen = []
    for version in (4, 5, 6):
        rig.register("B", replace(elsewhere, version=version))
        seen.append(rig.snapshot()["keys"]["k0"]["domains"])
    assert seen == [["d0"], ["d0"], ["d1"]]


def test_lost_writes_make_a_new_epoch() -> None:
    """Who reports a lost lease gets another epoch, and everybody else has to register."""
    rig = mini_rig(PLENTY, "A", "B")
    before = rig.snapshot()["epoch"]
    rig.register("A", PLENTY, is_lost=True)
    assert rig.snapshot()["epoch"] != before
    assert rig.step("B") is None
    rig.register("B", PLENTY)
    assert rig.bucket()["level"] == 0


def test_cancelled_ticket_counts_higher_bands_before_it() -> None:
    """Its position is after all of higher bands and the earlier ones of its own flow, of all processes."""
    limits = pool_of(slots=1)
    rig = mini_rig(limits, "A", "B")
    rig.enqueue("A", "A-1")
    for process, band in (
        ("A", "interactive"),
        ("B", "normal"),
        ("B", "interactive"),
        ("A", "batch"),
        ("B", "batch"),
    ):
        rig.taken(process, enqueue(f"{process}-{band}", limits, band=band))
    rig.enqueue("A", "A-2")
    assert rig.taken("A", ["c", "A-2"]).result[2][-1] == 3
    assert rig.taken("B", ["c", "B-batch"]).result[2][-1] == 4


def test_process_that_calls_again_takes_only_itself_out_of_the_parked() -> None:
    """Of two silent processes the one that calls is served again, the other stays out of the order."""
    limits = pool_of(Bucket("requests", 60_000, jitter_ms=0), slots=3)
    rig = mini_rig(limits, "A", "B", "C")
    rig.taken("A", *(enqueue(f"A-{i}", limits) for i in range(3)))
    for i in range(2):
        rig.enqueue("B", f"B-{i}")
        rig.enqueue("C", f"C-{i}")
    rig.advance(1)
    rig.taken("A", settle("A-0"), settle("A-1"))
    rig.advance(300)
    rig.taken("A", beat(("A-2", 0)))
    states = {name: process["state"] for name, process in rig.snapshot()["processes"].items()}
    assert states["B"] > 0 < states["C"]
    if rig.step("B") is None:
        rig.register("B", limits)
    states = {name: process["state"] for name, process in rig.snapshot()["processes"].items()}
    assert states["B"] == 0 < states["C"]
    rig.taken("B")
    assert json.loads(rig.client.hget(rig.keys.all()[0], "parked")) == ["C"]
    if rig.step("C") is None:
        rig.register("C", limits)
    rig.taken("C")
    assert rig.client.hget(rig.keys.all()[0], "parked") == "[]"


def test_bucket_that_holds_just_one_request_is_not_spaced() -> None:
    """Where jitter leaves room for exactly one request, it costs one; where it leaves less, requests are spaced."""
    library = Library("bucket", "limit")
    define, limit = library["define"], library.table
    assert define(limit([1, 2, 60_000, 30_500, 500, 0])) == (2, 60_000, 60_000, 2)
    assert define(limit([1, 2, 60_000, 30_499, 500, 0])) == (2, 61_000, 61_000, 2)
