"""Some of a fleet's processes cannot reach Redis, the others can."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Settlement
from llm_fleet.errors import CoordinationError
from tests.absences import back, place_of, placed, state_of, until
from tests.fault_proxy import proxy_to
from tests.fleets import fleet, limits, requests, take

PER_SECOND = 20


async def spend(member: Fleet, until_s: float, times: list[float]) -> None:
    """Takes what it gets, in a closed loop."""
    while (left_s := until_s - time.monotonic()) > 0:
        with suppress(CoordinationError):
            lease = await take(member, timeout_s=left_s)
            if isinstance(lease, Lease):
                lease.mark_sent()
                times.append(time.monotonic())
                await asyncio.sleep(0.01)
                lease.settle(Settlement(1, 1))


async def test_one_of_two_cut_off_uses_half_of_the_limit_beside_the_other(own_server, namespace):
    """k of N: at most limit x (1 + k/N); both go on, and Redis hears of all of it afterwards."""
    server = own_server()
    pool = limits(requests(60 * PER_SECOND, burst_ms=1_000))
    async with (
        proxy_to(server) as proxy,
        fleet(server.url, namespace, pool, ttl_s=3.0, on_redis_down="share") as near,
        fleet(proxy.url, namespace, pool, ttl_s=3.0, on_redis_down="share") as far,
    ):
        await placed(near)
        await placed(far)
        await until(lambda: place_of(near).processes == 2)
        end, here, there = time.monotonic() + 4.2, list[float](), list[float]()
        loops = [asyncio.create_task(spend(near, end, here)) for _ in range(4)]
        loops += [asyncio.create_task(spend(far, end, there)) for _ in range(4)]
        await asyncio.sleep(0.7)
        proxy.flows.clear()
        cut_off = time.monotonic()
        await asyncio.sleep(2.2)
        proxy.flows.set()
        joined = time.monotonic()
        await asyncio.gather(*loops)
        seconds = joined - cut_off - 0.5  # what had been granted before has gone by then
        alone = sum(cut_off + 0.5 < at < joined for at in there)
        both = alone + sum(cut_off + 0.5 < at < joined for at in here)
        assert 0.7 * seconds * PER_SECOND / 2 <= alone <= seconds * PER_SECOND / 2 + 6
        assert 0.8 * seconds * PER_SECOND * 1.5 <= both <= seconds * PER_SECOND * 1.5 + PER_SECOND
        await back(far)
        await until(lambda: nothing_is_left(near))


async def nothing_is_left(member: Fleet) -> bool:
    state = await state_of(member)
    return (state["leases"], state["waiting"]) == (0, 0)
