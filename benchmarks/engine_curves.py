"""Whether the cost of the scripts is flat: over keys, over what is queued, over processes.

Redis CPU in µs. *unblocked*: a life that never waits. *slots full*: a life in a saturated fleet,
one settle whose slot the pump grants to the head, and one enqueue that waits. *rate blocked*: an
enqueue that waits for a refill, and its cancel. *grant*: a settle with the grant that it brings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import redis

from .engine_report import Figure, Section
from .engine_rig import MOST_OPERATIONS, PROCESS, ScriptPool, in_turns, open_server, pool_limits, settle

__all__ = ["measure_keys", "measure_processes", "measure_queue"]

Curve = list[dict[str, float]]
KEYS = (4, 16, 64, 256, 1_000)
QUEUED = (100, 1_000, 10_000, 100_000)
PROCESSES = (1, 10, 100, 1_000)
FLAT = 1.5
WAITING = 100
TURNS, COUNT = 40, 15
Prepared = Callable[[int], int]
"""Does so many units of work in a pool that is ready for it, and says how many it were."""
Prepare = Callable[[redis.Redis, int], Prepared]
"""Makes a pool for such an x."""


def curve(xs: Sequence[int], prepare: Prepare, *, is_quick: bool) -> Curve:
    """The cost at each x, each with a pool that is there from the first turn to the last, on a new server.

    On a heap that others have left in pieces some pools stay slower.
    """
    xs, count, turns = (xs[:2], 5, 1) if is_quick else (xs, COUNT, TURNS)
    with open_server() as (_, client):
        works = [partial(prepare(client, x), count) for x in xs]
        return points(xs, in_turns(client, works, turns))


def points(xs: Sequence[int], spent: Sequence[Sequence[float]]) -> Curve:
    """The best of the first x, and what the others cost of it: medians of the ratios of each turn."""
    first = spent[0]
    ratios = [median(us / bare for us, bare in zip(each, first, strict=True)) for each in spent]
    return [{"x": x, "us": round(min(first) * ratio, 2)} for x, ratio in zip(xs, ratios, strict=True)]


def flatness(name: str, found: Curve, target: float | None = FLAT) -> Figure:
    """The last point of a curve, relative to the first."""
    ratio = round(found[-1]["us"] / found[0]["us"], 2)
    said = f"{name}: {found[-1]['x']:,g} against {found[0]['x']:,g}"
    return Figure(said, ratio, "x", ("≤", target) if target else None)


def full_pool(client: redis.Redis, keys: int, queued: int) -> tuple[ScriptPool, list[str]]:
    """A pool whose every slot is taken, with a queue; gives the ids of the leases."""
    pool, leases = ScriptPool(client, pool_limits(keys, slots=1, name=f"p{keys}-{queued}")), list[str]()
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


def blocked_calls(pool: ScriptPool, count: int) -> int:
    """Enqueue and withdraw, one at a time."""
    for _ in range(count):
        asked = pool.enqueues(1)
        assert pool.step(asked).results[0][0] == "q"
        pool.step([["c", asked[0][1]]])
    return count


def unblocked(client: redis.Redis, keys: int) -> Prepared:
    pool = ScriptPool(client, pool_limits(keys, name=f"p{keys}"))
    return lambda count: pool.live(1, count, rides=False)


def slots_full(client: redis.Redis, keys: int) -> Prepared:
    pool, leases = full_pool(client, keys, WAITING)
    return lambda count: turn_over(pool, leases, count)


def rate_blocked(client: redis.Redis, keys: int) -> Prepared:
    pool = ScriptPool(client, pool_limits(keys, requests=1, capacity=1, name=f"p{keys}"))
    asked: list[Any] = []
    while not asked or asked[-1][0] == "g":
        asked = pool.step(pool.enqueues(32)).results
    return lambda count: blocked_calls(pool, count)


def per_grant(client: redis.Redis, queued: int) -> Prepared:
    pool, leases = full_pool(client, 4, queued)
    return lambda count: turn_over(pool, leases, count)


def with_processes(client: redis.Redis, processes: int) -> Prepared:
    others = [f"other-{i}" for i in range(processes - 1)]
    pool = ScriptPool(client, pool_limits(name=f"p{processes}"), *others, PROCESS)
    return lambda count: pool.live(1, count, rides=False)


def measure_keys(*, is_quick: bool) -> Section:
    """Over the number of keys, where nothing waits and where everything does."""
    ways = {"unblocked": unblocked, "rate blocked": rate_blocked, "slots full": slots_full}
    curves = {name: curve(KEYS, prepare, is_quick=is_quick) for name, prepare in ways.items()}
    figures = [flatness(f"Redis CPU over keys, {name}", found) for name, found in curves.items()]
    return Section(figures, {"keys": curves})


def measure_queue(*, is_quick: bool) -> Section:
    """Over the length of the queue, per grant."""
    found = curve(QUEUED, per_grant, is_quick=is_quick)
    figure = flatness("Redis CPU per grant over queued tickets", found)
    return Section([figure], {"queue": {"grant": found}})


def measure_processes(*, is_quick: bool) -> Section:
    """Over the number of registered processes."""
    found = curve(PROCESSES, with_processes, is_quick=is_quick)
    figure = flatness("Redis CPU per life over processes", found)
    return Section([figure], {"processes": {"unblocked": found}})
