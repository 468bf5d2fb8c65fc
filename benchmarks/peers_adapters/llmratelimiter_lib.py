"""LLMRateLimiter: requests, or requests with input and output tokens; a queue in Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import redis.asyncio
from llmratelimiter import RateLimiter

PLENTY = 10**9


async def open_limiter(url: str, resources: int, per_second: int) -> Callable[[int], Awaitable[None]]:
    client = redis.asyncio.Redis.from_url(url)
    if per_second:
        limiter = RateLimiter(
            client, "model", tpm=per_second, rpm=PLENTY, window_seconds=1, smooth_requests=False
        )
    elif resources == 1:
        limiter = RateLimiter(client, "model", rpm=PLENTY, tpm=PLENTY, smooth_requests=False)
    else:
        limiter = RateLimiter(
            client, "model", rpm=PLENTY, input_tpm=PLENTY, output_tpm=PLENTY, smooth_requests=False
        )

    async def acquire(units: int) -> None:
        await limiter.acquire(input_tokens=units, output_tokens=0 if per_second else 100)

    return acquire
