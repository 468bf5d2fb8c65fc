"""`manager.explain(ticket)`: asynchronous and blocking, over every pool of the config, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from llm_fleet import sync
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Need
from llm_fleet.errors import ConfigError
from llm_fleet.manager import LLMManager
from tests.managers import KEYS, entry, manager_of

LIMITS = {"requests_per_minute": 2, "burst_seconds": 30, "jitter_seconds": 0}
NEED = Need("*", 10, 10)


@pytest.fixture
async def manager(redis_url, namespace) -> AsyncIterator[LLMManager]:
    """Two pools; no provider is ever called."""
    url = "http://127.0.0.1:9"
    pools = {
        name: {**entry(url, limits=LIMITS), "api_keys": [key]}
        for name, key in zip(("first", "second"), KEYS, strict=False)
    }
    async with manager_of(redis_url, namespace, **pools) as opened:
        yield opened


async def waiting_ticket(manager: LLMManager, name: str) -> str:
    """The id of the ticket that is next in a pool."""
    while not (queues := ((await manager.fleet_status())[name] or {}).get("queues")):
        await asyncio.sleep(0.01)
    return str(queues[0]["head"]["ticket"])


async def test_it_finds_a_ticket_in_whichever_pool_it_is(manager):
    """A lease, the ticket that waits behind it, and one that nobody knows."""
    lease = await manager.fleet.pool("second").enqueue(NEED, timeout_s=5)
    assert isinstance(lease, Lease)
    waiting = asyncio.create_task(manager.fleet.pool("second").enqueue(NEED, timeout_s=60))
    held = await manager.explain(lease.ticket)
    waits = await manager.explain(await waiting_ticket(manager, "second"))
    assert (held.state, held.pool, held.key_id) == ("granted", "second", lease.key_id)
    assert (waits.state, waits.pool, waits.position) == ("queued", "second", 0)
    assert 0 < (waits.starts_in_s or 0) <= 30
    assert (await manager.explain("nobody-1")).state == "unknown"
    assert (await manager.fleet.pool("first").explain(lease.ticket)).state == "unknown"
    waiting.cancel()
    lease.cancel()


@pytest.mark.parametrize("ticket", ["", " ", None, 5, "a|b"])
async def test_what_is_no_id_is_told_so(manager, ticket):
    """One clear message, of every pool and of one."""
    for explain in (manager.explain, manager.fleet.pool("first").explain):
        with pytest.raises(ConfigError, match="^ticket "):
            await explain(ticket)


async def test_the_blocking_manager_says_the_same(manager):
    """`llm_fleet.sync` answers too."""
    lease = await manager.fleet.pool("first").enqueue(NEED, timeout_s=5)
    assert isinstance(lease, Lease)
    found = await asyncio.to_thread(sync.LLMManager(manager).explain, lease.ticket)
    assert (found.state, found.pool) == ("granted", "first")
    lease.cancel()
