"""AnthropicAdapter: a call becomes a request of the Messages API, its answer or stream a response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from llm_fleet.errors import ProviderUnavailable, RequestRefused, StreamInterrupted
from llm_fleet.models import Call, Message, MessageRole, ToolCall, Usage
from llm_fleet.providers import adapter_for
from llm_fleet.providers.adapter import warn_once
from tests.provider_server import Lease, Reader, Server, cut, event_stream, json_answer, reset, serving, stall

KEY = "sk-test-not-a-real-key-1"
ADAPTER = adapter_for("anthropic")
CALL = Call("claude-pool", "claude-haiku-5-5", (Message(MessageRole.USER, "Hi"),), max_tokens=64)

CACHED = {"cache_creation_input_tokens": 3, "cache_read_input_tokens": 5}
USAGE = {"input_tokens": 10, "output_tokens": 1, **CACHED}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-5-5",
    "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE | {"output_tokens": 7},
}
START = {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None, "usage": USAGE}}
END = (
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
)


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_block(*pieces: str) -> list[dict[str, Any]]:
    deltas = ({"type": "text_delta", "text": piece} for piece in pieces)
    return block(0, {"type": "text", "text": ""}, *deltas)


BREAKS = {"cut": cut, "reset": reset, "stall": stall, "clean end": b"0\r\n\r\n"}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


@pytest.fixture
async def sdk(server: Server) -> AsyncIterator[Any]:
    client = ADAPTER.open_client(api_key=KEY, base_url=server.url, timeout=0.3)
    yield client
    await ADAPTER.close_client(client)


async def test_an_answer_becomes_a_response(server: Server, sdk: Any) -> None:
    """Text is joined, usage adds up the cached input, the key is named by its id."""
    server.says(json_answer(MESSAGE))
    response = await ADAPTER.complete(sdk, replace(CALL, lease=Lease(), attempt=2))
    assert response.content == "Hello"
    assert response.usage == Usage(18, 7, cache_read_tokens=5, cache_creation_tokens=3)
    assert (response.model, response.stop_reason, response.attempts) == ("claude-haiku-5-5", "end_turn", 2)
    assert response.key_id == Lease.key_id
    assert response.raw.id == "msg_1"


async def test_the_request_says_what_the_call_says(server: Server, sdk: Any) -> None:
    """Every field of the call has its place, and further keywords reach the SDK."""
    server.says(json_answer(MESSAGE))
    tools = [{"name": "add", "input_schema": {"type": "object"}}]
    call = replace(CALL, system="Be brief", tools=tools, tool_choice="any", extra={"stop_sequences": ["."]})
    await ADAPTER.complete(sdk, call)
    assert server.asked[0].path == "/v1/messages"
    assert server.asked[0].body == {
        "model": "claude-haiku-5-5",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Hi"}],
        "system": "Be brief",
        "tools": tools,
        "tool_choice": {"type": "any"},
        "stop_sequences": ["."],
    }


async def test_null_cache_figures_count_as_nothing(server: Server, sdk: Any) -> None:
    """The cache figures of a usage may be null, or missing."""
    usage = {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": None}
    server.says(json_answer(MESSAGE | {"usage": usage}))
    assert (await ADAPTER.complete(sdk, CALL)).usage == Usage(4, 2)


async def test_leading_system_messages_become_the_system_prompt(server: Server, sdk: Any) -> None:
    """They follow `system`; a later system message stays in its place; results of tools are the user's."""
    server.says(json_answer(MESSAGE))
    result = [{"type": "tool_result", "tool_use_id": "t1", "content": "3"}]
    turns = (
        Message(MessageRole.SYSTEM, "Second"),
        Message(MessageRole.TOOL, result),
        Message(MessageRole.SYSTEM, "Later"),
    )
    await ADAPTER.complete(sdk, replace(CALL, system="First", messages=turns))
    body = server.asked[0].body
    assert body["system"] == "First\n\nSecond"
    assert body["messages"] == [{"role": "user", "content": result}, {"role": "system", "content": "Later"}]


async def test_system_blocks_stay_blocks(server: Server, sdk: Any) -> None:
    """A system prompt with cache marks keeps them."""
    server.says(json_answer(MESSAGE))
    marked = {"type": "text", "text": "Rules", "cache_control": {"type": "ephemeral"}}
    call = replace(CALL, system=[marked], messages=(Message(MessageRole.SYSTEM, "More"), *CALL.messages))
    await ADAPTER.complete(sdk, call)
    assert server.asked[0].body["system"] == [marked, {"type": "text", "text": "More"}]


async def test_tool_calls_are_given_with_their_arguments(server: Server, sdk: Any) -> None:
    """A tool_use block becomes a ToolCall."""
    use = {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}
    server.says(json_answer(MESSAGE | {"content": [use], "stop_reason": "tool_use"}))
    response = await ADAPTER.complete(sdk, CALL)
    assert response.tool_calls == (ToolCall("t1", "add", {"a": 1}),)


