"""What the scripts cost Redis: CPU per request life alone and in batches, memory, the longest step."""

from __future__ import annotations

import time

import redis

from .engine_report import Figure, Section
from .engine_rig import PROCESS, ScriptPool, best_of, per_step_us, pool_limits

__all__ = ["measure_cost", "measure_dropping", "measure_memory"]

BATCHES = (1, 8, 32, 128)
REPEATS = 100  # short ones: on a shared machine the best is one in which nothing else ran
TARGETS_US = {1: 60, 8: 25, 32: 25, 128: 25}
BEAT_S = 1.0
LONGEST_PAUSE_MS = 250
PATIENCE_S = 120.0


def bare_us(client: redis.Redis, calls: int) -> float:
    """CPU of a script that does nothing."""
    sha = client.script_load("return 1")

    def call() -> int:
        for _ in range(calls):
            client.evalsha(sha, 0)
        return calls

    return best_of(client, 3, call)


def life_us(pool: ScriptPool, batch: int, lives: int, *, rides: bool = True) -> float:
    """CPU of a life that never waits, in steps of so many: the best of some short runs."""
    rounds = max(6, lives // batch // REPEATS)
    pool.live(batch, max(3, 60 // batch))
    return best_of(pool.client, REPEATS, lambda: pool.live(batch, rounds, rides=rides))


def commands_per_life(pool: ScriptPool, batch: int, *, rides: bool) -> float:
    """Redis commands of a life: the calls of the scripts, and what these call."""
    pool.client.config_resetstat()
    lives = pool.live(batch, 40, rides=rides)
    stats = pool.client.info("commandstats")
    return round(sum(stat["calls"] for stat in stats.values()) / lives, 2)


def measure_cost(client: redis.Redis, *, is_quick: bool) -> Section:
    """Lives one at a time and in batches, beside a script that does nothing."""
    bare, lives = bare_us(client, 300 if is_quick else 3_000), 60 if is_quick else 4_000
    figures = [Figure("Redis CPU of `EVALSHA return 1`", bare, "µs")]
    batches = []
    for batch in BATCHES:
        pool = ScriptPool(client, pool_limits())
        cost = life_us(pool, batch, lives, rides=batch > 1)
        commands = commands_per_life(pool, batch, rides=batch > 1)
        name = (
            "Redis CPU per life, one at a time" if batch == 1 else f"Redis CPU per life, batches of {batch}"
        )
        figures.append(Figure(name, cost, "µs", ("≤", TARGETS_US[batch])))
        batches.append({"x": batch, "us": cost, "times_bare": round(cost / bare, 1), "commands": commands})
    riding = life_us(ScriptPool(client, pool_limits()), 1, lives)
    figures.append(
        Figure("Redis CPU per life, one task whose settle rides with its next enqueue", riding, "µs")
    )
    pool = ScriptPool(client, pool_limits())
    in_a_row = best_of(client, REPEATS, lambda: pool.live_in_a_row(10 if is_quick else 100))
    figures.append(Figure("Redis CPU per life, one at a time in a row (warm caches)", in_a_row, "µs"))
    return Section(figures, {"batches": {"bare_us": bare, "lives": batches}})


def bytes_each(client: redis.Redis, count: int, *, slots: int) -> tuple[float, float]:
    """Bytes per ticket of a crowd that is granted, or (few slots) has to wait: of the keys, of the server."""
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


def measure_dropping(client: redis.Redis, *, is_quick: bool) -> Section:
    """A process with many queued tickets is gone: the longest step while its tickets are dropped.

    Of two deaths the one with the shorter longest step: the other was longer by what else ran.
    """
    count, deaths = (2_000, 1) if is_quick else (50_000, 2)
    costs, seconds = min((death(client, count) for _ in range(deaths)), key=lambda found: max(found[0]))
    worst = round(max(costs) / 1000, 2)
    return Section(
        [
            Figure(f"longest step while {count:,} tickets of a dead process go", worst, "ms", ("≤", 5)),
            Figure("steps in which they go", len(costs)),
            Figure("seconds from the death to the last of them", round(seconds, 1), "s"),
        ],
        {"dropping": {"steps": len(costs), "worst_ms": worst, "seconds": round(seconds, 1)}},
    )


def death(client: redis.Redis, count: int) -> tuple[list[float], float]:
    """Costs of the steps in which so many tickets of a process that is gone are dropped, and the seconds."""
    pool = ScriptPool(client, pool_limits(slots=1), PROCESS, "dead")
    pool.step(pool.enqueues(4))
    pool.queue_up(count, "dead")
    costs, started = drop(pool)
    return costs, time.monotonic() - started


def drop(pool: ScriptPool) -> tuple[list[float], float]:
    """Step as a process does that is told when to call, and beats, until nothing of the dead waits."""
    costs: list[float] = []
    started = beaten = time.monotonic()
    while pool.waiting() and time.monotonic() < started + PATIENCE_S:
        is_due = time.monotonic() >= beaten + BEAT_S
        beaten = time.monotonic() if is_due else beaten
        spent, answer = per_step_us(pool, [["h", []]] if is_due else [])
        costs.append(spent)
        time.sleep(min([LONGEST_PAUSE_MS, *(wake[2] for wake in answer.wakes)]) / 1000)
    assert not pool.waiting(), "a dead process kept its tickets"
    return costs, started
