"""Each fault that the simulator can inject, as it looks through the real SDKs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from llm_fleet.simulator import RunningSimulator, SimulatorConfigError, run_simulator
from llm_fleet.simulator.config import parse_faults
from llm_fleet.simulator.faults import Faults
from tests.waiting import eventually

KEY = "sk-test-not-a-real-key-1"
HELLO: Any = [{"role": "user", "content": "hello"}]
MESSAGE: Any = {"model": "claude-haiku-5-5", "messages": HELLO, "max_tokens": 100}
COMPLETION: Any = {"model": "gpt-6-luna", "messages": HELLO, "max_completion_tokens": 100}
CONFIG = {
    "latency_s": 0.02,
    "output_tokens": 20,
    "accounts": {"a": {"keys": [KEY], "requests_per_minute": 600, "output_tokens_per_minute": 60_000}},
}


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSimulator]:
    with run_simulator(CONFIG) as running:
        yield running


@pytest.fixture
def provider(running: RunningSimulator) -> RunningSimulator:
    """With whole levels and empty books."""
    running.reset()
    return running


@pytest.fixture
async def messages(provider: RunningSimulator) -> AsyncIterator[Any]:
    async with AsyncAnthropic(api_key=KEY, base_url=provider.url, max_retries=0, timeout=0.5) as sdk:
        yield sdk.messages


@pytest.fixture
async def completions(provider: RunningSimulator) -> AsyncIterator[Any]:
    async with AsyncOpenAI(api_key=KEY, base_url=f"{provider.url}/v1", max_retries=0, timeout=0.5) as sdk:
        yield sdk.chat.completions


async def read(stream: Any, into: list[Any]) -> None:
    async for event in stream:
        into.append(event)


def page(provider: RunningSimulator) -> Any:
    return provider.books()["accounts"]["a"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (503, anthropic.ServiceUnavailableError),
        (529, anthropic.OverloadedError),
    ],
)
async def test_a_status_is_the_vendor_s_error_at_anthropic(
    provider: RunningSimulator, messages: Any, status: int, error: type[Exception]
) -> None:
    """The SDK raises what it raises at the vendor; the call after it is answered."""
    provider.set_faults([{"kind": "status", "status": status, "times": 1}])
    with pytest.raises(error):
        await messages.create(**MESSAGE)
    await messages.create(**MESSAGE)


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError)],
)
async def test_a_status_is_the_vendor_s_error_at_openai(
    provider: RunningSimulator, completions: Any, status: int, error: type[Exception]
) -> None:
    """The SDK raises what it raises at the vendor; the call after it is answered."""
    provider.set_faults([{"kind": "status", "status": status, "times": 1}])
    with pytest.raises(error):
        await completions.create(**COMPLETION)
    await completions.create(**COMPLETION)


async def test_a_status_can_carry_what_a_vendor_would_say(
    provider: RunningSimulator, completions: Any
) -> None:
    """Type, code, message, retry-after and any other header."""
    provider.set_faults(
        [
            {
                "kind": "status",
                "status": 429,
                "error_type": "insufficient_quota",
                "message": "You exceeded your current quota.",
                "retry_after_s": 0.25,
                "headers": {"X-Should-Retry": "false"},
            }
        ]
    )
    with pytest.raises(openai.RateLimitError, match="exceeded your current quota") as caught:
        await completions.create(**COMPLETION)
    headers = caught.value.response.headers
    assert (caught.value.code, headers["retry-after"], headers["x-should-retry"]) == (
        "insufficient_quota",
        "0.25",
        "false",
    )


async def test_an_error_code_chooses_the_class_at_anthropic(
    provider: RunningSimulator, messages: Any
) -> None:
    """Spend limits are told apart by the code in `details`."""
    provider.set_faults([{"kind": "status", "status": 429, "error_code": "enforced_spend_limit_reached"}])
    with pytest.raises(anthropic.EnforcedSpendLimitReachedError):
        await messages.create(**MESSAGE)


@pytest.mark.parametrize(("status", "accepted"), [(429, 0), (529, 1)])
async def test_a_failed_call_is_charged_from_500_on(
    provider: RunningSimulator, messages: Any, status: int, accepted: int
) -> None:
    """A 529 costs its request and input, an injected 429 nothing; both are in the books as faults."""
    provider.set_faults([{"kind": "status", "status": status}])
    with pytest.raises(anthropic.APIStatusError):
        await messages.create(**MESSAGE)
    books = page(provider)
    assert (books["accepted"], books["used"]["requests"]) == (accepted, accepted)
    assert (books["rejected"], books["faults"]) == (0, {"status": 1})


async def test_a_cut_stream_ends_cleanly_without_its_end(provider: RunningSimulator, messages: Any) -> None:
    """Nothing is raised; two pieces came, and no message_stop."""
    provider.set_faults([{"kind": "cut", "after_chunks": 2}])
    events: list[Any] = []
    await read(await messages.create(**MESSAGE, stream=True), events)
    kinds = [event.type for event in events]
    assert kinds.count("content_block_delta") == 2
    assert "message_stop" not in kinds


async def test_a_cut_stream_lacks_its_usage_at_openai(provider: RunningSimulator, completions: Any) -> None:
    """Nothing is raised, and the usage chunk is missing, also when all text was there."""
    provider.set_faults([{"kind": "cut", "after_chunks": 99}])
    chunks: list[Any] = []
    await read(
        await completions.create(**COMPLETION, stream=True, stream_options={"include_usage": True}), chunks
    )
    assert len(chunks) == 6
    assert not any(chunk.usage for chunk in chunks)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("drop", httpx2.RemoteProtocolError), ("reset", httpx2.ReadError), ("stall", httpx2.ReadTimeout)],
)
async def test_a_broken_stream_at_anthropic(
    provider: RunningSimulator, messages: Any, kind: str, error: type[Exception]
) -> None:
    """Two pieces arrive, then the connection's own error comes through the SDK."""
    provider.set_faults([{"kind": kind, "after_chunks": 2}])
    events: list[Any] = []
    with pytest.raises(error):
        await read(await messages.create(**MESSAGE, stream=True), events)
    assert [event.type for event in events].count("content_block_delta") == 2


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("drop", openai.APIConnectionError),
        ("reset", openai.APIConnectionError),
        ("stall", openai.APITimeoutError),
    ],
)
async def test_a_broken_stream_at_openai(
    provider: RunningSimulator, completions: Any, kind: str, error: type[Exception]
) -> None:
    """Two pieces arrive, then the SDK's connection error."""
    provider.set_faults([{"kind": kind, "after_chunks": 2}])
    chunks: list[Any] = []
    with pytest.raises(error):
        await read(await completions.create(**COMPLETION, stream=True), chunks)
    assert len(chunks) == 1 + 2


