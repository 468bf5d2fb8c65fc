"""The simulator's chat completions through OpenAI's own SDK, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from llm_fleet.simulator import RunningSimulator, run_simulator

KEY = "sk-test-not-a-real-key-1"
MODEL = "gpt-6-luna"
HELLO: Any = [{"role": "user", "content": "hello"}]
ASK: Any = {"model": MODEL, "messages": HELLO, "max_completion_tokens": 100}


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    accounts = {
        "wide": {"keys": [KEY]},
        "narrow": {"keys": ["sk-test-not-a-real-key-2"], "requests_per_minute": 60, "tokens_per_minute": 120},
    }
    with run_simulator({"latency_s": 0.02, "output_tokens": 20, "accounts": accounts}) as running:
        yield running


@pytest.fixture
async def sdk(provider: RunningSimulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key=KEY, base_url=f"{provider.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
async def narrow(provider: RunningSimulator) -> AsyncIterator[AsyncOpenAI]:
    """The account with a small limit, whole again."""
    provider.reset()
    key = "sk-test-not-a-real-key-2"
    async with AsyncOpenAI(api_key=key, base_url=f"{provider.url}/v1", max_retries=0) as client:
        yield client


async def test_a_completion_is_made_of_as_many_words_as_it_has_tokens(sdk: AsyncOpenAI) -> None:
    """The whole answer, with its usage and an end of its own accord."""
    completion = await sdk.chat.completions.create(**ASK)
    (choice,) = completion.choices
    assert len((choice.message.content or "").split()) == completion.usage.completion_tokens == 20
    assert (completion.usage.prompt_tokens, completion.usage.total_tokens) == (6, 26)
    assert (completion.model, choice.finish_reason) == (MODEL, "stop")


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_maximum_cuts_a_completion_short(sdk: AsyncOpenAI, field: str) -> None:
    """By its new name and its old one, and the finish reason says so."""
    asked: Any = {"model": MODEL, "messages": HELLO, field: 7}
    completion = await sdk.chat.completions.create(**asked)
    assert (completion.usage.completion_tokens, completion.choices[0].finish_reason) == (7, "length")


async def test_a_stream_ends_with_the_usage_when_it_was_asked_for(sdk: AsyncOpenAI) -> None:
    """Role, five pieces, finish reason, then the usage chunk without choices."""
    stream = await sdk.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    *chunks, last = [chunk async for chunk in stream]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 6 + ["stop"]
    assert all(chunk.usage is None for chunk in chunks)
    assert (last.choices, last.usage.completion_tokens) == ([], 20)


async def test_a_stream_has_no_usage_unless_it_was_asked_for(sdk: AsyncOpenAI) -> None:
    """Without `include_usage` every chunk has its choice."""
    stream = await sdk.chat.completions.create(**ASK, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert len("".join(chunk.choices[0].delta.content or "" for chunk in chunks).split()) == 20


async def test_input_is_counted_in_the_shape_of_responses(sdk: AsyncOpenAI) -> None:
    """`responses.input_tokens.count` takes text and items."""
    of_text = await sdk.responses.input_tokens.count(model=MODEL, input="hello")
    of_items = await sdk.responses.input_tokens.count(
        model=MODEL, input=[{"role": "user", "content": "hello"}]
    )
    assert of_text.input_tokens == of_items.input_tokens == 6


async def test_an_unknown_key_gets_the_vendor_s_401(provider: RunningSimulator) -> None:
    """Its code is the vendor's, and the key is shown masked."""
    async with AsyncOpenAI(
        api_key="sk-test-unknown-key", base_url=f"{provider.url}/v1", max_retries=0
    ) as sdk:
        with pytest.raises(openai.AuthenticationError) as caught:
            await sdk.chat.completions.create(**ASK)
    assert caught.value.code == "invalid_api_key"
    assert "sk-test-unknown-key" not in str(caught.value)


async def test_a_429_has_its_body_and_says_when_to_try_again(narrow: AsyncOpenAI) -> None:
    """The limit is named, the time to try again is in the message and in two headers."""
    await narrow.chat.completions.create(**ASK)
    with pytest.raises(openai.RateLimitError, match=r"tokens per min \(TPM\): Limit 120") as caught:
        await narrow.chat.completions.create(**ASK)
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "tokens")
    headers = caught.value.response.headers
    assert 40_000 < int(headers["retry-after-ms"]) <= 46_000
    assert headers["x-ratelimit-limit-tokens"] == "120"
    assert headers["x-ratelimit-remaining-tokens"] in {"14", "15"}


async def test_what_can_never_pass_is_called_too_large(narrow: AsyncOpenAI) -> None:
    """More than a whole minute's tokens: a 429 that no waiting helps."""
    with pytest.raises(openai.RateLimitError, match="Request too large for gpt-6-luna"):
        await narrow.chat.completions.create(**ASK | {"max_completion_tokens": 121})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": HELLO}, "you must provide a model parameter"),
        ({"model": MODEL}, "Missing required parameter: 'messages'"),
        ({"model": MODEL, "messages": HELLO, "max_tokens": 0}, "Invalid value for 'max_completion_tokens'"),
    ],
)
async def test_a_request_that_lacks_something_is_a_400(sdk: AsyncOpenAI, body: Any, message: str) -> None:
    """The vendor's words name the parameter."""
    with pytest.raises(openai.BadRequestError, match=message):
        await sdk.post("/chat/completions", body=body, cast_to=object)


async def test_a_body_that_is_no_json_is_a_400(sdk: AsyncOpenAI) -> None:
    """Refused before anything is charged."""
    with pytest.raises(openai.BadRequestError, match="could not parse the JSON body"):
        await sdk.post("/chat/completions", content=b"[", cast_to=object)


async def test_an_unknown_path_is_a_404(sdk: AsyncOpenAI) -> None:
    """In the vendor's form."""
    with pytest.raises(openai.NotFoundError, match="GET /v1/nowhere"):
        await sdk.get("/nowhere", cast_to=object)
