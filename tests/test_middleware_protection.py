"""What the middleware protects from, as the seed's script of this name tried: failures, limits, 429s."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_fleet import ProviderUnavailable, QueueTimeout, Throttled
from tests.managers import HELLO, entry, manager_of, provider

FLAKY = {"kind": "status", "status": 500, "every": 2}
PAUSE_S = 0.8


def statuses(sim: Any) -> list[int]:
    return [request["status"] for request in sim.books()["requests"]]


async def test_a_failure_that_may_pass_is_tried_again(simulator, redis_url, namespace):
    """Every second request fails with a 500: the callers do not notice, but for the attempts."""
    sim = simulator(provider(faults=[FLAKY]))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url)) as manager:
        client = manager.get_client()
        responses = [await client.complete(HELLO) for _ in range(2)]
        metrics = manager.metrics()
    assert [response.attempts for response in responses] == [1, 2]
    assert statuses(sim) == [200, 500, 200]
    assert (metrics["calls"], metrics["errors"], metrics["retries"]) == (2, 0, 1)


async def test_a_failure_that_stays_ends_after_max_retries(simulator, redis_url, namespace):
    """Then the error says how many attempts were made."""
    sim = simulator(provider(faults=[{"kind": "status", "status": 503}]))
    settings = {"max_retries": 1}
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, settings=settings)) as manager:
        with pytest.raises(ProviderUnavailable) as failed:
            await manager.get_client().complete(HELLO)
    assert (failed.value.attempts, statuses(sim)) == (2, [503, 503])


async def test_calls_beyond_the_limit_do_not_reach_the_provider(simulator, redis_url, namespace):
    """Of 30 calls at once only those leave that the limit permits; the others are told what binds."""
    limits = {"requests_per_minute": 600, "burst_seconds": 1}
    sim = simulator(provider(limits=limits))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=limits)) as manager:
        client = manager.get_client()
        calls = [client.complete(HELLO, max_tokens=50, queue_timeout=0.2) for _ in range(30)]
        found = await asyncio.gather(*calls, return_exceptions=True)
    refused = [error for error in found if isinstance(error, QueueTimeout)]
    assert statuses(sim) == [200] * (30 - len(refused))
    assert len(refused) >= 15
    assert "requests_per_minute" in {error.resource for error in refused}


async def test_a_429_pauses_its_account_for_everybody(simulator, redis_url, namespace):
    """The provider asks for a pause: no request of any call leaves before it is over."""
    fault = {"kind": "status", "status": 429, "times": 1, "retry_after_s": PAUSE_S}
    sim = simulator(provider(faults=[fault], latency_s=0.01))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url)) as manager:
        client = manager.get_client()
        first = asyncio.create_task(client.complete(HELLO))
        while not statuses(sim):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # the settle is not awaited by anybody; it tells Redis
        await asyncio.gather(first, *(client.complete(HELLO) for _ in range(5)))
    throttled, *answered = sim.books()["requests"]
    assert (throttled["status"], {request["status"] for request in answered}) == (429, {200})
    assert min(request["t"] for request in answered) - throttled["t"] >= PAUSE_S


async def test_without_retries_a_429_is_told_as_it_is(simulator, redis_url, namespace):
    """`max_retries: 0`: Throttled, with the pause that the provider asked for."""
    fault = {"kind": "status", "status": 429, "retry_after_s": 7}
    sim = simulator(provider(faults=[fault]))
    settings = {"max_retries": 0}
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, settings=settings)) as manager:
        with pytest.raises(Throttled) as refused:
            await manager.get_client().complete(HELLO)
    assert (refused.value.status, refused.value.retry_after, len(statuses(sim))) == (429, 7, 1)


async def test_retries_spread_over_the_keys(simulator, redis_url, namespace):
    """While one account is paused, the calls go by the keys of the others."""
    fault = {"kind": "status", "status": 429, "retry_after_s": 30, "account": "account-0"}
    sim = simulator(provider(2, faults=[fault]))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, 2)) as manager:
        client = manager.get_client()
        responses = [await client.complete(HELLO, timeout=5) for _ in range(6)]
    assert len(responses) == 6
    assert sim.books()["accounts"]["account-1"]["accepted"] == 6
    assert statuses(sim).count(429) <= 1