async def test_temperature_is_left_out_and_said_once(
    server: Server, sdk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The API version of the SDK refuses a temperature on every model: it is not sent."""
    warn_once.cache_clear()
    server.says(json_answer(MESSAGE))
    with caplog.at_level(logging.WARNING, "llm_fleet.providers"):
        for _ in range(2):
            await ADAPTER.complete(sdk, replace(CALL, temperature=0.7))
    assert [asked.body.get("temperature") for asked in server.asked] == [None, None]
    assert caplog.text.count("llm_fleet.temperature.left_out") == 1


async def test_temperature_is_sent_with_an_older_api_version(server: Server, sdk: Any) -> None:
    """Who asks for an API version that knows it gets it."""
    server.says(json_answer(MESSAGE))
    older = {"extra_headers": {"Anthropic-Version": "2023-06-01"}, "extra_body": {"top_k": 5}}
    await ADAPTER.complete(sdk, replace(CALL, temperature=0.7, extra=older))
    asked = server.asked[0]
    assert (asked.body["temperature"], asked.body["top_k"]) == (0.7, 5)
    assert asked.headers["anthropic-version"] == "2023-06-01"


async def test_large_max_tokens_need_no_stream(server: Server, sdk: Any) -> None:
    """The SDK's own refusal of long answers in one piece is lifted by our timeout."""
    server.says(json_answer(MESSAGE))
    assert (await ADAPTER.complete(sdk, replace(CALL, max_tokens=64_000))).content == "Hello"


async def test_an_unknown_keyword_is_refused_before_anything_is_sent(server: Server, sdk: Any) -> None:
    """The message names the keyword; the lease is not marked as sent."""
    lease = Lease()
    with pytest.raises(RequestRefused, match="colour.*check its keywords") as caught:
        await ADAPTER.complete(sdk, replace(CALL, extra={"colour": "red"}, lease=lease))
    assert caught.value.usage == Usage()
    assert not lease.is_sent
    assert server.asked == []


async def test_a_value_that_is_not_json_is_refused(server: Server, sdk: Any) -> None:
    """Nothing is sent, and the usage says so."""
    with pytest.raises(RequestRefused, match="nothing was sent") as caught:
        await ADAPTER.complete(sdk, replace(CALL, extra={"metadata": {"user_id": object()}}))
    assert caught.value.usage == Usage()


async def test_stream_is_no_keyword(sdk: Any) -> None:
    """Who wants a stream is sent to stream_complete."""
    with pytest.raises(RequestRefused, match="stream_complete"):
        await ADAPTER.complete(sdk, replace(CALL, extra={"stream": True}))


async def test_the_lease_is_marked_before_the_request_leaves(server: Server, sdk: Any) -> None:
    """From the send on the attempt may have cost something."""
    server.says(json_answer(MESSAGE))
    lease = Lease()
    await ADAPTER.complete(sdk, replace(CALL, lease=lease))
    assert lease.is_sent


async def test_a_stream_shows_its_text_as_it_comes(server: Server, sdk: Any) -> None:
    """The response is that of the same answer in one piece."""
    server.says(event_stream(START, {"type": "ping"}, *text_block("Hel", "", "lo"), *END))
    reader = Reader()
    response = await ADAPTER.complete(sdk, replace(CALL, sink=reader, lease=Lease()))
    assert server.asked[0].body["stream"] is True
    assert reader.pieces == ["Hel", "lo"]
    assert (response.content, response.stop_reason) == ("Hello", "end_turn")
    assert response.raw.content[0].text == "Hello"


async def test_usage_of_a_stream_replaces_what_was_said_before(server: Server, sdk: Any) -> None:
    """message_delta is cumulative, and leaves out what it does not change."""
    deltas = [
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 4, "input_tokens": 11}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    ]
    server.says(event_stream(START, *text_block("Hello"), *deltas, END[1]))
    response = await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))
    assert response.usage == Usage(19, 9, cache_read_tokens=5, cache_creation_tokens=3)


async def test_progress_is_cumulative_and_never_above_the_truth(server: Server, sdk: Any) -> None:
    """An estimate goes with the text, the provider's own figure at the end."""
    server.says(event_stream(START, *text_block("x" * 10, "é" * 10), *END))
    lease = Lease()
    await ADAPTER.complete(sdk, replace(CALL, sink=Reader(), lease=lease))
    assert lease.reports == [1, 2, 6, 7]


async def test_blocks_of_a_stream_are_put_together(server: Server, sdk: Any) -> None:
    """Thinking, its signature, and the arguments of tools arrive whole; none of it is shown."""
    thought = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Add "},
        {"type": "thinking_delta", "thinking": "them"},
        {"type": "signature_delta", "signature": "s1"},
    )
    pieces = ({"type": "input_json_delta", "partial_json": piece} for piece in ('{"a":', " 1}"))
    use = block(1, {"type": "tool_use", "id": "t1", "name": "add", "input": {}}, *pieces)
    server.says(event_stream(START, *thought, *use, *END))
    reader = Reader()
    response = await ADAPTER.complete(sdk, replace(CALL, sink=reader))
    assert response.tool_calls == (ToolCall("t1", "add", {"a": 1}),)
    assert response.raw.content[0].thinking == "Add them"
    assert response.raw.content[0].signature == "s1"
    assert reader.pieces == []


