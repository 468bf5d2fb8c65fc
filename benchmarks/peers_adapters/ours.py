"""llm_fleet's engine: each acquire is a whole life, settled as soon as it is granted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, Need, PoolLimits, Settlement
from llm_fleet.store import StoreOptions

PLENTY = 10**9
THREE = (
    Bucket("requests", PLENTY),
    Bucket("input_tokens", PLENTY, rule="at_start_adjust"),
    Bucket("output_tokens", PLENTY, rule="as_produced"),
)


def buckets_of(resources: int, per_second: int) -> tuple[Bucket, ...]:
    """Units are input tokens where they are limited."""
    if per_second:
        return (Bucket("input_tokens", per_second * 60, burst_ms=1000, jitter_ms=0),)
    return THREE[:resources]


async def open_limiter(url: str, resources: int, per_second: int) -> Callable[[int], Awaitable[None]]:
    account = DomainLimits("account", (LaneLimits("*", buckets_of(resources, per_second)),))
    limits = PoolLimits("p", (("key", ("account",)),), (account,))
    pool = Fleet(StoreOptions(url), "peers", {"p": limits}).pool("p")

    async def acquire(units: int) -> None:
        lease = await pool.enqueue(Need("*", units, 100), timeout_s=60.0)
        assert isinstance(lease, Lease), lease
        lease.settle(Settlement(units, 100))

    return acquire
