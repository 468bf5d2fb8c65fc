"""What the scripts cost Redis: CPU per request life alone and in batches, memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import redis

from .engine_crew import calibration
from .engine_report import Figure, Section, scaled
from .engine_rig import BARE, BARE_SHA, ScriptPool, empty, in_turns, pool_limits

__all__ = ["measure_cost", "measure_memory"]


@dataclass(frozen=True, slots=True)
class Way:
    """How lives that never wait reach Redis, and what one may cost it."""

    name: str
    target_us: float
    batch: int = 1
    rides: bool = True
    in_a_row: bool = False

    def live(self, pool: ScriptPool, count: int) -> int:
        """About so many lives; how many it were."""
        if self.in_a_row:
            return pool.live_in_a_row(count)
        return pool.live(self.batch, max(6, count // self.batch), rides=self.rides)

    def figure(self, us: float) -> Figure:
        return Figure(f"Redis CPU per life, {self.name}", us, "µs", ("≤", self.target_us))


COLD = Way("one at a time: a step each, work of the client between (cold caches)", 60, rides=False)
WARM = Way("one at a time: a step each, sent in a row (warm caches)", 60, in_a_row=True)
RIDING = Way("one at a time: one step, its settle rides with the next enqueue (one task alone)", 60)
BATCHES = tuple(Way(f"batches of {size}", 25, size) for size in (8, 32, 128))
WAYS = (COLD, WARM, RIDING, *BATCHES)
TURNS, REPEATS = 24, 15  # short ones: on a shared machine the best is one in which nothing else ran


def bare_calls(client: redis.Redis, calls: int) -> int:
    """So many calls of a script that does nothing."""
    for _ in range(calls):
        client.evalsha(BARE_SHA, 0)
    return calls


def measure_cost(url: str, client: redis.Redis, *, is_quick: bool) -> Section:
    """Lives one at a time and in batches, in turns with a script that does nothing."""
    count, turns = (6, 1) if is_quick else (12, TURNS)
    empty(client)
    client.script_load(BARE)
    pools = [ScriptPool(client, pool_limits(name=f"p{i}")) for i in range(len(WAYS))]
    works = [partial(way.live, pool, count) for way, pool in zip(WAYS, pools, strict=True)]
    with calibration(url, client) as now:
        works = [partial(bare_calls, client, 100), *works]
        found = in_turns(client, works, turns, repeats=REPEATS, between=now.read)
    bare, *spent = (round(min(each), 2) for each in found)
    figures = [way.figure(us) for way, us in zip(WAYS, spent, strict=True)]
    points = [
        {
            "x": way.batch,
            "us": us,
            "times_bare": round(us / bare, 1),
            "commands": commands_per_life(way, pool),
        }
        for way, pool, us in zip(WAYS, pools, spent, strict=True)
        if way in (COLD, *BATCHES)
    ]
    figures = [Figure("Redis CPU of `EVALSHA return 1`", bare, "µs"), *scaled(figures, now.scale)]
    return Section(figures, {"batches": {"bare_us": bare, "lives": points}}, now.scale)


def commands_per_life(way: Way, pool: ScriptPool) -> float:
    """Redis commands of a life: the calls of the scripts, and what these call."""
    pool.client.config_resetstat()
    lives = way.live(pool, 40 * way.batch)
    stats: dict[str, Any] = pool.client.info("commandstats")
    return round(sum(stat["calls"] for stat in stats.values()) / lives, 2)


def bytes_each(client: redis.Redis, count: int, *, slots: int) -> tuple[float, float]:
    """Bytes per ticket of a crowd that is granted, or (few slots) has to wait: of the keys, of the server."""
    empty(client)
    pool = ScriptPool(client, pool_limits(slots=slots))
    pool.step(pool.enqueues(8))
    keys, server = pool.bytes_used(), client.info("memory")["used_memory"]
    for _ in range(count // 100):
        pool.step(pool.enqueues(100))
    used = client.info("memory")["used_memory"] - server
    return round((pool.bytes_used() - keys) / count, 1), round(used / count, 1)


def measure_memory(client: redis.Redis, *, is_quick: bool) -> Section:
    """What a queued ticket takes, and what a lease."""
    count = 1_000 if is_quick else 10_000
    lease, lease_server = bytes_each(client, count, slots=0)
    queued, queued_server = bytes_each(client, count, slots=1)
    return Section(
        [
            Figure("memory per queued ticket", queued, "B", ("≤", 450)),
            Figure("memory per queued ticket, by used_memory", queued_server, "B"),
            Figure("memory per lease", lease, "B", ("≤", 300)),
            Figure("memory per lease, by used_memory", lease_server, "B"),
        ]
    )
