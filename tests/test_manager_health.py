"""manager.health(): liveness never depends on Redis, readiness says why."""

from __future__ import annotations

import asyncio

from tests.managers import entry, manager_of

POOLS = {"anthropic": entry("http://127.0.0.1:9")}


async def becomes(manager, *, ready: bool, within_s: float = 8.0) -> dict:
    """The health once `ready` is as wanted; always live."""
    async with asyncio.timeout(within_s):
        while (health := manager.health())["ready"] is not ready:
            assert health["live"]
            await asyncio.sleep(0.02)
    return health


async def test_a_process_that_has_not_called_yet_becomes_ready(redis_url, namespace):
    """The first probe begins to connect, and says so; soon it is ready."""
    async with manager_of(redis_url, namespace, **POOLS) as manager:
        health = manager.health()
        assert health["live"]
        assert health["ready"] or "not connected" in health["reasons"][0]
        assert await becomes(manager, ready=True) == {"live": True, "ready": True, "reasons": []}


async def test_a_redis_that_is_away_is_the_reason(own_server, namespace):
    """Within a third of the lease TTL it says where Redis does not answer; back, it is ready again."""
    server = own_server()
    async with manager_of(server.url, namespace, **POOLS) as manager:
        await becomes(manager, ready=True)
        server.kill()
        health = await becomes(manager, ready=False)
        assert health["reasons"][0].startswith("provider anthropic: Redis at ")
        assert f"127.0.0.1:{server.port}" in health["reasons"][0]
        assert server.password not in str(health)
        server.restart()
        await becomes(manager, ready=True)


async def test_a_redis_that_never_was_there_is_the_reason(namespace):
    """A process that starts without Redis is live, and not ready."""
    async with manager_of("redis://127.0.0.1:1", namespace, **POOLS) as manager:
        manager.health()
        async with asyncio.timeout(5):
            while "127.0.0.1:1" not in manager.health()["reasons"][0]:
                await asyncio.sleep(0.02)
        assert manager.health()["live"]


async def test_a_closed_manager_is_not_ready(redis_url, namespace):
    """After close() the process lives on, and takes no calls."""
    async with manager_of(redis_url, namespace, **POOLS) as manager:
        await manager.close()
        assert manager.health() == {"live": True, "ready": False, "reasons": ["the manager is closed"]}
