"""No limiter: redis-py's bare `EVALSHA return 1`, which every limiter is compared with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import redis.asyncio


async def open_limiter(url: str, resources: int, per_second: int) -> Callable[[int], Awaitable[None]]:
    client = redis.asyncio.Redis.from_url(url)
    sha = await client.script_load("return 1")

    async def acquire(units: int) -> None:
        await client.evalsha(sha, 0)

    return acquire
