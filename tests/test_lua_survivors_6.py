"""Large pools, parked flows as people see them, key sets that outlive their process, and tenants after lost writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_fleet.engine.registration import keyset_hash
from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits, TenantLimits
from tests.pool_rig import Rig, enqueue, mini_rig, pool_of, settle

MINUTE = Bucket("requests", 600, jitter_ms=0)
TENANT = TenantLimits("t", 2_000, LaneLimits("*", (Bucket("requests", 60, burst_ms=1_000, jitter_ms=0),), 2))


def limited(*, slots: int = 2) -> PoolLimits:
    """One key, and a tenant that may make one request a second."""
    lane = LaneLimits("*", TENANT.lane.buckets if TENANT.lane else (), slots)
    return replace(pool_of(MINUTE), tenants=(TenantLimits("t", 2_000, lane),))


def flows_of(rig: Rig) -> dict[str, dict[str, Any]]:
    """The flows of the only queue by tenant."""
    [queue] = rig.snapshot()["queues"]
    return {flow.pop("tenant"): flow for flow in queue["flows"]}


def test_pool_of_many_accounts_is_read_in_parts() -> None:
    """Six hundred accounts are more than one command reads: all are shown, with what was taken from each."""
    limits = pool_of(MINUTE, keys=600)
    rig = mini_rig(limits, "A")
    told = rig.taken("A", *(enqueue(f"A-{i}", limits) for i in range(100)))
    taken = {result[1].removeprefix("k") for result in told.results}
    rig.register("B", limits)
    domains = rig.snapshot()["domains"]
    levels = {name.removeprefix("d"): domain["lanes"]["*"][0]["level"] for name, domain in domains.items()}
    assert len(levels) == 600
    assert sum(600 - level for level in levels.values()) == 100
    assert {name for name, level in levels.items() if level < 600} == taken


def test_process_with_many_leases_reports_them_all() -> None:
    """More than a thousand leases are renewed by one report, and those that are left out are told."""
    limits = pool_of(Bucket("requests", 100_000, jitter_ms=0))
    rig = mini_rig(limits, "A")
    ids = [f"A-{i}" for i in range(1, 1_101)]
    for first in range(0, 1_100, 100):
        rig.taken("A", *(enqueue(id, limits) for id in ids[first : first + 100]))
    _, unknown, missing = rig.taken("A", ["h", [[id, 0] for id in ids[:1_050]]]).result
    assert unknown == []
    assert sorted(grant[0] for grant in missing) == sorted(ids[1_050:])


def test_flow_of_a_limited_tenant_is_shown_as_parked() -> None:
    """It tells when its tenant's limit lets it go; a flow that waits for a tenant's slot has no such time."""
    rig = mini_rig(limited(), "A")
    assert rig.enqueue("A", "t1", tenant="t")[0] == "g"
    assert rig.enqueue("A", "t2", tenant="t") == ["q"]
    rig.advance(400)
    assert flows_of(rig)["t"] == {
        "band": "normal", "waiting": 1, "waited_ms": 400, "is_parked": True, "wake_ms": 600,
    }  # fmt: skip
    rig = mini_rig(limited(slots=1), "A")
    rig.enqueue("A", "t1", tenant="t")
    rig.enqueue("A", "t2", tenant="t")
    assert flows_of(rig)["t"] == {"band": "normal", "waiting": 1, "waited_ms": 0, "is_parked": True}


def test_parked_flow_wakes_when_it_was_told() -> None:
    """Its process is told the time; a call at that time grants it, one a moment before does not."""
    rig = mini_rig(limited(), "A")
    rig.enqueue("A", "t1", tenant="t")
    answer = rig.taken("A", enqueue("t2", rig.members["A"].limits, tenant="t"))
    assert [wake[1:] for wake in answer.wakes] == [["t2", 1_000]]
    rig.advance(999)
    assert rig.taken("A").grants == []
    rig.advance(1)
    assert [grant[0] for grant in rig.taken("A").grants] == ["t2"]


def test_parked_flow_is_woken_by_its_own_process() -> None:
    """When another process calls, the owner of the parked ticket is told its time by mail, once."""
    limits = limited()
    rig = mini_rig(limits, "A", "B")
    rig.enqueue("A", "t1", tenant="t")
    rig.enqueue("B", "t2", tenant="t")
    rig.advance(100)
    rig.taken("B", ["c", "t2"], enqueue("t3", limits, tenant="t"))
    rig.taken("A", enqueue("a1", limits))
    assert rig.mailbox("B").wakes == []
    rig.advance(900)
    assert [grant[0] for grant in rig.taken("B").grants] == ["t3"]


def test_blocked_head_goes_before_a_later_parked_flow_in_the_timer() -> None:
    """Of a head that is blocked and a parked flow the one that can go first sets the queue's timer."""
    limits = replace(pool_of(Bucket("tokens", 600, burst_ms=1_000, jitter_ms=0)), tenants=limited().tenants)
    rig = mini_rig(limits, "A")
    rig.taken("A", enqueue("t1", limits, tenant="t"), enqueue("h0", limits, tokens=(10, 0)))
    answer = rig.taken("A", enqueue("t2", limits, tenant="t"), enqueue("h1", limits, tokens=(5, 0)))
    assert [wake[1:] for wake in answer.wakes] == [["h1", 500]]
    rig.advance(500)
    answer = rig.taken("A")
    assert [grant[0] for grant in answer.grants] == ["h1"]
    assert [wake[1:] for wake in answer.wakes] == [["t2", 500]]


