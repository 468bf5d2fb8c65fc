"""token-throttle: one to three resources, acquired together; waits by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import redis.asyncio
from token_throttle import PerModelConfig, Quota, RateLimiter, RedisBackendBuilder, UsageQuotas

PLENTY = 10**9
METRICS = ("requests", "input_tokens", "output_tokens")
CONNECTIONS = 256


async def open_limiter(url: str, resources: int, per_second: int) -> Callable[[int], Awaitable[None]]:
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS)
    seconds = 1 if per_second else 60
    quotas = [
        Quota(metric=name, limit=per_second or PLENTY, per_seconds=seconds) for name in METRICS[:resources]
    ]
    limiter = RateLimiter(
        PerModelConfig(quotas=UsageQuotas(quotas)),
        backend=RedisBackendBuilder(redis.asyncio.Redis(connection_pool=pool), key_prefix="peer"),
    )

    async def acquire(units: int) -> None:
        usage = dict.fromkeys(METRICS[:resources], units)
        await limiter.acquire_capacity(model="model", usage=usage)

    return acquire
