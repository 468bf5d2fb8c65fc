"""Stories of a fleet whose Redis freezes, answers late, holds its answers or cuts connections, again and again.

A story is told by its seed. Its judge counts what was sent with a bucket of its own, as a provider would.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.share.bucket import LocalBucket, shape_of
from llm_fleet.engine.values import Bucket, Need, PoolLimits, Settlement
from llm_fleet.errors import CoordinationError
from tests.absences import back, state_of
from tests.fault_proxy import FaultProxy, late, proxy_to, whole
from tests.fleets import fleet, limits, requests

__all__ = ["AbsenceStory"]

USERS = 6
TTL_S = 3.0
BANDS = ("interactive", "normal", "batch")


@dataclass
class AbsenceStory:
    """Some processes, all behind one proxy before one server, for some seconds."""

    server: PrivateServer
    namespace: str
    seed: int
    seconds: float = 5.0
    sent: list[tuple[float, str, int]] = field(default_factory=list)
    in_flight: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        choose = self.chance.choice
        self.per_minute, self.burst_ms = choose((600, 1_200, 3_000)), choose((1_000, 5_000))
        self.slots, self.processes, keys = choose((0, 3, 8)), choose((1, 2, 4)), choose((1, 3))
        buckets = [requests(self.per_minute, burst_ms=self.burst_ms)]
        if choose((0, 1)):
            rule = choose(("at_start", "at_start_adjust"))
            buckets.append(Bucket("input_tokens", 600_000, burst_ms=self.burst_ms, jitter_ms=0, rule=rule))
        if choose((0, 1)):
            buckets.append(Bucket("output_tokens", 120_000, jitter_ms=0, rule="as_produced"))
        self.pool: PoolLimits = limits(*buckets, keys=keys, slots=self.slots)

    async def run(self) -> dict[str, Any]:
        """The pool as it is at the end, when all is quiet."""
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(proxy_to(self.server))
            members = [
                await stack.enter_async_context(
                    fleet(proxy.url, self.namespace, self.pool, ttl_s=TTL_S, on_redis_down="share")
                )
                for _ in range(self.processes)
            ]
            until = time.monotonic() + self.seconds
            users = [
                asyncio.create_task(self._use(member, random.Random(f"{self.seed}.{number}.{user}"), until))
                for number, member in enumerate(members)
                for user in range(USERS)
            ]
            await self._spoil(proxy, until - 1.2)
            await asyncio.gather(*users)
            for member in members:
                await back(member)
            await asyncio.sleep(0.3)
            return await state_of(members[0])

    async def _spoil(self, proxy: FaultProxy, until: float) -> None:
        await asyncio.sleep(0.8)
        while time.monotonic() < until:
            kind, seconds = self.chance.choice(("freeze", "freeze", "late", "hold", "cut")), self._pause()
            self.events.append(f"{kind} {seconds} s")
            match kind:
                case "freeze":
                    self.server.freeze()
                case "late":
                    proxy.spoil = late(seconds / 2)
                case "hold":
                    proxy.flows.clear()
                case "cut":
                    proxy.cut()
            await asyncio.sleep(seconds)
            self.server.thaw()
            proxy.flows.set()
            proxy.spoil = whole
            await asyncio.sleep(self.chance.random())

    def _pause(self) -> float:
        return self.chance.choice((0.1, 0.3, 0.6, 1.2))

    async def _use(self, member: Fleet, chance: random.Random, until: float) -> None:
        while time.monotonic() < until:
            need = Need("*", chance.randrange(1, 300), chance.choice((10, 200)), band=chance.choice(BANDS))
            asking = asyncio.create_task(member.pool("p").enqueue(need, timeout_s=chance.choice((0.3, 2, 5))))
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random() * 0.3)
                asking.cancel()
            with suppress(CoordinationError, asyncio.CancelledError):
                lease = await asking
                if isinstance(lease, Lease):
                    await self._spend(lease, chance)
            await asyncio.sleep(0.01)

    async def _spend(self, lease: Lease, chance: random.Random) -> None:
        if chance.random() < 0.1 or not await lease.ready():
            lease.cancel()
            return
        lease.mark_sent()
        self.sent.append((time.monotonic(), lease.key_id, lease.need.input_tokens))
        self.in_flight[lease.key_id] += 1
        self.most_at_once = max(self.most_at_once, *self.in_flight.values())
        await asyncio.sleep(chance.random() * 0.2)
        self.in_flight[lease.key_id] -= 1
        used = lease.need.input_tokens // chance.choice((1, 1, 2))
        lease.settle(Settlement(used, chance.randrange(1, lease.need.max_output_tokens + 1)))

    def overdraft_s(self) -> float:
        """How far what was sent went below a full bucket of the whole limit, in seconds of refill."""
        worst = 0
        limit = requests(self.per_minute, burst_ms=self.burst_ms)
        shape = shape_of(limit, self.per_minute)
        for key, _ in self.pool.keys:
            bucket = LocalBucket(shape, 0)
            bucket.level = shape.capacity
            for at, used, _ in self.sent:
                if used == key:
                    bucket.refill(int(at * 1_000))
                    bucket.take(shape.unit)
                    worst = min(worst, bucket.level)
        return -worst / shape.rate / 1_000
