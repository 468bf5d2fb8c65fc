"""What a process has used by itself is taken from the pool's levels once, and what it has in flight counts again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.engine.lease import Lease
from llm_fleet.engine.registration import Known, offer
from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits, TenantLimits
from tests.lua_library import examples
from tests.oracle_buckets import UNIT, OracleBucket
from tests.pool_rig import Rig, Wire, beat, cancel, enqueue, mini_rig, open_rig, per_day, pool_of, settle
from tests.pool_views import explain

MINUTE = Bucket("requests", 60, jitter_ms=0)
OUTPUT = Bucket("output_tokens", 6_000, jitter_ms=0, rule="as_produced")
ADJUSTED = Bucket("input_tokens", 6_000, jitter_ms=0, rule="at_start_adjust")
REQUESTS, INPUT, OF_DAY = 1, 2, 10
HOUR_MS = 3_600_000


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An empty rig, on the fake server and on a real one."""
    with open_rig(request) as opened:
        yield opened


def used(units: int, *, field: str = "d0|*", kind: int = REQUESTS, debt: int = 0, unit: int = UNIT) -> Wire:
    """What the local bucket of a limit lacks."""
    return [field, kind, units, debt, unit]


def returned(id: str, *lacks: Wire, leases: Sequence[Wire] = ()) -> Wire:
    """One return."""
    return [id, list(lacks), list(leases)]


def served(rig: Rig, ticket: str, key: str = "k0", *, produced: int = 0, fence: int = 0, **need: Any) -> Wire:
    """A lease that a process gave itself, as it registers with it."""
    lease: Lease = rig.lease(ticket, (key, fence), **need)
    lease.progress(produced)
    return wires_of(rig, lease)[0]


def wires_of(rig: Rig, *leases: Lease) -> list[Wire]:
    """Leases as a process registers with them."""
    return list(json.loads(offer(rig.members["A"].limits, Known(), 15.0, leases))["leases"])


def take_back(rig: Rig, *returns: Wire, process: str = "A", **options: Any) -> list[Any]:
    """A process registers again with what it returns."""
    return rig.register(process, rig.members[process].limits, returns=returns, **options)


def levels(rig: Rig, field: str = "d0|*") -> list[int]:
    """The levels of a record as they were written last."""
    return [level for level, _, _ in rig.units()[field]]


# -- levels --------------------------------------------------------------------------------------


def test_levels_are_lowered_by_what_the_local_buckets_lacked(rig: Rig) -> None:
    """Each named limit by just that, and no other; what was debt there is part of it."""
    rig.register("A", pool_of(per_day(100), per_day(10**6, "tokens"), keys=2))
    take_back(
        rig, returned("r1", used(30 * UNIT, kind=OF_DAY + 1, debt=7), used(5, kind=OF_DAY + 4, field="d1|*"))
    )
    assert [rig.bucket(0)["level"], rig.bucket(1)["level"]] == [70, 10**6]
    assert levels(rig, "d1|*") == [100 * UNIT, 10**6 * UNIT - 5]


def test_what_was_returned_is_not_taken_again(rig: Rig) -> None:
    """However often it is said, whatever has happened between."""
    rig.register("A", pool_of(per_day(100)))
    for _ in range(2):
        take_back(rig, returned("r1", used(30 * UNIT, kind=OF_DAY + 1)))
    rig.enqueue("A", "A-1")
    take_back(
        rig, returned("r1", used(30 * UNIT, kind=OF_DAY + 1)), returned("r2", used(UNIT, kind=OF_DAY + 1))
    )
    rig.taken("A", settle("A-1", 1, 1))
    take_back(rig, returned("r2", used(UNIT, kind=OF_DAY + 1)))
    assert rig.bucket()["level"] == 100 - 30 - 1 - 1


def test_id_that_stands_twice_in_one_call_counts_once() -> None:
    """The first of two returns with one id is carried out."""
    rig = mini_rig(pool_of(MINUTE))
    take_back(rig, returned("r1", used(UNIT)), returned("r1", used(5 * UNIT)))
    assert levels(rig) == [59 * UNIT]


def test_id_that_was_withdrawn_is_not_carried_out() -> None:
    """A return is remembered as tickets are: its id has ended, as that of one that was cancelled."""
    rig = mini_rig(pool_of(MINUTE))
    rig.taken("A", cancel("r1"))
    take_back(rig, returned("r1", used(UNIT)), returned("r2"))
    assert levels(rig) == [60 * UNIT]
    assert rig.taken("A", cancel("r2")).result == ["c", "c"]


