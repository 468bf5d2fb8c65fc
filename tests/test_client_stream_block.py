"""client.stream(): a stream as a block, text inside and the whole response at its end, over both SDKs."""

from __future__ import annotations

import asyncio
import gc

import pytest

from llm_fleet.client import TextStream
from llm_fleet.errors import ConfigError, LLMFleetError, ProviderUnavailable, StreamInterrupted
from tests.managers import HELLO, entry, manager_of, provider, settled

LIMITS = {"requests_per_minute": 600, "input_tokens_per_minute": 60_000, "output_tokens_per_minute": 60_000}
NO_RESPONSE = "read to the end"


@pytest.fixture(params=["anthropic", "openai"])
def served(request, simulator, redis_url, namespace):
    """Starts a provider; it, and a manager over its SDK."""

    def by(**options):
        sim = simulator(provider(**options))
        return sim, manager_of(redis_url, namespace, p=entry(sim.url, kind=request.param, limits=LIMITS))

    return by


async def test_the_response_is_there_when_the_text_has_been_read(served):
    """Text, usage, key id, stop reason, attempts, wait and ticket; a second loop finds nothing more."""
    _, opening = served(output_tokens=50)
    async with opening as manager:
        async with manager.get_client().stream(HELLO, max_tokens=1000, tag="block") as stream:
            text = "".join([piece async for piece in stream])
            assert [piece async for piece in stream] == []
        response, status = stream.response, await settled(manager, "p")
        assert (response.content, response.usage.output_tokens) == (text, 50)
        assert len(text.split()) == 50
        assert response.stop_reason in ("end_turn", "stop")
        assert (response.key_id, response.attempts) == (*status["keys"], 1)
        assert response.queued_s >= 0
        assert (await manager.explain(response.ticket)).state == "settled"
    assert (status["leases"], status["waiting"]) == (0, 0)


async def test_before_the_end_there_is_no_response(served):
    """A clear error, also when the provider has long said everything, and after the block."""
    _, opening = served(output_tokens=50)
    async with opening as manager:
        async with manager.get_client().stream(HELLO) as stream:
            with pytest.raises(LLMFleetError, match=NO_RESPONSE):
                _ = stream.response
            assert await anext(stream)
            await settled(manager, "p")
            with pytest.raises(LLMFleetError, match=NO_RESPONSE):
                _ = stream.response
        with pytest.raises(LLMFleetError, match=NO_RESPONSE):
            _ = stream.response


@pytest.mark.parametrize("leave", ["return", "raise"])
async def test_a_block_left_early_ends_the_call(served, leave):
    """Nothing is held, no task is left, and the provider is not read on."""
    sim, opening = served(output_tokens=200, chunks=50, latency_s=5)
    async with opening as manager:
        try:
            async with manager.get_client().stream(HELLO) as stream:
                assert await anext(stream)
                if leave == "raise":
                    raise ZeroDivisionError
        except ZeroDivisionError:
            assert leave == "raise"
        assert (await settled(manager, "p"))["leases"] == 0
        assert len(asyncio.all_tasks()) == 1
        await asyncio.sleep(0.3)
        assert sim.books()["accounts"]["account-0"]["in_flight"] == 0


async def test_a_block_left_while_the_call_waits_leaves_nothing(redis_url, namespace):
    """The ticket is withdrawn: entering begins the call, leaving ends it, read or not."""
    nowhere = entry("http://127.0.0.1:9", limits={"max_concurrent_requests": 1})
    async with manager_of(redis_url, namespace, p=nowhere) as manager:
        client = manager.get_client()
        async with client.lease(input_tokens=1):
            async with client.stream(HELLO):
                assert (await settled(manager, "p"))["waiting"] == 1
            assert (await settled(manager, "p"))["waiting"] == 0


async def test_a_stream_that_breaks_says_what_came(served):
    """StreamInterrupted where the text is read, with text and ticket; nothing is tried again."""
    sim, opening = served(faults=[{"kind": "cut", "times": 1, "after_chunks": 2}])
    async with opening as manager:
        async with manager.get_client().stream(HELLO) as stream:
            read: list[str] = []
            with pytest.raises(StreamInterrupted) as caught:
                await read_into(stream, read)
            assert caught.value.text == "".join(read) != ""
            with pytest.raises(LLMFleetError, match=NO_RESPONSE):
                _ = stream.response
        assert (await settled(manager, "p"))["leases"] == 0
        assert (await manager.explain(caught.value.ticket)).state == "settled"
    assert len(sim.books()["requests"]) == 1


async def read_into(stream: TextStream, pieces: list[str]) -> None:
    async for piece in stream:
        pieces.append(piece)


async def test_what_fails_before_its_first_text_is_tried_again(served):
    """The reader does not notice; the response counts the attempts."""
    sim, opening = served(faults=[{"kind": "status", "status": 500, "times": 1}])
    async with opening as manager, manager.get_client().stream(HELLO) as stream:
        assert len("".join([piece async for piece in stream]).split()) == 20
        assert stream.response.attempts == 2
    assert len(sim.books()["requests"]) == 2


async def test_an_error_nobody_waited_for_is_not_complained_about(served):
    """A block left before its call failed: no `Task exception was never retrieved`."""
    sim, opening = served(faults=[{"kind": "status", "status": 400}])
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    async with opening as manager:
        async with manager.get_client().stream(HELLO) as stream:
            while not sim.books()["requests"]:
                await asyncio.sleep(0.05)
            await settled(manager, "p")
        del stream
        gc.collect()
    assert complaints == []


async def test_reading_may_go_on_after_a_pause_of_the_reader(served):
    """A reader that stops waiting for a piece loses none."""
    _, opening = served(output_tokens=40, chunks=4, latency_s=1)
    async with opening as manager, manager.get_client().stream(HELLO) as stream:
        text, pauses = "", 0
        while pauses < 200:
            try:
                async with asyncio.timeout(0.05):
                    async for piece in stream:
                        text += piece
                break
            except TimeoutError:
                pauses += 1
        assert (len(text.split()), stream.response.content) == (40, text)
    assert pauses


async def test_a_stream_is_read_in_its_block_and_entered_once(redis_url, namespace):
    """Before, after and twice: one clear message each; wrong arguments are said at once."""
    async with manager_of(redis_url, namespace, p=entry("http://127.0.0.1:9")) as manager:
        client = manager.get_client()
        stream = client.stream(HELLO)
        with pytest.raises(LLMFleetError, match="inside its `async with"):
            await anext(stream)
        async with stream:
            pass
        with pytest.raises(LLMFleetError, match="inside its `async with"):
            await anext(stream)
        with pytest.raises(LLMFleetError, match="entered once"):
            async with stream:
                pass
        with pytest.raises(ConfigError, match="priority"):
            client.stream(HELLO, priority="urgent")


async def test_a_provider_that_cannot_be_reached_fails_where_the_text_is_read(redis_url, namespace):
    """The error of the call, as from `complete`."""
    nowhere = entry("http://127.0.0.1:9", settings={"max_retries": 0})
    async with (
        manager_of(redis_url, namespace, p=nowhere) as manager,
        manager.get_client().stream(HELLO) as stream,
    ):
        with pytest.raises(ProviderUnavailable):
            await anext(stream)
