"""What registration leaves behind: offers in force, crowds, lifetimes, and leases after lost writes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from llm_fleet.engine.registration import Known, keyset_hash, offer
from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits, TenantLimits
from tests.lua_redis import MiniRedis, numbers_in
from tests.pool_rig import Rig, mini_rig, pool_of, settle

HOUR_MS = 3_600_000


def requests(amount: int, burst_ms: int = 2_000) -> Bucket:
    return Bucket("requests", amount, burst_ms=burst_ms, jitter_ms=0)


MINUTE = requests(60)


def waiting(rig: Rig, count: int, **options: Any) -> list[str]:
    """Asks for so many grants, and gives the ids of those that wait."""
    ids = [f"t{at}" for at in range(count)]
    return [id for id in ids if rig.enqueue("A", id, **options) == ["q"]]


def view(rig: Rig, ticket: str) -> dict[str, Any]:
    """A ticket as the script explains it."""
    return dict(json.loads(rig.call("pool_explain", ticket)))


def stored(rig: Rig, field: str) -> str | None:
    """A field of the pool's small records."""
    text = rig.timed(lambda: rig.client.hmget(rig.keys.all()[0], [field]))[0]
    return None if text is None else str(text)


def index(rig: Rig) -> list[str]:
    """The members of the index."""
    return [str(name) for name in rig.timed(lambda: rig.client.zrange(rig.keys.all()[2], 0, -1))]


def test_offer_that_is_in_force_is_known_by_its_digest() -> None:
    """A changed account is applied, the others are the same; an older offer whose key was kept is not in force."""
    limits = replace(pool_of(MINUTE, keys=2), version=1)
    changed = replace(limits.domains[1], lanes=(LaneLimits("*", (requests(30),)),))
    newer = replace(limits, domains=(limits.domains[0], changed), version=2)
    rig = mini_rig(limits)
    assert rig.register("B", newer)[4] == ["d0", "same", "d1", "applied"]
    digest = json.loads(offer(newer, Known(), 15.0, ()))["digest"]
    assert stored(rig, "accepted") == digest
    rig.register("A", replace(newer, keys=(("k0", ("d1",)), ("k1", ("d1",))), version=0))
    assert stored(rig, "accepted") == digest


def test_key_that_moved_moves_in_the_sets_of_others() -> None:
    """Who moves a key to another account moves it for all that hold it."""
    limits = pool_of(MINUTE, keys=2)
    rig = mini_rig(limits)
    rig.register("B", replace(limits, keys=(("k0", ("d1",)),)))
    assert stored(rig, f"keyset|{keyset_hash(limits)}") == "\x04k0\0d1\0k1\0d1\0"


def test_raised_limit_of_a_tenant_wakes_what_waits_for_it() -> None:
    """Registration with a larger limit counts at once: nobody waits out the old time."""

    def limited(amount: int) -> PoolLimits:
        lane = LaneLimits("*", (requests(amount, 1_000),))
        return replace(pool_of(requests(6_000)), tenants=(TenantLimits("x", lane=lane),))

    rig = mini_rig(limited(1))
    assert len(waiting(rig, 2, tenant="x")) == 1
    rig.register("A", limited(600))
    rig.advance(200)
    assert len(rig.taken("A").grants) == 1


def test_registration_renews_every_lifetime() -> None:
    """Also soon after another call."""
    rig = mini_rig(pool_of(MINUTE))
    fresh = rig.lifetimes()
    rig.advance(500)
    rig.register("A", rig.members["A"].limits)
    assert rig.lifetimes() == fresh


def test_registrations_drop_what_ended_long_ago() -> None:
    """Two of them, each a minute later, forget what ended before."""
    rig = mini_rig(pool_of(MINUTE))
    rig.enqueue("A", "t1")
    rig.taken("A", settle("t1"))
    for _ in range(2):
        rig.advance(60_000)
        rig.register("A", rig.members["A"].limits)
    assert view(rig, "t1")["state"] == "unknown"


def test_first_crowd_of_a_pool_finds_every_account() -> None:
    """Accounts that were known before have their place in its order too."""
    limits = pool_of(MINUTE, keys=10)
    rig = mini_rig(replace(limits, keys=limits.keys[:5], domains=limits.domains[:5]))
    rig.register("B", limits)
    assert sum(name.startswith("z|*|0|") for name in index(rig)) == 10


