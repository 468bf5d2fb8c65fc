"""pool_snapshot says exactly what is there: every field of a pool in which much is going on."""

from __future__ import annotations

from typing import Any

import pytest

from llm_fleet.engine.registration import keyset_hash
from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits
from tests.pool_rig import Rig, enqueue, mini_rig, per_day, pool_of, settle

SHARED = (
    Bucket("requests", 600, burst_ms=10_000, jitter_ms=0),
    Bucket("output_tokens", 6_000, jitter_ms=0, rule="as_produced"),
)
BIG = (Bucket("tokens", 60_000, period_ms=86_400_000, jitter_ms=0),)
LIMITS = PoolLimits(
    "p",
    (("k0", ("d0",)), ("k1", ("d0", "d1"))),
    (
        DomainLimits("d0", (LaneLimits("*", SHARED, 3), LaneLimits("big", BIG))),
        DomainLimits("d1", (LaneLimits("*", (Bucket("requests", 60, burst_ms=2_000, jitter_ms=0),)),)),
    ),
    version=4,
    tenants=(TenantLimits("t", 2000, LaneLimits("*", (Bucket("requests", 120, jitter_ms=0),))),),
)


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """The snapshot of the pool in which A has two leases, B two tickets, k1 is out and d0 paused."""
    rig = mini_rig(LIMITS, "A")
    rig.advance(250)
    rig.register("B", LIMITS)
    lanes = {"a1": {"tokens": (10, 300)}, "a2": {"lane": "big", "tokens": (100, 900)}, "a3": {}}
    rig.taken("A", *(enqueue(id, LIMITS, **options) for id, options in lanes.items()))
    rig.enqueue("B", "b1", lane="big", tokens=(1, 1), tag="x", tenant="t", band="batch")
    rig.enqueue("B", "b2")
    rig.advance(700)
    rig.switch("k1", "pause", 5_000)
    rig.taken("A", settle("a3", 0, 0, pause_ms=2_500))
    rig.advance(100)
    return rig.snapshot()


def bucket(resource: int, limit: int, **others: int) -> dict[str, int]:
    """A bucket as it is shown, full where nothing else is said."""
    full = {"tick_ms": 1, "rule": 0, "held": 0, "capacity": limit, "level": limit}
    return {**full, "resource": resource, "limit": limit, **others}


def test_snapshot_shows_every_account(shown: dict[str, Any]) -> None:
    """Of each account its limits by lane with levels, holds and cuts, slots, leases, pause, version and age."""
    plain = {
        "version": 4,
        "source": "file",
        "applied_ms": 1_050,
        "in_flight": 0,
        "concurrency": 0,
        "paused_ms": 0,
    }
    for domain in shown["domains"].values():
        assert len(domain.pop("hash")) == 12
    lanes = {
        "*": [bucket(1, 600, capacity=100, level=100), bucket(3, 6_000, rule=2, held=512, cut=5_250)],
        "big": [bucket(4, 60_000, tick_ms=1440, level=59_000)],
    }
    assert shown["domains"] == {
        "d0": {**plain, "in_flight": 2, "concurrency": 3, "paused_ms": 2_400, "lanes": lanes},
        "d1": {**plain, "lanes": {"*": [bucket(1, 60, capacity=2, level=2)]}},
        "tenant:t": {**plain, "lanes": {"*": [bucket(1, 120)]}},
    }


def test_snapshot_shows_every_key(shown: dict[str, Any]) -> None:
    """Of each key its accounts; of one that is out of service why, and for how long."""
    out = {"domains": ["d0", "d1"], "reason": "test", "out_ms": 4_900}
    assert shown["keys"] == {"k0": {"domains": ["d0"]}, "k1": out}


def test_snapshot_shows_every_process(shown: dict[str, Any]) -> None:
    """Of each process when it called, what it holds and waits for, and whether it reads its mailbox."""
    infos = {name: process.pop("info") for name, process in shown["processes"].items()}
    assert {info["keyset"] for info in infos.values()} == {keyset_hash(LIMITS)}
    assert shown["processes"] == {
        "A": {"state": 0, "seen_ms": 100, "leases": 2, "queued": 0, "mailbox": 0},
        "B": {"state": 0, "seen_ms": 800, "leases": 0, "queued": 2, "mailbox": 1},
    }


