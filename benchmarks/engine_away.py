"""Redis stands still: what that adds to the first call, and what calls cost that go without it."""

from __future__ import annotations

import asyncio
import time

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Need, Settlement
from llm_fleet.store import StoreOptions

from .engine_report import Figure, Section
from .engine_rig import pool_limits

__all__ = ["measure_away"]

ABSENCES = 10
LIVES = 2_000
PATIENCE_S = 10.0
NEED = Need("*", 10, 10)


async def _life(fleet: Fleet, pool: str) -> float:
    """One lease, taken and settled: seconds until it was there."""
    started = time.monotonic()
    lease = await fleet.pool(pool).enqueue(NEED, timeout_s=PATIENCE_S)
    if not isinstance(lease, Lease):
        raise RuntimeError(f"no lease: {lease}")
    waited_s = time.monotonic() - started
    lease.settle(Settlement(10, 10))
    return waited_s


async def _until(fleet: Fleet, pool: str, *, is_alone: bool) -> float:
    """Seconds until the process goes on without Redis, or with it again."""
    started = time.monotonic()
    while (pool in fleet.absences()) is not is_alone:
        if time.monotonic() - started > PATIENCE_S:
            raise RuntimeError("the fleet did not notice what Redis does")
        await asyncio.sleep(0.005)
    return time.monotonic() - started


async def _measure(
    server: PrivateServer, absences: int, lives: int
) -> tuple[list[float], float, list[float]]:
    limits = pool_limits(name="away")
    fleet = Fleet(StoreOptions(server.url), "benchmark", {limits.pool: limits}, on_redis_down="share")
    first, back, cpu_s = list[float](), list[float](), 0.0
    try:
        await _life(fleet, limits.pool)
        for number in range(absences):
            await asyncio.sleep(0.6 + number * 0.007)  # not always at the same turn of the heartbeat
            server.freeze()
            try:
                first.append(await _life(fleet, limits.pool))
                await _life(fleet, limits.pool)
                began = time.process_time()
                for _ in range(lives):
                    await _life(fleet, limits.pool)
                cpu_s += time.process_time() - began
            finally:
                server.thaw()
            back.append(await _until(fleet, limits.pool, is_alone=False))
    finally:
        await fleet.close()
    return first, cpu_s / absences / lives, back


def measure_away(*, is_quick: bool) -> Section:
    """Ten absences of one process whose limits are never reached."""
    absences, lives = (2, 100) if is_quick else (ABSENCES, LIVES)
    with PrivateServer.start() as server:
        first, life_s, back = asyncio.run(_measure(server, absences, lives))
    figures = [
        Figure("Redis frozen: added to the first call, at most", max(first) * 1e3, "ms", ("≤", 250)),
        Figure("client CPU of a life without Redis", life_s * 1e6, "µs"),
        Figure("Redis goes on: used again after, at most", max(back) * 1e3, "ms"),
    ]
    return Section(figures, {"away": {"first_ms": [round(value * 1e3, 1) for value in first]}})