@pytest.mark.parametrize(("back", "level"), [(5, 35), (29, 59), (500, 60)])
def test_what_was_told_in_advance_and_not_spent_comes_back(back: int, level: int) -> None:
    """A negative lack raises a level, never above the capacity; and once."""
    rig = mini_rig(pool_of(MINUTE))
    take_back(rig, returned("r1", used(30 * UNIT)))
    for _ in range(2):
        take_back(rig, returned("r2", used(-back * UNIT)))
        assert levels(rig) == [level * UNIT]


@pytest.mark.parametrize("nothing", [used(0), used(0, debt=5)], ids=str)
def test_return_that_lacks_nothing_lowers_no_level(nothing: Wire) -> None:
    """A local bucket that is full lacks nothing."""
    rig = mini_rig(pool_of(MINUTE))
    rig.enqueue("A", "A-1")
    before = rig.units()
    rig.advance(300)
    take_back(rig, returned("r1", nothing))
    assert rig.units() == before


def test_minute_and_day_of_a_resource_are_told_apart() -> None:
    """The kind names the period too; the lanes of an account are apart."""
    rig = mini_rig(pool_of(MINUTE, per_day(600), lanes=[LaneLimits("big", (MINUTE,))]))
    take_back(
        rig, returned("r1", used(UNIT), used(2 * UNIT, kind=OF_DAY + 1), used(3 * UNIT, field="d0|big"))
    )
    assert (levels(rig), levels(rig, "d0|big")) == ([59 * UNIT, 598 * UNIT], [57 * UNIT])


def test_what_has_no_bucket_any_more_is_skipped() -> None:
    """An account, a lane, a limit or a tenant that is gone takes nothing from the others, and breaks nothing."""
    rig = mini_rig(pool_of(MINUTE))
    gone = [used(UNIT, field=field) for field in ("d9|*", "d0|big", "tenant:x|*", "d0", "")]
    take_back(rig, returned("r1", *gone, used(UNIT, kind=INPUT), used(2 * UNIT)))
    assert rig.units() == {"d0|*": [(58 * UNIT, 0, rig.time_ms)]}


def test_level_below_nothing_is_debt() -> None:
    """What the process used beyond what was left is lent: nobody goes before it is paid back."""
    rig = mini_rig(pool_of(MINUTE), "A", "B")
    take_back(rig, returned("r1", used(40 * UNIT)))
    take_back(rig, returned("r2", used(40 * UNIT)), process="B")
    assert levels(rig) == [-20 * UNIT]
    assert rig.enqueue("A", "A-1") == ["q"]
    assert [wake[2] for wake in rig.taken("A").wakes] == [21_000]


def spaced(amount: int, jitter_ms: int) -> Bucket:
    """Less than one request would be left of this burst: they are spaced, and one costs more than a unit."""
    return Bucket("requests", amount, burst_ms=jitter_ms, jitter_ms=jitter_ms)


