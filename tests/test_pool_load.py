"""Load on a pool of keys, as the seed's script of this name tried: 100 calls at once over 4 keys.

`benchmarks/fleet.py` does the same with many processes, and for longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from llm_fleet.manager import LLMManager
from llm_fleet.models import Response
from tests.managers import HELLO, entry, manager_of, provider, settled

CALLS = 100
LIMITS = {
    "requests_per_minute": 300,
    "input_tokens_per_minute": 30_000,
    "output_tokens_per_minute": 30_000,
    "max_concurrent_requests": 10,
    "burst_seconds": 5,
}


@pytest.fixture
async def sim(simulator) -> Any:
    """Four accounts that permit 300 requests a minute, 25 of them at once, 10 in flight."""
    return simulator(provider(4, limits=LIMITS, latency_s=0.1))


@pytest.fixture
async def manager(sim, redis_url, namespace) -> AsyncIterator[LLMManager]:
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, 4, limits=LIMITS)) as opened:
        yield opened


async def all_at_once(manager: LLMManager) -> list[Response]:
    client = manager.get_client()
    return await asyncio.gather(*(client.complete(HELLO, max_tokens=50) for _ in range(CALLS)))


async def test_a_hundred_calls_at_once_all_succeed_without_a_429(manager, sim):
    """What the limits do not permit at once waits: every call is answered at its first attempt."""
    responses = await all_at_once(manager)
    books = sim.books()
    assert {len(response.content.split()) for response in responses} == {20}
    assert {response.attempts for response in responses} == {1}
    assert [account["rejected"] for account in books["accounts"].values()] == [0, 0, 0, 0]
    assert {request["status"] for request in books["requests"]} == {200}
    assert len({request["ticket"] for request in books["requests"]}) == CALLS


async def test_the_load_is_shared_by_the_keys(manager, sim):
    """Keys with equal limits get nearly equal shares, and no account has more in flight than it may."""
    await all_at_once(manager)
    accounts = sim.books()["accounts"].values()
    assert min(account["accepted"] for account in accounts) >= CALLS / 4 - 5
    assert max(account["peak_concurrency"] for account in accounts) <= LIMITS["max_concurrent_requests"]


async def test_afterwards_nothing_is_left(manager):
    """No ticket waits, no lease is held, and each key has one SDK client, which is free."""
    responses = await all_at_once(manager)
    pool = await settled(manager)
    assert (pool["leases"], pool["waiting"]) == (0, 0)
    status = manager.get_status()
    assert (status["total_clients"], status["available_clients"], status["in_use_clients"]) == (4, 4, 0)
    assert max(response.queued_s for response in responses) < 8


async def test_four_hundred_tasks_on_a_limit_of_one_hundred(simulator, redis_url, namespace):
    """None fails, none passes early: never more than 100 in flight, and 100 is what is used."""
    limits = {"max_concurrent_requests": 100}
    sim = simulator(provider(limits=limits, latency_s=1))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=limits)) as manager:
        client = manager.get_client()
        await asyncio.gather(*(client.complete(HELLO, max_tokens=50) for _ in range(400)))
    (account,) = sim.books()["accounts"].values()
    assert (account["accepted"], account["rejected"], account["peak_concurrency"]) == (400, 0, 100)
