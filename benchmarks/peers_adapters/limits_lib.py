"""limits: its moving window, one resource; it does not wait, so the caller asks again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

PLENTY = 10**9
PAUSE_S = 0.01


async def open_limiter(url: str, resources: int, per_second: int) -> Callable[[int], Awaitable[None]]:
    storage = RedisStorage(f"async+{url}", implementation="redispy")
    kind = MovingWindowRateLimiter if per_second else FixedWindowRateLimiter
    limiter, item = kind(storage), RateLimitItemPerSecond(per_second or PLENTY)

    async def acquire(units: int) -> None:
        while not await limiter.hit(item, "peer", cost=units):  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_S)

    return acquire
