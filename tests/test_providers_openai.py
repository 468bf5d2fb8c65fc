"""OpenAIAdapter: a call becomes a chat completion, its answer or chunks a response."""

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
ADAPTER = adapter_for("openai")
CALL = Call("openai-pool", "gpt-6-luna", (Message(MessageRole.USER, "Hi"),), max_tokens=64)

USAGE = {
    "prompt_tokens": 18,
    "completion_tokens": 7,
    "total_tokens": 25,
    "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-6-luna",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    "usage": USAGE,
}
FUNCTION = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chunk of the first choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return CHUNK | {"choices": [choice]}


CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
END = (chunk("stop"), CHUNK | {"usage": USAGE}, "[DONE]")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


@pytest.fixture
async def sdk(server: Server) -> AsyncIterator[Any]:
    client = ADAPTER.open_client(api_key=KEY, base_url=server.url + "/v1", timeout=0.3)
    yield client
    await ADAPTER.close_client(client)


async def body_of(server: Server, sdk: Any, call: Call) -> dict[str, Any]:
    """What a call sends."""
    server.says(json_answer(COMPLETION))
    await ADAPTER.complete(sdk, call)
    body: dict[str, Any] = server.asked[-1].body
    return body


async def test_an_answer_becomes_a_response(server: Server, sdk: Any) -> None:
    """Cached tokens are a part of the input, not more of it."""
    server.says(json_answer(COMPLETION))
    response = await ADAPTER.complete(sdk, replace(CALL, lease=Lease(), attempt=2))
    assert response.content == "Hello"
    assert response.usage == Usage(18, 7, cache_read_tokens=5, cache_creation_tokens=3)
    assert (response.model, response.stop_reason, response.attempts) == ("gpt-6-luna", "stop", 2)
    assert response.key_id == Lease.key_id
    assert response.raw.id == "chatcmpl-1"


async def test_the_request_says_what_the_call_says(server: Server, sdk: Any) -> None:
    """The system prompt comes first; further keywords reach the SDK."""
    tools = [{"type": "function", "function": {"name": "add"}}]
    call = replace(CALL, system="Be brief", tools=tools, tool_choice="auto", extra={"seed": 7})
    assert await body_of(server, sdk, call) == {
        "model": "gpt-6-luna",
        "max_completion_tokens": 64,
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        "tools": tools,
        "tool_choice": "auto",
        "seed": 7,
    }
    assert server.asked[0].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("model", "cap"),
    [
        ("gpt-6-luna", "max_completion_tokens"),
        ("openai/gpt-6-sol", "max_completion_tokens"),
        ("o4-mini", "max_completion_tokens"),
        ("openai/gpt-oss-120b", "max_tokens"),
        ("mistral-large-latest", "max_tokens"),
        ("meta-llama/llama-4", "max_tokens"),
    ],
)
async def test_the_cap_has_the_name_that_the_server_takes(
    server: Server, sdk: Any, model: str, cap: str
) -> None:
    """Away from OpenAI only OpenAI's own models get the newer name."""
    body = await body_of(server, sdk, replace(CALL, model=model))
    assert {name: body[name] for name in body if name.startswith("max_")} == {cap: 64}


async def test_openai_itself_always_gets_the_newer_name() -> None:
    """At OpenAI's own address the model's name does not matter."""
    from llm_fleet.providers.openai import _request

    assert _request(replace(CALL, model="ft:mine"), "api.openai.com")["max_completion_tokens"] == 64
    assert _request(replace(CALL, model="mine"), "corp.openai.azure.com")["max_completion_tokens"] == 64


async def test_a_cap_given_by_the_caller_is_the_only_one(server: Server, sdk: Any) -> None:
    """Where the rule is wrong for a server, the call can say the right name."""
    body = await body_of(server, sdk, replace(CALL, extra={"max_tokens": 9}))
    assert {name: body[name] for name in body if name.startswith("max_")} == {"max_tokens": 9}


@pytest.mark.parametrize(
    ("model", "extra", "sent"),
    [
        ("gpt-6-luna", {}, None),
        ("gpt-6-luna", {"reasoning_effort": "none"}, 0.7),
        ("gpt-5-chat-latest", {}, 0.7),
        ("o4-mini", {}, None),
        ("llama-4", {}, 0.7),
        ("gpt-4.1", {}, 0.7),
    ],
)
async def test_temperature_is_sent_where_the_model_has_one(
    server: Server, sdk: Any, model: str, extra: dict[str, Any], sent: float | None
) -> None:
    """Reasoning models refuse it, with status 400."""
    body = await body_of(server, sdk, replace(CALL, model=model, extra=extra, temperature=0.7))
    assert body.get("temperature") == sent