def test_key_set_is_kept_while_a_queue_waits_with_it() -> None:
    """A process that registered with other keys still has its old tickets served by the keys they asked for."""
    wide = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0), keys=2)
    narrow = replace(wide, keys=wide.keys[:1])
    rig = mini_rig(wide, "A")
    for ticket in ("t1", "t2", "t3"):
        rig.enqueue("A", ticket)
    rig.register("A", narrow)
    rig.register("B", narrow)
    assert rig.client.hget(rig.keys.all()[0], f"keyset|{keyset_hash(wide)}")
    rig.taken("A", settle("t1"), settle("t2"))
    rig.advance(1_000)
    assert [grant[:2] for grant in rig.taken("A").grants] == [["t3", "k0"]]


def test_key_set_goes_when_nothing_waits_with_it_any_more() -> None:
    """With the last ticket and the last process of a key set, the next registration forgets it."""
    wide = pool_of(MINUTE, keys=2)
    narrow = replace(wide, keys=wide.keys[:1])
    rig = mini_rig(wide, "A")
    rig.register("A", narrow)
    assert rig.client.hget(rig.keys.all()[0], f"keyset|{keyset_hash(wide)}") is None


def test_leases_of_a_limited_tenant_are_charged_again_after_lost_writes() -> None:
    """What survivors hold is taken from the tenant's limit and slots too, not only from the account."""
    limits = limited()
    rig = mini_rig(limits, "A")
    grant = rig.enqueue("A", "t1", tenant="t")[1:]
    rig.client.flushall()
    rig.register("A", limits, leases=[rig.lease("t1", grant, tenant="t")])
    domains = rig.snapshot()["domains"]
    shown = {
        name: (domain["in_flight"], domain["lanes"]["*"][0]["level"]) for name, domain in domains.items()
    }
    assert shown == {"d0": (1, -1), "tenant:t": (1, -1)}


def test_reassertion_of_a_known_lease_changes_nothing() -> None:
    """A lease that is still known, or has ended, is not charged again when its holder registers after lost writes."""
    limits = pool_of(MINUTE)
    rig = mini_rig(limits, "A", "B")
    grants = {ticket: rig.enqueue("A", ticket)[1:] for ticket in ("t1", "t2")}
    rig.taken("A", settle("t2"))
    before = rig.snapshot()["domains"]["d0"]["in_flight"]
    rig.register("A", limits, leases=[rig.lease(*pair) for pair in grants.items()], is_lost=True)
    assert rig.snapshot()["domains"]["d0"]["in_flight"] == before == 1
    assert rig.bucket()["level"] == 0
    rig.advance(1_000)
    assert rig.bucket()["level"] == 10
