"""A process of a fleet, for tests: holds leases, or queues, until it is killed.

python -m tests.fleet_member URL NAMESPACE hold N SLOTS TTL    takes N leases and keeps them
python -m tests.fleet_member URL NAMESPACE queue N RPM         queues N tickets
python -m tests.fleet_member URL NAMESPACE spend SECONDS RPM   takes what it gets; prints when, a time a line
"""

from __future__ import annotations

import asyncio
import sys
import time

from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Settlement
from tests.fleets import fleet, lease_of, limits, requests, take


async def hold(url: str, namespace: str, count: int, slots: int, ttl_s: float) -> None:
    async with fleet(url, namespace, limits(slots=slots), ttl_s=ttl_s) as member:
        for lease in await asyncio.gather(*(lease_of(member) for _ in range(count))):
            lease.mark_sent()
        print("holding", flush=True)
        await asyncio.sleep(60)


async def queue(url: str, namespace: str, count: int, per_minute: int) -> None:
    async with fleet(url, namespace, limits(requests(per_minute, burst_ms=1000))) as member:
        waiting = [asyncio.create_task(take(member, timeout_s=60)) for _ in range(count)]
        await asyncio.sleep(0.5)
        print("queued", flush=True)
        await asyncio.gather(*waiting)


async def spend(url: str, namespace: str, seconds: float, per_minute: int) -> None:
    pool = limits(requests(per_minute, burst_ms=1000))
    async with fleet(url, namespace, pool, on_redis_down="share") as member:
        (await lease_of(member)).settle(Settlement(1, 1))
        await asyncio.sleep(0.5)  # everybody is there
        print("ready", flush=True)
        times, until = [], time.monotonic() + seconds

        async def ask() -> None:
            while (left := until - time.monotonic()) > 0:
                lease = await take(member, timeout_s=left)
                if isinstance(lease, Lease):
                    times.append(time.time())
                    lease.mark_sent()
                    await asyncio.sleep(0.01)
                    lease.settle(Settlement(1, 1))

        await asyncio.gather(*(ask() for _ in range(5)))
        print(" ".join(f"{at:.4f}" for at in times), flush=True)


def main(url: str, namespace: str, what: str, count: str, *rest: str) -> None:
    if what == "hold":
        asyncio.run(hold(url, namespace, int(count), int(rest[0]), float(rest[1])))
    elif what == "spend":
        asyncio.run(spend(url, namespace, float(count), int(rest[0])))
    else:
        asyncio.run(queue(url, namespace, int(count), int(rest[0])))


if __name__ == "__main__":
    main(*sys.argv[1:])