async def test_arguments_that_were_cut_off_are_kept_as_text(server: Server, sdk: Any) -> None:
    """max_tokens may end an answer inside the arguments of a tool."""
    cut_off = {"type": "input_json_delta", "partial_json": '{"a": [1, 2'}
    use = block(0, {"type": "tool_use", "id": "t1", "name": "add", "input": {}}, cut_off)
    server.says(event_stream(START, *use, *END))
    response = await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))
    assert response.tool_calls[0].arguments == {"invalid_json": '{"a": [1, 2'}


@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS)
async def test_a_stream_that_breaks_after_text_is_interrupted(server: Server, sdk: Any, ending: Any) -> None:
    """The error holds the text so far and the usage as far as it is known; it is not retryable."""
    server.says(event_stream(START, *text_block("Hello, world"), end=False), ending)
    reader = Reader()
    with pytest.raises(StreamInterrupted) as caught:
        await ADAPTER.complete(sdk, replace(CALL, sink=reader, lease=Lease()))
    assert caught.value.text == reader.text == "Hello, world"
    assert caught.value.usage == Usage(18, 2, cache_read_tokens=5, cache_creation_tokens=3)
    assert not caught.value.retryable
    assert caught.value.key_id == Lease.key_id


@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS)
async def test_a_stream_that_breaks_before_text_may_be_retried(server: Server, sdk: Any, ending: Any) -> None:
    """Nothing was shown, so another attempt harms nobody."""
    server.says(event_stream(START, end=False), ending)
    with pytest.raises(ProviderUnavailable) as caught:
        await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))
    assert caught.value.retryable
    assert caught.value.usage == Usage(18, 1, cache_read_tokens=5, cache_creation_tokens=3)


async def test_a_break_after_message_stop_is_no_harm(server: Server, sdk: Any) -> None:
    """The answer is complete: how the connection ends is nobody's business."""
    server.says(event_stream(START, *text_block("Hello"), *END, end=False), cut)
    assert (await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))).content == "Hello"


async def test_an_event_of_another_shape_breaks_the_stream(server: Server, sdk: Any) -> None:
    """A server that speaks differently is no crash of ours."""
    server.says(event_stream(START, {"type": "content_block_stop", "index": 5}))
    with pytest.raises(ProviderUnavailable, match="`kind` and `base_url`"):
        await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))


@pytest.mark.parametrize("body", ["<html>Welcome</html>", {"object": "list"}], ids=["page", "other object"])
async def test_an_answer_that_is_no_message_is_said_so(server: Server, sdk: Any, body: Any) -> None:
    """A wrong base_url often answers with status 200."""
    server.says(json_answer(body))
    with pytest.raises(ProviderUnavailable, match="no message of the Messages API.*`base_url`"):
        await ADAPTER.complete(sdk, CALL)


async def test_a_cancelled_stream_closes_its_connection(server: Server, sdk: Any) -> None:
    """Cancelling passes through as it is, and nothing stays open."""
    hung_up = asyncio.Event()

    async def wait_for_the_end(writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"6\r\n: hi\n\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            hung_up.set()

    server.says(event_stream(START, *text_block("Hello"), end=False), wait_for_the_end)
    reader = Reader()
    task = asyncio.create_task(ADAPTER.complete(sdk, replace(CALL, sink=reader)))
    while not reader.pieces:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(hung_up.wait(), 2)


async def test_calls_and_streams_use_a_connection_again(server: Server, sdk: Any) -> None:
    """An answer that was read to its end leaves its connection open for the next call."""
    server.says(event_stream(START, *text_block("Hello"), *END))
    for _ in range(5):
        await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))
    assert server.connections == 1


async def test_tokens_are_counted_by_the_provider(server: Server, sdk: Any) -> None:
    """The count sees what the call would send, without what only the answer needs."""
    server.says(json_answer({"input_tokens": 42}))
    count = await ADAPTER.count_tokens(sdk, replace(CALL, system="Be brief", temperature=0.5))
    assert count == 42
    assert server.asked[0].path == "/v1/messages/count_tokens"
    assert server.asked[0].body == {
        "model": "claude-haiku-5-5",
        "messages": [{"role": "user", "content": "Hi"}],
        "system": "Be brief",
    }


async def test_a_server_without_a_count_gives_none(server: Server, sdk: Any) -> None:
    """Gateways often have no count_tokens."""
    server.says(json_answer({"error": {"type": "not_found_error", "message": "no"}}, status=404))
    assert await ADAPTER.count_tokens(sdk, CALL) is None
