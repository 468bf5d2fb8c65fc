"""throttled-py: GCRA, one resource; waits by its own timeout."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from throttled.asyncio import RateLimiterType, Throttled, rate_limiter, store

PLENTY = 10**9


async def open_limiter(url: str, resources: int, per_second: int) -> Callable[[int], Awaitable[None]]:
    quota = rate_limiter.per_sec(per_second or PLENTY, burst=per_second or PLENTY)
    throttle = Throttled(
        using=RateLimiterType.GCRA.value, quota=quota, store=store.RedisStore(server=url), timeout=60
    )

    async def acquire(units: int) -> None:
        result = await throttle.limit("peer", cost=units)
        assert not result.limited, "still limited after its timeout of 60 s"

    return acquire