async def test_a_temperature_that_was_left_out_is_said_once(
    server: Server, sdk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning per model, not one per call."""
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "llm_fleet.providers"):
        for _ in range(2):
            await body_of(server, sdk, replace(CALL, temperature=0.7))
    assert caplog.text.count("llm_fleet.temperature.left_out") == 1


async def test_calls_and_results_of_tools_find_their_places(server: Server, sdk: Any) -> None:
    """Blocks of type function are the assistant's tool_calls; each result is a message of its own."""
    results = [{"tool_call_id": "t1", "content": "3"}, {"tool_call_id": "t2", "content": "4"}]
    turns = (
        Message(MessageRole.ASSISTANT, [{"type": "text", "text": "Adding"}, FUNCTION]),
        Message(MessageRole.TOOL, results),
    )
    body = await body_of(server, sdk, replace(CALL, messages=turns))
    assert body["messages"] == [
        {"role": "assistant", "content": [{"type": "text", "text": "Adding"}], "tool_calls": [FUNCTION]},
        {"role": "tool", "tool_call_id": "t1", "content": "3"},
        {"role": "tool", "tool_call_id": "t2", "content": "4"},
    ]


async def test_tool_calls_are_given_with_their_arguments(server: Server, sdk: Any) -> None:
    """Functions have JSON arguments, custom tools a text."""
    custom = {"id": "t2", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    message = {"role": "assistant", "content": None, "tool_calls": [FUNCTION, custom]}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    server.says(json_answer(COMPLETION | {"choices": [choice]}))
    response = await ADAPTER.complete(sdk, CALL)
    assert response.content == ""
    assert response.tool_calls == (ToolCall("t1", "add", {"a": 1}), ToolCall("t2", "shell", {"input": "ls"}))


async def test_an_unknown_keyword_is_refused_before_anything_is_sent(server: Server, sdk: Any) -> None:
    """The message names the keyword; the lease is not marked as sent."""
    lease = Lease()
    with pytest.raises(RequestRefused, match="colour.*check its keywords") as caught:
        await ADAPTER.complete(sdk, replace(CALL, extra={"colour": "red"}, lease=lease))
    assert caught.value.usage == Usage()
    assert not lease.is_sent
    assert server.asked == []


async def test_stream_is_no_keyword(sdk: Any) -> None:
    """Who wants a stream is sent to stream_complete."""
    with pytest.raises(RequestRefused, match="stream_complete"):
        await ADAPTER.complete(sdk, replace(CALL, extra={"stream": True}))


async def test_a_stream_shows_its_text_as_it_comes(server: Server, sdk: Any) -> None:
    """The response is that of the same answer in one piece; usage is asked for."""
    pieces = (chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"))
    server.says(event_stream(*pieces, *END))
    reader, lease = Reader(), Lease()
    extra = {"stream_options": {"include_obfuscation": False}}
    response = await ADAPTER.complete(sdk, replace(CALL, sink=reader, lease=lease, extra=extra))
    assert server.asked[0].body["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert reader.pieces == ["Hel", "lo"]
    assert (response.content, response.stop_reason) == ("Hello", "stop")
    assert response.usage == Usage(18, 7, cache_read_tokens=5, cache_creation_tokens=3)
    assert response.raw.choices[0].message.content == "Hello"
    assert lease.reports == [1, 7]


async def test_usage_may_come_with_the_last_choice(server: Server, sdk: Any) -> None:
    """Compatible servers put the usage where they like; only the first choice is shown."""
    other = CHUNK | {"choices": [{"index": 1, "delta": {"content": "Bye"}, "finish_reason": None}]}
    server.says(event_stream(chunk(content="Hello"), other, chunk("stop") | {"usage": USAGE}, "[DONE]"))
    assert (await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))).content == "Hello"


async def test_tool_calls_of_a_stream_are_put_together(server: Server, sdk: Any) -> None:
    """Pieces of arguments are joined by index; reasoning is counted and not shown."""

    def part(**fields: Any) -> dict[str, Any]:
        return chunk(tool_calls=[{"index": 0, **fields}])

    pieces = (
        chunk(reasoning_content="x" * 20),
        part(id="t1", type="function", function={"name": "add", "arguments": ""}),
        part(function={"arguments": '{"a":'}),
        part(function={"arguments": " 1}"}),
    )
    server.says(event_stream(*pieces, chunk("tool_calls"), *END[1:]))
    reader, lease = Reader(), Lease()
    response = await ADAPTER.complete(sdk, replace(CALL, sink=reader, lease=lease))
    assert response.tool_calls == (ToolCall("t1", "add", {"a": 1}),)
    assert response.raw.choices[0].message.tool_calls[0].id == "t1"
    assert reader.pieces == []
    assert lease.reports[0] == 4


BREAKS = {
    "cut": (b"", cut),
    "reset": (b"", reset),
    "stall": (b"", stall),
    "clean end": (b"0\r\n\r\n",),
    "no usage": (event_stream(chunk("stop"), "[DONE]").partition(b"\r\n\r\n")[2],),
}


@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS)
async def test_a_stream_that_breaks_after_text_is_interrupted(server: Server, sdk: Any, ending: Any) -> None:
    """The error holds the text so far; it is not retryable."""
    server.says(event_stream(chunk(content="Hello"), end=False), *ending)
    with pytest.raises(StreamInterrupted, match="after 5 characters") as caught:
        await ADAPTER.complete(sdk, replace(CALL, sink=Reader(), lease=Lease()))
    assert caught.value.text == "Hello"
    assert not caught.value.retryable
    assert caught.value.key_id == Lease.key_id


@pytest.mark.parametrize("ending", BREAKS.values(), ids=BREAKS)
async def test_a_stream_that_breaks_before_text_may_be_retried(server: Server, sdk: Any, ending: Any) -> None:
    """Nothing was shown, so another attempt harms nobody."""
    server.says(event_stream(chunk(role="assistant"), end=False), *ending)
    with pytest.raises(ProviderUnavailable) as caught:
        await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))
    assert caught.value.retryable


