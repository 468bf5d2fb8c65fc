"""Whether the cost of the scripts is flat: over keys, over what is queued, over processes.

Redis CPU in µs. *unblocked*: a life that never waits. *slots full*: a life in a saturated fleet,
one settle whose slot the pump grants to the head, and one enqueue that waits. *rate blocked*: an
enqueue that waits for a refill, and its cancel. *grant*: a settle with the grant that it brings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis

from .engine_report import Figure, Section
from .engine_rig import MOST_OPERATIONS, PROCESS, ScriptPool, best_of, pool_limits, settle

__all__ = ["measure_keys", "measure_processes", "measure_queue"]

Curve = list[dict[str, float]]
KEYS = (4, 16, 64, 256, 1_000)
QUEUED = (100, 1_000, 10_000, 100_000)
PROCESSES = (1, 10, 100, 1_000)
FLAT = 1.5
WAITING = 100
REPEATS = 10  # short ones: the best is one in which nothing else ran


def curve(xs: Sequence[int], cost: Callable[[int], float]) -> Curve:
    """The cost at each x."""
    return [{"x": x, "us": cost(x)} for x in xs]


def flatness(name: str, points: Curve, target: float | None = FLAT) -> Figure:
    """The last point of a curve, relative to the first."""
    ratio = round(points[-1]["us"] / points[0]["us"], 2)
    said = f"{name}: {points[-1]['x']:,g} against {points[0]['x']:,g}"
    return Figure(said, ratio, "x", ("≤", target) if target else None)


def full_pool(client: redis.Redis, keys: int, queued: int) -> tuple[ScriptPool, list[str]]:
    """A pool whose every slot is taken, with a queue; gives the ids of the leases."""
    pool, leases = ScriptPool(client, pool_limits(keys, slots=1)), list[str]()
    for first in range(0, keys, MOST_OPERATIONS):
        asked = pool.enqueues(min(MOST_OPERATIONS, keys - first))
        assert {result[0] for result in pool.step(asked).results} == {"g"}
        leases.extend(wire[1] for wire in asked)
    pool.queue_up(queued)
    return pool, leases


def turn_over(pool: ScriptPool, leases: list[str], count: int) -> int:
    """Settle leases one by one, each of which the head of the queue follows; the queue keeps its length."""
    for number in range(count):
        answer = pool.step([settle(leases.pop(0), number), *pool.enqueues(1)])
        assert len(answer.grants) == 1, f"a slot was free, and the head of the queue did not get it: {answer}"
        leases.append(answer.grants[0][0])
    return count


def unblocked(client: redis.Redis, count: int) -> Callable[[int], float]:
    def cost(keys: int) -> float:
        pool = ScriptPool(client, pool_limits(keys))
        pool.live(1, 20, rides=False)
        return best_of(client, REPEATS, lambda: pool.live(1, count, rides=False))

    return cost


def slots_full(client: redis.Redis, count: int) -> Callable[[int], float]:
    def cost(keys: int) -> float:
        pool, leases = full_pool(client, keys, WAITING)
        turn_over(pool, leases, 10)
        return best_of(client, REPEATS, lambda: turn_over(pool, leases, count))

    return cost


def blocked_calls(pool: ScriptPool, count: int) -> int:
    """Enqueue and withdraw, one at a time."""
    for _ in range(count):
        asked = pool.enqueues(1)
        assert pool.step(asked).results[0][0] == "q"
        pool.step([["c", asked[0][1]]])
    return count


def rate_blocked(client: redis.Redis, count: int) -> Callable[[int], float]:
    def cost(keys: int) -> float:
        pool = ScriptPool(client, pool_limits(keys, requests=1, capacity=1))
        asked: list[Any] = []
        while not asked or asked[-1][0] == "g":
            asked = pool.step(pool.enqueues(32)).results
        blocked_calls(pool, 10)
        return best_of(client, REPEATS, lambda: blocked_calls(pool, count))

    return cost


def per_grant(client: redis.Redis, count: int) -> Callable[[int], float]:
    def cost(queued: int) -> float:
        pool, leases = full_pool(client, 4, queued)
        turn_over(pool, leases, 10)
        return best_of(client, REPEATS, lambda: turn_over(pool, leases, count))

    return cost


def with_processes(client: redis.Redis, count: int) -> Callable[[int], float]:
    def cost(processes: int) -> float:
        others = [f"other-{i}" for i in range(processes - 1)]
        pool = ScriptPool(client, pool_limits(), *others, PROCESS)
        pool.live(1, 20, rides=False)
        return best_of(client, REPEATS, lambda: pool.live(1, count, rides=False))

    return cost


def measure_keys(client: redis.Redis, *, is_quick: bool) -> Section:
    """Over the number of keys, where nothing waits and where everything does."""
    xs, count = KEYS[:2] if is_quick else KEYS, 5 if is_quick else 30
    curves = {
        "unblocked": curve(xs, unblocked(client, count)),
        "rate blocked": curve(xs, rate_blocked(client, count)),
        "slots full": curve(xs, slots_full(client, count)),
    }
    figures = [flatness(f"Redis CPU over keys, {name}", points) for name, points in curves.items()]
    return Section(figures, {"keys": curves})


def measure_queue(client: redis.Redis, *, is_quick: bool) -> Section:
    """Over the length of the queue, per grant."""
    xs, count = QUEUED[:2] if is_quick else QUEUED, 5 if is_quick else 60
    points = curve(xs, per_grant(client, count))
    return Section(
        [flatness("Redis CPU per grant over queued tickets", points)], {"queue": {"grant": points}}
    )


def measure_processes(client: redis.Redis, *, is_quick: bool) -> Section:
    """Over the number of registered processes."""
    xs, count = PROCESSES[:2] if is_quick else PROCESSES, 5 if is_quick else 60
    points = curve(xs, with_processes(client, count))
    return Section(
        [flatness("Redis CPU per life over processes", points)], {"processes": {"unblocked": points}}
    )
