"""Small fleets for tests: limits in a line, and processes of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Bucket, Denial, DomainLimits, LaneLimits, Need, PoolLimits
from llm_fleet.store import StoreOptions


def limits(
    *buckets: Bucket, keys: int = 1, slots: int = 0, first_key: int = 0, version: int | None = None
) -> PoolLimits:
    """A pool named p: keys k0, k1 … with a domain each, all with the same limits."""
    names = [f"k{first_key + i}" for i in range(keys)]
    lanes = (LaneLimits("*", buckets, slots),)
    domains = tuple(DomainLimits(f"d-{name}", lanes) for name in names)
    return PoolLimits("p", tuple((name, (f"d-{name}",)) for name in names), domains, version=version)


def requests(amount: int, *, burst_ms: int = 60_000, jitter_ms: int = 0) -> Bucket:
    """A limit of requests per minute."""
    return Bucket("requests", amount, burst_ms=burst_ms, jitter_ms=jitter_ms)


@asynccontextmanager
async def fleet(
    url: str, namespace: str, pool: PoolLimits, *, ttl_s: float = 15.0, on_redis_down: str = "wait"
) -> AsyncIterator[Fleet]:
    """A fleet of this process, closed at the end."""
    options = StoreOptions(url, command_timeout_s=1.0)
    opened = Fleet(options, namespace, {"p": pool}, ttl_s=ttl_s, on_redis_down=on_redis_down)
    try:
        yield opened
    finally:
        await opened.close()


async def take(
    opened: Fleet, *, timeout_s: float = 10.0, input_tokens: int = 10, output: int = 10
) -> Lease | Denial:
    """Ask for one lease."""
    return await opened.pool("p").enqueue(Need("*", input_tokens, output), timeout_s=timeout_s)


async def lease_of(opened: Fleet, **options: float) -> Lease:
    """One lease; a denial is a failure."""
    lease = await take(opened, **options)  # type: ignore[arg-type]
    assert isinstance(lease, Lease), lease
    return lease


def run_member(url: str, namespace: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process of the fleet: tests/fleet_member.py."""
    command = [sys.executable, "-m", "tests.fleet_member", url, namespace, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


async def line_of(member: subprocess.Popen[str]) -> str:
    """The next line that a member prints."""
    assert member.stdout is not None
    return (await asyncio.to_thread(member.stdout.readline)).strip()