async def test_a_break_after_the_usage_is_no_harm(server: Server, sdk: Any) -> None:
    """The answer is complete: how the connection ends is nobody's business."""
    server.says(event_stream(chunk(content="Hello"), *END[:2], end=False), cut)
    assert (await ADAPTER.complete(sdk, replace(CALL, sink=Reader()))).content == "Hello"


async def test_a_cancelled_stream_closes_its_connection(server: Server, sdk: Any) -> None:
    """Cancelling passes through as it is, and nothing stays open."""
    hung_up = asyncio.Event()

    async def go_on(writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"6\r\n: hi\n\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            hung_up.set()

    server.says(event_stream(chunk(content="Hello"), end=False), go_on)
    reader = Reader()
    task = asyncio.create_task(ADAPTER.complete(sdk, replace(CALL, sink=reader)))
    while not reader.pieces:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(hung_up.wait(), 2)


@pytest.mark.parametrize("body", ["<html>Welcome</html>", {"object": "list"}, COMPLETION | {"choices": []}])
async def test_an_answer_that_is_no_completion_is_said_so(server: Server, sdk: Any, body: Any) -> None:
    """A base_url without /v1 often answers with a page and status 200."""
    server.says(json_answer(body))
    with pytest.raises(ProviderUnavailable, match="no choice of a chat completion.*`base_url`"):
        await ADAPTER.complete(sdk, CALL)


async def test_texts_are_counted_by_the_responses_api(server: Server, sdk: Any) -> None:
    """There is no count for chat: texts are shaped like an input of the Responses API."""
    server.says(json_answer({"object": "response.input_tokens", "input_tokens": 42}))
    assert await ADAPTER.count_tokens(sdk, replace(CALL, system="Be brief")) == 42
    assert server.asked[0].path == "/v1/responses/input_tokens"
    assert server.asked[0].body == {
        "model": "gpt-6-luna",
        "input": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
    }


@pytest.mark.parametrize("more", [{"tools": [FUNCTION]}, {"messages": (Message(MessageRole.USER, [{}]),)}])
async def test_what_is_more_than_text_has_no_count(sdk: Any, more: dict[str, Any]) -> None:
    """Tools and blocks have other shapes there: no count is better than a wrong one."""
    assert await ADAPTER.count_tokens(sdk, replace(CALL, **more)) is None


async def test_a_server_without_a_count_gives_none(server: Server, sdk: Any) -> None:
    """Compatible servers have no Responses API."""
    server.says(json_answer({"error": {"message": "no such path"}}, status=404))
    assert await ADAPTER.count_tokens(sdk, CALL) is None
