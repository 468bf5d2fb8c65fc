"""stream_complete(): the same chain, text as it comes, and everything given back."""

from __future__ import annotations

import asyncio

import pytest

from llm_fleet.errors import CallTimeout, StreamInterrupted
from llm_fleet.models import Response, Usage
from tests.managers import HELLO, entry, manager_of, provider, settled

LIMITS = {"requests_per_minute": 600, "input_tokens_per_minute": 60_000, "output_tokens_per_minute": 60_000}


async def text_of(client, **options):
    return "".join([piece async for piece in client.stream_complete(HELLO, **options)])


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
async def test_a_stream_yields_the_whole_text(simulator, redis_url, namespace, kind):
    """Both vendors: every word arrives, usage is settled."""
    sim = simulator(provider(output_tokens=50))
    async with manager_of(redis_url, namespace, p=entry(sim.url, kind=kind, limits=LIMITS)) as manager:
        text = await text_of(manager.get_client())
        assert len(text.split()) == 50
        status = await settled(manager, "p")
    assert (status["leases"], status["waiting"]) == (0, 0)


async def test_a_stream_left_half_read_is_ended_and_settled(simulator, redis_url, namespace):
    """Breaking out of the loop ends the call: no lease, no connection, no task is left."""
    sim = simulator(provider(output_tokens=200, chunks=50, latency_s=5))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=LIMITS)) as manager:
        stream = manager.get_client().stream_complete(HELLO)
        async for _ in stream:
            break
        await stream.aclose()
        assert (await settled(manager))["leases"] == 0
        assert len(asyncio.all_tasks()) == 1
        await asyncio.sleep(0.3)
        assert sim.books()["accounts"]["account-0"]["in_flight"] == 0


async def test_cancelling_the_reader_ends_the_call(simulator, redis_url, namespace):
    """A cancelled task that reads a stream leaves nothing behind."""
    sim = simulator(provider(output_tokens=200, chunks=50, latency_s=10))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=LIMITS)) as manager:
        reader = asyncio.create_task(text_of(manager.get_client()))
        await asyncio.sleep(2.5)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert (await settled(manager))["leases"] == 0


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_a_broken_stream_carries_the_text_so_far(simulator, redis_url, namespace, kind, fault):
    """After text was emitted nothing is tried again: StreamInterrupted with the text."""
    sim = simulator(provider(faults=[{"kind": fault, "times": 1, "after_chunks": 2}]))
    async with manager_of(redis_url, namespace, p=entry(sim.url, kind=kind, limits=LIMITS)) as manager:
        with pytest.raises(StreamInterrupted) as caught:
            await text_of(manager.get_client())
        assert caught.value.text
        assert (await settled(manager, "p"))["leases"] == 0
    assert len(sim.books()["requests"]) == 1


async def test_a_stream_is_tried_again_while_nothing_was_emitted(simulator, redis_url, namespace):
    """A 500 before the first text: the reader does not notice."""
    sim = simulator(provider(faults=[{"kind": "status", "status": 500, "times": 1}]))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=LIMITS)) as manager:
        assert len((await text_of(manager.get_client())).split()) == 20
    assert len(sim.books()["requests"]) == 2


async def test_a_stalled_stream_ends_with_its_timeout(simulator, redis_url, namespace):
    """No more bytes: the call's timeout ends it."""
    sim = simulator(provider(faults=[{"kind": "stall", "times": 1, "after_chunks": 1}]))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=LIMITS)) as manager:
        with pytest.raises(CallTimeout):
            await text_of(manager.get_client(), timeout=3)
        assert (await settled(manager))["leases"] == 0


async def test_a_slow_reader_holds_the_stream_up_and_loses_nothing(simulator, redis_url, namespace):
    """The sink is bounded: a reader may take its time."""
    sim = simulator(provider(output_tokens=300, chunks=150))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=LIMITS)) as manager:
        words = 0
        async for piece in manager.get_client().stream_complete(HELLO):
            await asyncio.sleep(0.002)
            words += len(piece.split())
        assert words == 300


async def test_middleware_sees_a_stream_as_one_call(simulator, redis_url, namespace):
    """Custom middleware is outermost and gets the response when the stream has ended."""
    seen = []

    async def watch(call, call_next) -> Response:
        response = await call_next(call)
        seen.append((call.provider, response.usage))
        return response

    sim = simulator(provider())
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url)) as manager:
        manager.add_middleware(watch)
        await text_of(manager.get_client())
    assert seen[0][0] == "anthropic"
    assert isinstance(seen[0][1], Usage)
    assert seen[0][1].output_tokens == 20
