"""One process of the engine's benchmark: carries out jobs, one JSON line each, and says what it did.

python -m benchmarks.engine_worker URL
    {"do": "open", "limits": {"slots": 1}}     a fleet with such a pool, before what needs one
    {"do": "life" | "acquire" | "evalsha" | "ping", "seconds": 1.0, "tasks": 32}
    {"do": "burst", "count": 500}              so many enqueues at once that would not wait
    {"do": "grant"}, {"do": "pop"}             when one grant, or one element of a list, arrived
    {"do": "close"}
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from benchmarks.engine_rig import BARE, BARE_SHA, DAY, NAMESPACE, TTL_S, pool_limits
from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Need, Settlement
from llm_fleet.store import StoreOptions

Json = dict[str, Any]
LIST = "bench:pop"
NEED = Need("*", 100, 4096)
PATIENCE_S = 60.0


class Jobs:
    """What this process can do, each by its name."""

    def __init__(self, url: str) -> None:
        self._url, self._client = url, redis.asyncio.Redis.from_url(url)
        self._fleet: Fleet | None = None
        self._held: list[Lease] = []

    async def carry_out(self, job: Json) -> Json:
        """One job."""
        match job.pop("do"):
            case "open":
                return await self._open(job["limits"])
            case "close":
                return await self._close()
            case "burst":
                return await self._burst(job["count"])
            case "grant":
                return await self._grant()
            case "pop":
                return await self._pop()
            case name:
                return await self._load(getattr(self, name), job["seconds"], job["tasks"])

    async def _open(self, limits: Json) -> Json:
        await self._close()
        pool = DAY if limits == {"day": True} else pool_limits(**limits)
        self._fleet = Fleet(StoreOptions(self._url), NAMESPACE, {pool.pool: pool}, ttl_s=TTL_S)
        self._pool = self._fleet.pool(pool.pool)
        self._fleet.connect()
        await self._client.script_load(BARE)
        return {}

    async def _close(self) -> Json:
        fleet, self._fleet = self._fleet, None
        if fleet is not None:
            await fleet.close()
        return {}

    async def _lease(self) -> Lease:
        lease = await self._pool.enqueue(NEED, timeout_s=PATIENCE_S)
        assert isinstance(lease, Lease), lease
        return lease

    async def acquire(self) -> None:
        """A lease that is kept, until nobody measures any more."""
        self._held.append(await self._lease())

    async def life(self) -> None:
        """A request's life: a lease and its settle."""
        lease = await self._lease()
        lease.settle(Settlement(95, 100 + lease.fence % 150))

    async def evalsha(self) -> None:
        """The bare call of redis-py that everything is measured by."""
        await self._client.evalsha(BARE_SHA, 0)

    async def ping(self) -> None:
        """The least that redis-py can do."""
        await self._client.ping()

    async def _load(self, once: Callable[[], Awaitable[Any]], seconds: float, tasks: int) -> Json:
        """`once`, in closed loops; how often, and what it cost."""
        until = time.monotonic() + seconds

        async def loop() -> int:
            count = 0
            while time.monotonic() < until:
                await once()
                count += 1
            return count

        started, cpu_s = time.monotonic(), own_cpu_s()
        counts = await asyncio.gather(*(loop() for _ in range(tasks)))
        found = {"count": sum(counts), "seconds": time.monotonic() - started, "cpu_s": own_cpu_s() - cpu_s}
        await self._settle_held()
        return found

    async def _settle_held(self) -> None:
        held, self._held = self._held, []
        for lease in held:
            lease.settle(Settlement(95, 100))
        if held:
            await self.life()  # its enqueue goes behind all settles

    async def _burst(self, count: int) -> Json:
        outcomes = await asyncio.gather(*(self._pool.enqueue(NEED, timeout_s=0) for _ in range(count)))
        return {"granted": sum(isinstance(outcome, Lease) for outcome in outcomes)}

    async def _grant(self) -> Json:
        lease = await self._lease()
        at = time.monotonic()
        lease.settle(Settlement(95, 100))
        return {"at": at}

    async def _pop(self) -> Json:
        await self._client.blpop([LIST], timeout=PATIENCE_S)
        return {"at": time.monotonic()}


def own_cpu_s() -> float:
    """CPU of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(url: str) -> None:
    """Jobs, to the end of standard input."""
    jobs = Jobs(url)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await jobs.carry_out(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
