"""The simulator's Messages API through Anthropic's own SDK, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic

from llm_fleet.simulator import RunningSimulator, run_simulator

KEY = "sk-test-not-a-real-key-1"
MODEL = "claude-haiku-5-5"
HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    accounts = {
        "wide": {"keys": [KEY]},
        "narrow": {
            "keys": ["sk-test-not-a-real-key-2"],
            "requests_per_minute": 1,
            "input_tokens_per_minute": 9000,
        },
    }
    with run_simulator({"latency_s": 0.02, "output_tokens": 20, "accounts": accounts}) as running:
        yield running


@pytest.fixture
async def sdk(provider: RunningSimulator) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(api_key=KEY, base_url=provider.url, max_retries=0) as client:
        yield client


async def test_a_message_is_made_of_as_many_words_as_it_has_tokens(sdk: AsyncAnthropic) -> None:
    """The whole answer, with its usage and an end of its own accord."""
    message = await sdk.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
    assert len(message.content[0].text.split()) == message.usage.output_tokens == 20
    assert (message.model, message.stop_reason, message.usage.input_tokens) == (MODEL, "end_turn", 6)


async def test_max_tokens_cuts_a_message_short(sdk: AsyncAnthropic) -> None:
    """Never more than asked for, and the stop reason says so."""
    message = await sdk.messages.create(model=MODEL, max_tokens=7, messages=HELLO)
    assert (message.usage.output_tokens, message.stop_reason) == (7, "max_tokens")


async def test_a_stream_has_the_vendor_s_events_in_their_order(sdk: AsyncAnthropic) -> None:
    """From message_start to message_stop, five deltas, the usage at the end cumulative."""
    events = [
        e async for e in await sdk.messages.create(model=MODEL, max_tokens=100, messages=HELLO, stream=True)
    ]
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 5,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0].message.usage.input_tokens == 6
    assert events[-2].usage.output_tokens == 20
    assert events[-2].delta.stop_reason == "end_turn"


async def test_a_stream_says_the_same_words_as_a_message(sdk: AsyncAnthropic) -> None:
    """The pieces of a stream are the text of the answer in one piece."""
    message = await sdk.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
    async with sdk.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream:
        assert await stream.get_final_text() == message.content[0].text


async def test_tokens_are_counted_as_messages_are_charged(sdk: AsyncAnthropic) -> None:
    """count_tokens and usage agree, whatever the shape of the content."""
    asked: Any = {
        "model": MODEL,
        "system": "be brief",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "héllo wörld"}]}],
    }
    counted = await sdk.messages.count_tokens(**asked)
    message = await sdk.messages.create(max_tokens=5, **asked)
    assert counted.input_tokens == message.usage.input_tokens == 10


async def test_an_unknown_key_gets_the_vendor_s_401(provider: RunningSimulator) -> None:
    """The SDK raises what it raises at the vendor."""
    async with AsyncAnthropic(api_key="sk-test-unknown", base_url=provider.url, max_retries=0) as sdk:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            await sdk.messages.create(model=MODEL, max_tokens=5, messages=HELLO)
    assert caught.value.body["error"] == {"type": "authentication_error", "message": "invalid x-api-key"}


async def test_the_old_header_for_keys_is_understood(provider: RunningSimulator) -> None:
    """`x-api-key` does what `Authorization: Bearer` does."""
    async with AsyncAnthropic(api_key="", base_url=provider.url, max_retries=0) as sdk:
        message = await sdk.messages.create(
            model=MODEL, max_tokens=5, messages=HELLO, extra_headers={"x-api-key": KEY, "authorization": ""}
        )
    assert message.usage.output_tokens == 5


async def test_a_429_has_its_body_and_says_when_to_try_again(provider: RunningSimulator) -> None:
    """The limit is named in the message, `retry-after` in whole seconds, the rest in headers."""
    key = "sk-test-not-a-real-key-2"
    async with AsyncAnthropic(api_key=key, base_url=provider.url, max_retries=0) as sdk:
        await sdk.messages.create(model=MODEL, max_tokens=5, messages=HELLO)
        with pytest.raises(anthropic.RateLimitError, match="rate limit of 1 requests per minute") as caught:
            await sdk.messages.create(model=MODEL, max_tokens=5, messages=HELLO)
    headers = caught.value.response.headers
    assert caught.value.type == "rate_limit_error"
    assert 58 <= int(headers["retry-after"]) <= 60
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "9000"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": HELLO, "max_tokens": 1}, "model: Field required"),
        ({"model": MODEL, "messages": HELLO}, "max_tokens: Field required"),
        (
            {"model": MODEL, "messages": HELLO, "max_tokens": 0},
            "max_tokens: must be greater than or equal to 1",
        ),
        ({"model": MODEL, "messages": [], "max_tokens": 1}, "messages: at least one message is required"),
        ({"model": MODEL, "messages": "hi", "max_tokens": 1}, "messages: Input should be a valid list"),
    ],
)
async def test_a_request_that_lacks_something_is_a_400(sdk: AsyncAnthropic, body: Any, message: str) -> None:
    """The vendor's words name the field."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        await sdk.post("/v1/messages", body=body, cast_to=object)
    assert caught.value.body["error"] == {"type": "invalid_request_error", "message": message}


async def test_a_body_that_is_no_json_is_a_400(sdk: AsyncAnthropic) -> None:
    """Refused before anything is charged."""
    with pytest.raises(anthropic.BadRequestError, match="not valid JSON"):
        await sdk.post("/v1/messages", content=b'{"model":', cast_to=object)


async def test_an_unknown_path_is_a_404(sdk: AsyncAnthropic) -> None:
    """In the vendor's form."""
    with pytest.raises(anthropic.NotFoundError) as caught:
        await sdk.get("/v1/nowhere", cast_to=object)
    assert caught.value.type == "not_found_error"
