"""An engine in which nothing goes on costs next to nothing, and is there at once when somebody asks."""

from __future__ import annotations

import asyncio
import time

import pytest

from llm_fleet.engine.heartbeat import Heartbeat
from llm_fleet.engine.values import Settlement
from tests.fleets import fleet, lease_of, limits


async def test_an_idle_engine_ticks_twice_a_second(
    redis_url, namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty times a second while a lease is held, twice when nothing is; and the next call finds it awake."""
    ticks = list[float]()
    tick = Heartbeat.tick
    monkeypatch.setattr(Heartbeat, "tick", lambda self: (ticks.append(time.monotonic()), tick(self))[1])

    async def counted(seconds: float) -> int:
        ticks.clear()
        await asyncio.sleep(seconds)
        return len(ticks)

    async with fleet(redis_url, namespace, limits(slots=5)) as member:
        lease = await lease_of(member)
        assert await counted(0.6) >= 6
        lease.settle(Settlement(1, 1))
        await asyncio.sleep(0.3)
        assert await counted(1.5) <= 4
        asked = time.monotonic()
        await lease_of(member)
        await asyncio.sleep(0.12)
        assert any(asked <= at < asked + 0.1 for at in ticks)