def test_snapshot_shows_every_queue(shown: dict[str, Any]) -> None:
    """Of each queue how many wait by band and tenant, and its head with all that it wants and waits for."""
    head = {"process": "B", "key": "k0", "resource": "pause", "wait_ms": 2_400, "waited_ms": 800}
    head |= {"deadline_ms": 599_200}
    flow = {"waiting": 1, "waited_ms": 800, "is_parked": False}
    common = {"keyset": keyset_hash(LIMITS), "waiting": 1}
    plain = {"band": "normal", "tenant": "default"}
    big = {"band": "batch", "tenant": "t"}
    none = {"interactive": 0, "normal": 0, "batch": 0}
    assert sorted(shown["queues"], key=lambda queue: queue["lane"]) == [
        {
            **common, "lane": "*", "bands": {**none, "normal": 1}, "flows": [{**flow, **plain}], "armed_by": "",
            "head": {**head, **plain, "ticket": "b2", "tag": "", "input": 0, "output": 0},
        },
        {
            **common, "lane": "big", "bands": {**none, "batch": 1}, "flows": [{**flow, **big}], "armed_by": "B",
            "armed_ms": 2_400, "head": {**head, **big, "ticket": "b1", "tag": "x", "input": 1, "output": 1},
        },
    ]  # fmt: skip


def test_snapshot_shows_the_pool(shown: dict[str, Any]) -> None:
    """Of the whole pool its epoch, fence, leases, waiting, weights and aging time, and when it was used."""
    named = ("epoch", "fence", "leases", "waiting", "ttl_ms", "idle_ms", "weights", "aging_ms")
    found = [shown[name] for name in named]
    assert found == ["p-epoch-1", 3, 2, 2, 15_000, 100, {"t": 2000}, 30_000]


def head_of(rig: Rig) -> dict[str, Any]:
    """The head of the only queue."""
    [queue] = rig.snapshot()["queues"]
    return dict(queue["head"])


def test_snapshot_shows_what_a_head_lacks() -> None:
    """Of a head that a limit keeps waiting: the resource, what it needs, what is there, the limit and its tick."""
    rig = mini_rig(pool_of(Bucket("tokens", 600, burst_ms=60_000, jitter_ms=0)), "A")
    rig.enqueue("A", "t1", tokens=(300, 200))
    rig.enqueue("A", "t2", tokens=(100, 50))
    rig.advance(1_000)
    head = head_of(rig)
    wanted = {
        "resource": 4,
        "need": 150,
        "level": 110,
        "limit": 600,
        "tick_ms": 1,
        "wait_ms": 4_000,
        "key": "k0",
    }
    assert {name: head[name] for name in wanted} == wanted
    rig = mini_rig(pool_of(per_day(1)), "A")
    rig.enqueue("A", "t1", wait_ms=10**9)
    rig.enqueue("A", "t2", wait_ms=10**9)
    head = head_of(rig)
    assert (head["tick_ms"], head["limit"], head["need"], head["level"]) == (1440, 1, 1, 0)


def test_snapshot_shows_a_head_that_time_alone_does_not_help() -> None:
    """A head that waits for a slot has no time to wait: one is needed, none is left."""
    rig = mini_rig(pool_of(slots=1), "A")
    rig.enqueue("A", "t1")
    rig.enqueue("A", "t2")
    head = head_of(rig)
    figures = [head[name] for name in ("resource", "need", "level", "limit")]
    assert figures == ["concurrency", 1, 0, 1]
    assert not {"wait_ms", "refusal"} & set(head)


def test_snapshot_shows_pauses_without_end() -> None:
    """A key that is out of service for good says why, and no time; one that is back says neither."""
    rig = mini_rig(pool_of(keys=3), "A")
    rig.switch("k0", "pause")
    rig.switch("k1", "pause", 1_000)
    rig.advance(1_000)
    rig.taken("A")
    keys = rig.snapshot()["keys"]
    assert keys == {
        "k0": {"domains": ["d0"], "reason": "test"},
        "k1": {"domains": ["d1"]},
        "k2": {"domains": ["d2"]},
    }