@pytest.mark.parametrize("kind", ["drop", "reset"])
async def test_a_broken_answer_in_one_piece(provider: RunningSimulator, messages: Any, kind: str) -> None:
    """Without a stream the connection ends before any answer."""
    provider.set_faults([{"kind": kind, "times": 1}])
    with pytest.raises(anthropic.APIConnectionError):
        await messages.create(**MESSAGE)
    await messages.create(**MESSAGE)


async def test_a_stalled_answer_costs_what_was_produced(provider: RunningSimulator, messages: Any) -> None:
    """The client's timeout ends it; its slot is free then, and the output so far is charged."""
    provider.set_faults([{"kind": "stall", "after_chunks": 3}])
    with pytest.raises(anthropic.APITimeoutError):
        await messages.create(**MESSAGE)
    assert eventually(lambda: not page(provider)["in_flight"])
    assert page(provider)["used"]["output_tokens"] == 12


async def test_a_stall_can_end(provider: RunningSimulator, messages: Any) -> None:
    """With `seconds` the answer goes on after them."""
    provider.set_faults([{"kind": "stall", "seconds": 0.1}])
    message = await messages.create(**MESSAGE)
    assert message.usage.output_tokens == 20


async def test_an_error_event_at_anthropic(provider: RunningSimulator, messages: Any) -> None:
    """An error with status 200: only its type tells."""
    provider.set_faults([{"kind": "error"}])
    events: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        await read(await messages.create(**MESSAGE, stream=True), events)
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")
    assert [event.type for event in events].count("content_block_delta") == 1


async def test_an_error_event_at_openai(provider: RunningSimulator, completions: Any) -> None:
    """An APIError that is no APIStatusError."""
    provider.set_faults([{"kind": "error", "error_code": "server_is_overloaded", "message": "Overloaded."}])
    chunks: list[Any] = []
    with pytest.raises(openai.APIError, match="Overloaded") as caught:
        await read(await completions.create(**COMPLETION, stream=True), chunks)
    assert not isinstance(caught.value, openai.APIStatusError)
    assert caught.value.code == "server_is_overloaded"


async def test_a_latency_makes_a_call_longer(provider: RunningSimulator, messages: Any) -> None:
    """`seconds` on top of the configured latency, for that call alone."""
    provider.set_faults([{"kind": "latency", "seconds": 0.2, "times": 1}])
    for _ in range(2):
        await messages.create(**MESSAGE)
    slow, quick = (row["ended_t"] - row["t"] for row in provider.books()["requests"])
    assert slow >= 0.22 > quick


def struck(fault: dict[str, Any], calls: int, *, account: str = "a", stream: bool = True) -> list[int]:
    faults = Faults(parse_faults([fault]), Random(1))
    return [number for number in range(1, calls + 1) if faults.strike(account, stream)]


def test_every_strikes_each_nth_call() -> None:
    """Every third, and with `times` only the first of those."""
    assert struck({"kind": "cut", "every": 3}, 10) == [3, 6, 9]
    assert struck({"kind": "cut", "every": 3, "times": 1}, 10) == [3]


def test_times_alone_strikes_the_first_calls() -> None:
    """And then never again."""
    assert struck({"kind": "cut", "times": 2}, 5) == [1, 2]


def test_probability_strikes_that_share_and_always_the_same() -> None:
    """A tenth of the calls, decided by the seed."""
    first = struck({"kind": "cut", "probability": 0.1}, 1000)
    assert 70 <= len(first) <= 130
    assert first == struck({"kind": "cut", "probability": 0.1}, 1000)


def test_a_fault_can_be_for_one_account_and_for_streams_only() -> None:
    """cut strikes no answer in one piece, a fault of account a none of b."""
    assert struck({"kind": "cut"}, 2, stream=False) == []
    assert struck({"kind": "stall", "stream": False}, 2) == []
    assert struck({"kind": "stall", "account": "a"}, 2, account="b") == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "explode"}, "0.kind: Input should be 'status'"),
        ({"kind": "status"}, "`status` belongs to kind 'status'"),
        ({"kind": "cut", "when": 3}, "0: unknown field 'when'; known are kind"),
    ],
)
def test_a_fault_that_cannot_work_is_refused(
    provider: RunningSimulator, fault: dict[str, Any], message: str
) -> None:
    """The faults in force stay, and the field is named."""
    with pytest.raises(SimulatorConfigError) as caught:
        provider.set_faults([fault])
    assert message in str(caught.value)
