"""What everybody gets of limits that all of them want: nobody starves, and nothing is left unused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits
from tests.closed_loops import Loops, streams
from tests.lua_redis import MiniRedis
from tests.pool_rig import Rig, enqueue, mini_rig, per_day, pool_of

HUNDRED_A_SECOND = Bucket("input_tokens", 6_000, burst_ms=1_000, jitter_ms=0)


@pytest.mark.parametrize("processes", ["A", "AB"])
def test_large_request_among_streams_of_small_ones(processes: str) -> None:
    """A 60-unit request among 31 streams of 1-unit requests at 100/s is served at least 10 times in 10 s."""
    rig = mini_rig(pool_of(HUNDRED_A_SECOND), *processes)
    [large] = streams(1, tokens=(60, 0))
    small = [task for at in range(31) for task in streams(1, processes[at % len(processes)], tokens=(1, 0))]
    loops = Loops(rig, [large, *small])
    loops.run(10_000)
    assert len(large.waits) >= 10
    assert sum(grant.used for grant in loops.grants) >= 0.98 * 1_100


def test_two_lanes_that_share_an_account_bucket() -> None:
    """Of two lanes with one account's bucket, large requests here and small there, neither starves."""
    rig = mini_rig(pool_of(HUNDRED_A_SECOND, lanes=[LaneLimits("a"), LaneLimits("b")]), "A", "B")
    large, small = streams(3, tokens=(60, 0), lane="a"), streams(20, "B", tokens=(1, 0), lane="b")
    Loops(rig, [*large, *small]).run(10_000)
    assert sum(len(task.waits) for task in large) >= 10
    assert sum(len(task.waits) for task in small) >= 100
    assert max(max(task.waits) for task in [*large, *small]) <= 3 * 600 + 200


def test_processes_with_other_keys_use_all_keys() -> None:
    """Half of the processes hold keys a and b, half c and d: each key is used to 98 % and more."""
    keys = tuple((name, (f"of {name}",)) for name in "abcd")
    lanes = (LaneLimits("*", (replace(HUNDRED_A_SECOND, amount=600, burst_ms=10_000),)),)
    pool = PoolLimits("p", keys, tuple(DomainLimits(f"of {name}", lanes) for name in "abcd"))
    rig = Rig(MiniRedis())
    for at, process in enumerate("ABCD"):
        held = keys[:2] if at < 2 else keys[2:]
        rig.register(process, replace(pool, keys=held))
    loops = Loops(rig, [task for process in "ABCD" for task in streams(4, process, tokens=(7, 0))])
    loops.run(30_000)
    used: Counter[str] = Counter()
    for grant in loops.grants:
        used[grant.key] += grant.used
    assert min(used[name] for name in "abcd") >= 0.98 * (100 + 30 * 10)


def test_day_limit_is_granted_exactly_whatever_the_band_and_tenant() -> None:
    """Of a 2,000-way burst that would not wait, a limit of 100 a day grants exactly 100, in all bands."""
    limits = pool_of(per_day(100))
    rig, granted = mini_rig(limits, *"ABCD"), 0
    for batch in range(20):
        process = "ABCD"[batch % 4]
        options = [{"band": band, "tenant": f"t{batch % 3}"} for band in ("interactive", "normal", "batch")]
        wires = [enqueue(f"{batch}-{i}", limits, wait_ms=0, **options[i % 3]) for i in range(100)]
        granted += sum(result[0] == "g" for result in rig.taken(process, *wires).results)
    assert granted == 100
    assert rig.snapshot()["waiting"] == 0