@examples
@given(st.integers(0, 10**9), st.integers(1, 3_000), st.integers(1, 3_000), st.integers(1, 10_000))
def test_units_of_another_measure_are_converted_upwards(
    units: int, mine: int, pools: int, jitter_ms: int
) -> None:
    """The level falls by the least whole number that is no less than what was used."""
    limit, local = spaced(pools, jitter_ms), OracleBucket(spaced(mine, jitter_ms), 0)
    rig = mini_rig(pool_of(limit))
    full = OracleBucket(limit, 0)
    take_back(rig, returned("r1", used(units, unit=local.unit)))
    assert levels(rig) == [full.level + -units * full.unit // local.unit]


@pytest.mark.parametrize("units", [2**52 + 1, 60_000_030_001, 119_999_999_999])
def test_units_of_the_same_measure_are_what_they_are(units: int) -> None:
    """However large the measure."""
    limit = spaced(1_000_000, 60_000)
    rig = mini_rig(pool_of(limit))
    unit = OracleBucket(limit, 0).unit
    take_back(rig, returned("r1", used(units, unit=unit)))
    assert levels(rig) == [unit - units]


# -- who waits, and which key is chosen ----------------------------------------------------------


def test_next_wake_is_as_late_as_the_level_is_low() -> None:
    """8: who waits for the limit that was lowered goes when it has refilled, and not before."""
    rig = mini_rig(pool_of(Bucket("requests", 60, burst_ms=2_000, jitter_ms=0)))
    rig.taken("A", *(enqueue(f"A-{i}", rig.members["A"].limits) for i in range(1, 4)))
    take_back(rig, returned("r1", used(4 * UNIT)))
    rig.advance(1_000)
    assert [wake[2] for wake in rig.taken("A").wakes] == [4_000]
    rig.advance(3_999)
    assert rig.taken("A").grants == []
    rig.advance(1)
    assert [grant[0] for grant in rig.taken("A").grants] == ["A-3"]


def test_who_waits_for_its_tenants_limit_waits_for_the_lowered_one() -> None:
    """Its flow is looked at again in the next step, and its wake is later then."""
    tenant = TenantLimits("x", lane=LaneLimits("*", (Bucket("requests", 60, burst_ms=1_000, jitter_ms=0),)))
    rig = mini_rig(replace(pool_of(Bucket("requests", 6_000, jitter_ms=0)), tenants=(tenant,)))
    assert [rig.enqueue("A", f"A-{i}", tenant="x")[0] for i in (1, 2)] == ["g", "q"]
    take_back(rig, returned("r1", used(2 * UNIT, field="tenant:x|*")))
    assert [wake[1:] for wake in rig.taken("A").wakes] == [["A-2", 3_000]]
    rig.advance(2_999)
    assert rig.taken("A").grants == []
    rig.advance(1)
    assert len(rig.taken("A").grants) == 1


@pytest.mark.parametrize("free", [0, 7, 11])
def test_crowd_of_keys_goes_by_the_lowered_levels(free: int) -> None:
    """Of twelve keys the only one whose level was not lowered is found, and after it the one that is back first."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0), keys=12)
    rig = mini_rig(limits)
    lacks = [used((1 + (i - free - 1) % 12) * UNIT, field=f"d{i}|*") for i in range(12) if i != free]
    take_back(rig, returned("r1", *lacks, used(UNIT // 2, field=f"d{(free + 1) % 12}|*")))
    assert rig.enqueue("A", "A-1")[:2] == ["g", f"k{free}"]
    assert rig.enqueue("A", "A-2") == ["q"]
    assert [wake[2] for wake in rig.taken("A").wakes] == [1_000]
    rig.enqueue("A", "A-3")
    keys = []
    for _ in range(3):
        rig.advance(500)
        keys.append([grant[1] for grant in rig.taken("A").grants])
    assert keys == [[], [f"k{free}"], [f"k{(free + 1) % 12}"]]


# -- after lost writes ---------------------------------------------------------------------------


def test_survivor_of_lost_writes_returns_its_debt_alone(rig: Rig) -> None:
    """Nothing is above 0 then: what its local buckets lacked is no less lost than what Redis knew."""
    rig.register("A", pool_of(per_day(100)))
    take_back(rig, returned("r1", used(30 * UNIT, kind=OF_DAY + 1, debt=2 * UNIT)), is_lost=True)
    assert rig.bucket()["level"] == -2


def test_second_survivor_too(rig: Rig) -> None:
    """It knows the epoch that was lost, and registers in what has come after it; the return counts once."""
    for name in "AB":
        rig.register(name, pool_of(per_day(100)))
    rig.client.flushall()
    take_back(rig, returned("a", used(30 * UNIT, kind=OF_DAY + 1, debt=2 * UNIT)))
    for _ in range(2):
        take_back(rig, returned("b", used(30 * UNIT, kind=OF_DAY + 1, debt=3 * UNIT)), process="B")
    assert rig.bucket()["level"] == -5


def test_new_process_of_an_old_pool_is_no_survivor() -> None:
    """It returns what it used, whatever was lost before it came."""
    rig = mini_rig(pool_of(per_day(100)), "A")
    rig.register("A", pool_of(per_day(100)), is_lost=True)
    rig.register("C", pool_of(per_day(100)), returns=[returned("c", used(UNIT, kind=OF_DAY + 1, debt=5))])
    assert levels(rig) == [-UNIT]


def test_leases_of_a_survivor_and_of_its_returns_count_once_each() -> None:
    """One that stands in both is one."""
    rig = mini_rig(pool_of(per_day(100), OUTPUT))
    leases = [rig.lease(f"t{i}", ("k0", i), max_output_tokens=50) for i in (1, 2)]
    mine = [served(rig, f"t{i}", max_output_tokens=50) for i in (2, 3)]
    take_back(rig, returned("r1", leases=mine), is_lost=True, leases=leases)
    assert rig.snapshot()["leases"] == 3
    assert rig.units()["d0|*"][0][:2] == (-3 * UNIT, 0)
    assert rig.units()["d0|*"][1][:2] == (0, 3 * 50 * UNIT)


# -- leases --------------------------------------------------------------------------------------

BOTH = pool_of(MINUTE, ADJUSTED, OUTPUT, slots=2)


def with_lease(limits: PoolLimits = BOTH, **options: Any) -> Rig:
    """A rig whose process A has brought a lease, A-1, that it gave itself: 90 tokens in, at most 40 out."""
    rig = mini_rig(limits)
    need = {"input_tokens": 90, "max_output_tokens": 40, **options}
    take_back(rig, returned("r1", leases=[served(rig, "A-1", **need)]))
    return rig


def test_lease_takes_what_a_grant_takes() -> None:
    """Levels, hold, slot and place in flight are those of a grant, also where nothing was lost."""
    rig, granted = with_lease(), mini_rig(BOTH)
    granted.enqueue("A", "A-1", tokens=(90, 40))
    assert rig.units() == granted.units()
    assert rig.snapshot()["domains"]["d0"]["in_flight"] == 1
    assert [rig.enqueue("A", f"A-{i}")[0] for i in (2, 3)] == ["g", "q"]


def test_lease_that_produced_already_has_charged_it() -> None:
    """What has come of its output counts at once, and what is predicted is held for the rest."""
    rig = with_lease(produced=15)
    assert rig.units()["d0|*"][2][:2] == (6_000 * UNIT - 15 * UNIT, 25 * UNIT)


@pytest.mark.parametrize(("end", "left"), [
    (settle("A-1", 50, 30), (59, 5_950, 5_970)),
    (settle("A-1", 100, 70), (59, 5_900, 5_930)),
    (settle("A-1"), (59, 5_910, 5_960)),
    (cancel("A-1"), (60, 6_000, 6_000)),
], ids=str)  # fmt: skip
def test_lease_ends_as_any_does(end: Wire, left: tuple[int, ...]) -> None:
    """Settled or cancelled it gives back what it did not use, its hold and its slot, and once."""
    rig = with_lease()
    for _ in range(2):
        rig.taken("A", end)
        assert rig.units()["d0|*"] == [(amount * UNIT, 0, rig.time_ms) for amount in left]
    shown = rig.snapshot()
    assert (shown["leases"], shown["domains"]["d0"]["in_flight"]) == (0, 0)


def test_lease_lives_on_by_heartbeats_and_runs_out_without() -> None:
    """One TTL after the last one what is left of its hold counts as consumed, and its slot is free."""
    rig = with_lease()
    for _ in range(6):
        rig.advance(5_000)
        assert rig.taken("A", beat(("A-1", 9))).result == ["h", [], []]
    for _ in range(3):
        rig.advance(5_000)
        rig.taken("A")
    assert rig.taken("A", beat(("A-1", 9))).result == ["h", [["A-1", "x"]], []]
    assert rig.snapshot()["domains"]["d0"]["in_flight"] == 0
    assert [held for _, held, _ in rig.units()["d0|*"]] == [0, 0, 0]


def test_lease_that_is_never_reported_runs_out_too() -> None:
    """One TTL after the return, though its process goes on."""
    rig = with_lease()
    for _ in range(3):
        rig.advance(5_000)
        rig.taken("A")
    assert explain(rig, "A-1")["state"] == "expired"


def test_lease_that_is_due_runs_out_though_another_is_returned() -> None:
    """What was granted one TTL ago and never reported ends with the next step, and the returned lease a TTL later."""
    rig = mini_rig(BOTH)
    rig.enqueue("A", "A-1", tokens=(90, 40))
    for _ in range(3):
        rig.advance(5_000)
        take_back(rig, returned("r1"))
    take_back(rig, returned("r2", leases=[served(rig, "A-2", max_output_tokens=40)]))
    rig.taken("A")
    assert [explain(rig, id)["state"] for id in ("A-1", "A-2")] == ["expired", "granted"]
    for _ in range(3):
        rig.advance(5_000)
        rig.taken("A")
    assert explain(rig, "A-2")["state"] == "expired"


def test_lease_that_is_returned_after_a_jump_of_hours_runs_out() -> None:
    """What was due before has gone with all that ran out; the new lease is due for itself."""
    rig = mini_rig(BOTH)
    rig.enqueue("A", "A-1")
    for name in rig.every_key():
        rig.timed(lambda name=name: rig.client.execute_command("PEXPIRE", name, 10 * HOUR_MS))
    rig.advance(2 * HOUR_MS)
    take_back(rig, returned("r1", leases=[served(rig, "A-2")]))
    rig.taken("A")
    assert [explain(rig, id)["state"] for id in ("A-1", "A-2")] == ["unknown", "granted"]
    for _ in range(3):
        rig.advance(5_000)
        rig.taken("A")
    assert explain(rig, "A-2")["state"] == "expired"


@pytest.mark.parametrize("end", [None, settle("A-1", 1, 1), cancel("A-1")], ids=str)
def test_lease_whose_id_is_known_is_not_taken_again(end: Wire | None) -> None:
    """In flight or ended: it stays what it is, whichever return it comes with."""
    rig = with_lease()
    for wire in [end] if end else []:
        rig.taken("A", wire)
    before = rig.units(), rig.snapshot()["leases"]
    take_back(rig, returned("r2", leases=[served(rig, "A-1", input_tokens=90, max_output_tokens=40)]))
    assert (rig.units(), rig.snapshot()["leases"]) == before


def test_lease_of_what_waits_leaves_the_queue() -> None:
    """A ticket that was served without Redis does not wait there any more: the next of its line does."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0))
    rig = mini_rig(limits)
    rig.taken("A", *(enqueue(f"A-{i}", limits) for i in range(1, 4)))
    take_back(rig, returned("r1", leases=[served(rig, "A-2")]))
    assert (rig.snapshot()["leases"], rig.snapshot()["waiting"]) == (2, 1)
    rig.advance(2_000)
    assert [grant[0] for grant in rig.taken("A").grants] == ["A-3"]


def test_ticket_of_a_lease_is_not_new() -> None:
    """Who asks for it again is told of the lease, and of no second one; a later one is new."""
    rig = mini_rig(BOTH)
    take_back(
        rig, returned("r1", leases=[served(rig, name, fence=5) for name in ("A-1f", "B-2", "A-", "A-x")])
    )
    assert rig.enqueue("A", "A-1f") == ["g", "k0", 5, 1000]
    assert rig.enqueue("A", "A-1e")[0] == "q"
    assert rig.snapshot()["leases"] == 4


@pytest.mark.parametrize("number", [2**50, 2**64, 16**40])
def test_number_of_a_lease_may_be_any(number: int) -> None:
    """One too large to count makes none new: each ticket is looked up from then on."""
    rig = mini_rig(pool_of(MINUTE))
    take_back(rig, returned("r1", leases=[served(rig, f"A-{number:x}")]))
    assert [rig.enqueue("A", name)[0] for name in (f"A-{number:x}", "A-1", "A-1")] == ["g", "g", "g"]
    assert (rig.snapshot()["leases"], levels(rig)) == (2, [58 * UNIT])


def test_lease_of_a_key_that_is_not_known_breaks_nothing() -> None:
    """It is in flight, of no account that has limits, and ends; the others are as they should be."""
    rig = mini_rig(BOTH)
    odd = [served(rig, "A-1", "k9"), served(rig, "A-2", lane="none"), served(rig, "A-3", tenant="nobody")]
    take_back(rig, returned("r1", used(UNIT), leases=odd))
    assert rig.snapshot()["leases"] == 3
    assert rig.units()["d0|*"][0][0] == 57 * UNIT
    said = rig.taken(
        "A", beat(("A-1", 3), ("A-2", 0), ("A-3", 0)), *(settle(f"A-{i}", 1, 1) for i in (1, 2, 3))
    )
    assert said.results == [["h", [], []], ["s", "s"], ["s", "s"], ["s", "s"]]
    assert rig.snapshot()["leases"] == 0


def test_many_returns_at_once_are_read_together() -> None:
    """A thousand leases and two hundred limits in twenty returns: ten words for each lease, five for each limit and six for each."""
    rig = mini_rig(pool_of(per_day(10_000), keys=200))
    leases = wires_of(rig, *(rig.lease(f"A-{i:x}", (f"k{i % 10}", 0)) for i in range(1, 1_001)))
    lacks = [used(3 * UNIT, field=f"d{i}|*", kind=OF_DAY + 1) for i in range(200)]
    returns = [
        returned(f"r{i}", *lacks[10 * i : 10 * i + 10], leases=leases[50 * i : 50 * i + 50])
        for i in range(20)
    ]
    rig.client.work()
    take_back(rig)
    plain = rig.client.work()
    take_back(rig, *returns)
    assert rig.client.work() - plain <= 10 * 1_000 + 5 * 200 + 6 * 20
    assert rig.snapshot()["leases"] == 1_000
    left = [levels(rig, f"d{i}|*")[0] for i in range(200)]
    assert left == [(10_000 - 3 - 100) * UNIT] * 10 + [(10_000 - 3) * UNIT] * 190
