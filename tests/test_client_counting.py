"""count_tokens() and `settings.count`: the provider's own count, and what happens where there is none."""

from __future__ import annotations

import asyncio
import logging

import pytest

from llm_fleet.models import Message, MessageRole
from tests.managers import HELLO, entry, manager_of, provider

LONG = [Message(MessageRole.USER, "word " * 2_000)]
BLOCK = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
PICTURE = [Message(MessageRole.USER, [BLOCK])]


def counts_of(sim) -> int:
    """How often the provider was asked to count."""
    return sim.books()["token_counts"]


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
async def test_count_tokens_is_what_the_provider_then_charges(simulator, redis_url, namespace, kind):
    """Both vendors count natively, and the call's usage says the same."""
    sim = simulator(provider())
    async with manager_of(redis_url, namespace, p=entry(sim.url, kind=kind)) as manager:
        count = await manager.get_client().count_tokens(HELLO, system="Be brief.")
        response = await manager.get_client().complete(HELLO, system="Be brief.")
    assert count == response.usage.input_tokens
    assert counts_of(sim) == 1


async def test_what_a_provider_cannot_count_is_estimated(simulator, redis_url, namespace):
    """OpenAI counts texts only; there the estimate answers."""
    sim = simulator(provider())
    async with manager_of(redis_url, namespace, p=entry(sim.url, kind="openai")) as manager:
        assert await manager.get_client().count_tokens(PICTURE) > 0
    assert counts_of(sim) == 0


async def test_a_provider_that_cannot_be_reached_costs_one_warning_and_a_pause(redis_url, namespace, caplog):
    """The estimate takes over; for a while nobody asks again."""
    async with manager_of(redis_url, namespace, anthropic=entry("http://127.0.0.1:9")) as manager:
        client = manager.get_client()
        with caplog.at_level(logging.WARNING):
            counts = [await client.count_tokens(LONG) for _ in range(3)]
    assert counts[0] == counts[1] == counts[2] > 1_000
    said = [record.message for record in caplog.records if "llm_fleet.count" in record.message]
    assert len(said) == 1
    assert "count: estimate" in said[0]


async def needed(simulator, redis_url, namespace, mode: str, messages) -> tuple[int, int]:
    """Input tokens reserved for a call under `settings.count`, and how often the provider counted."""
    sim = simulator(provider(latency_s=60))
    limited = entry(sim.url, limits={"input_tokens_per_minute": 10_000}, settings={"count": mode})
    async with manager_of(redis_url, namespace, anthropic=limited) as manager:
        call = asyncio.create_task(manager.get_client().complete(messages))
        while not sim.books()["requests"]:
            await asyncio.sleep(0.01)
        (domain,) = (await manager.fleet_status())["anthropic"]["domains"].values()
        call.cancel()
    return 10_000 - domain["lanes"]["*"][0]["level"], counts_of(sim)


@pytest.mark.parametrize(
    ("mode", "messages", "counted"),
    [("estimate", LONG, 0), ("native", HELLO, 1), ("auto", HELLO, 0), ("auto", LONG, 1)],
)
async def test_settings_say_who_counts(simulator, redis_url, namespace, mode, messages, counted):
    """`native` always asks the provider, `auto` for what takes a tenth of a limit, `estimate` never."""
    reserved, counts = await needed(simulator, redis_url, namespace, mode, messages)
    assert counts == counted
    if messages is LONG:
        assert (reserved < 3_000) == bool(counted)  # it has 2,504; the estimate says 3,338


async def test_a_native_count_that_fails_stops_no_call(simulator, redis_url, namespace, caplog):
    """The key is refused for counting, say: calls go on by the estimate."""
    sim = simulator(provider())
    counting = entry(sim.url, kind="openai", settings={"count": "native"}, limits={"requests_per_minute": 60})
    async with manager_of(redis_url, namespace, p=counting) as manager:
        response = await manager.get_client().complete(PICTURE)
    assert response.content
    assert any("llm_fleet.count.estimated" in record.message for record in caplog.records)