def test_crowd_of_keys_with_two_accounts_is_not_uniform() -> None:
    """Its accounts cannot be looked up one by one: no order tells which key is best."""
    limits = pool_of(MINUTE, keys=10)
    pairs = tuple((key, (*domains, "org")) for key, domains in limits.keys)
    rig = mini_rig(replace(limits, keys=pairs))
    assert stored(rig, f"keyset|{keyset_hash(limits)}") == '["#",10,0,1]'


def test_slots_that_are_new_count_what_is_in_flight() -> None:
    """With two calls in flight two slots are taken."""
    rig = mini_rig(pool_of(requests(600)))
    assert waiting(rig, 2) == []
    rig.register("A", pool_of(requests(600), slots=2))
    assert rig.enqueue("A", "t3") == ["q"]


def test_lane_that_was_taken_out_stays_out_after_lost_writes() -> None:
    """Its levels are not written back."""
    rig = mini_rig(pool_of(MINUTE, lanes=[LaneLimits("m1")]))
    rig.register("A", pool_of(MINUTE), is_lost=True)
    assert stored(rig, "buckets|d0|m1") is None


def test_overview_of_no_pool_is_empty() -> None:
    """Where nobody has registered there is nothing to show."""
    assert Rig(MiniRedis()).snapshot() == {}


def test_second_survivor_does_not_lose_the_pool_again() -> None:
    """The first that knows of lost writes empties the levels; the others of that epoch keep what has come since."""
    limits = pool_of(Bucket("requests", 600, jitter_ms=0))
    rig = mini_rig(limits, "A", "B")
    rig.register("A", limits, is_lost=True)
    rig.advance(1_000)
    rig.register("B", limits, leases=[rig.lease("t1", ["k0", 70])])
    assert (rig.bucket()["level"], rig.members["B"].known.fence) == (9, 70)


def test_lease_of_what_waits_in_a_restored_state_leaves_the_queue() -> None:
    """It is in flight, has charged what it produced, and the next of its line goes next."""
    limits = pool_of(MINUTE, Bucket("output_tokens", 6_000, jitter_ms=0, rule="as_produced"))
    rig = mini_rig(limits)
    ids = ["t0", *waiting(rig, 4)]
    lease = rig.lease(ids[1], ["k0", 2], max_output_tokens=50)
    lease.progress(20)
    rig.register("A", limits, leases=[lease], is_lost=True)
    assert [name for name in index(rig) if name[:2] in ("w|", "h|", "t|") and name.endswith(ids[1])] == []
    assert view(rig, ids[1])["charges"][1]["charged"] == 20
    rig.advance(31_000)
    assert [grant[0] for grant in rig.taken("A").grants] == ids[2:]


def test_lease_of_every_eighth_fence_teaches() -> None:
    """What a lease used that was taken over after lost writes counts for the ratio, of one in eight."""
    limits = pool_of(Bucket("input_tokens", 6_000, jitter_ms=0, rule="at_start_adjust"))
    rig, learned = mini_rig(limits), []
    for fence in (4, 8):
        rig.client.flushall()
        rig.register("A", limits, leases=[rig.lease(f"t{fence}", ["k0", fence], input_tokens=90)])
        rig.taken("A", settle(f"t{fence}", 30, 1))
        learned.append(numbers_in(stored(rig, "ratio|*") or ""))
    assert learned == [[], [2, 1, 90, 30]]


def test_what_the_clock_has_outrun_is_forgotten() -> None:
    """After a jump of hours nothing waits and nothing is in flight, also where its keys are still there."""
    rig = mini_rig(pool_of(MINUTE))
    assert len(waiting(rig, 4)) == 2
    for name in rig.every_key():
        rig.timed(lambda name=name: rig.client.execute_command("PEXPIRE", name, 10 * HOUR_MS))
    rig.advance(2 * HOUR_MS)
    rig.register("A", rig.members["A"].limits)
    shown = rig.snapshot()
    assert (shown["queues"] or [], shown["leases"], index(rig)) == ([], 0, ["", "n|A"])
