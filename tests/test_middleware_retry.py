"""Retry: what is tried again, how long it waits, and when it gives up."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from llm_fleet.errors import (
    LLMFleetError,
    ProviderUnavailable,
    RequestRefused,
    StreamInterrupted,
    Throttled,
)
from llm_fleet.middleware.retry import Retry
from llm_fleet.models import Call, Message, MessageRole, Response, Usage

CALL = Call("anthropic", "claude-haiku-5-5", (Message(MessageRole.USER, "Hi"),), max_tokens=16)
BUSY = ProviderUnavailable("busy", retryable=True)


class Provider:
    """Answers with the given outcomes in turn and remembers the attempts that it saw."""

    def __init__(self, *outcomes: Exception) -> None:
        self._outcomes = list(outcomes)
        self.attempts: list[int] = []

    async def __call__(self, call: Call) -> Response:
        self.attempts.append(call.attempt)
        if self._outcomes:
            raise self._outcomes.pop(0)
        return Response("Hello", Usage(3, 1), call.model, attempts=call.attempt)


class Reader:
    """A sink that has already shown some text."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def push(self, text: str) -> None:
        self.text += text


class Pauses(list[float]):
    """A sleep that only takes notes."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def retry(max_retries: int = 3, chance: float = 1.0, **options: Any) -> tuple[Retry, Pauses]:
    pauses = Pauses()
    return Retry(max_retries, sleep=pauses, random=lambda: chance, **options), pauses


async def test_each_attempt_is_numbered_and_the_response_carries_their_count() -> None:
    """A call that failed twice is answered by attempt 3, and says so."""
    layer, _ = retry()
    provider = Provider(BUSY, BUSY)
    response = await layer(CALL, provider)
    assert provider.attempts == [1, 2, 3]
    assert response.attempts == 3


async def test_the_count_is_put_right_when_the_endpoint_left_it_out() -> None:
    """The attempts are counted here, whatever the endpoint wrote."""
    layer, _ = retry()
    provider = Provider(BUSY)

    async def forgetful(call: Call) -> Response:
        return replace(await provider(call), attempts=1)

    assert (await layer(CALL, forgetful)).attempts == 2


async def test_the_last_error_is_raised_after_max_retries_and_knows_the_attempts() -> None:
    """max_retries counts the attempts after the first."""
    layer, pauses = retry(max_retries=2)
    provider = Provider(BUSY, BUSY, ProviderUnavailable("still busy", retryable=True))
    with pytest.raises(ProviderUnavailable, match="still busy") as caught:
        await layer(CALL, provider)
    assert caught.value.attempts == len(provider.attempts) == 3
    assert len(pauses) == 2


async def test_no_retries_means_one_attempt() -> None:
    """max_retries 0 switches retrying off."""
    layer, pauses = retry(max_retries=0)
    with pytest.raises(ProviderUnavailable):
        await layer(CALL, Provider(BUSY))
    assert pauses == []


@pytest.mark.parametrize(
    "error",
    [
        RequestRefused("never"),
        Throttled("do not", retryable=False),
        StreamInterrupted("cut", text="Hel"),
        LLMFleetError("not a provider's"),
        ValueError("a bug"),
    ],
)
async def test_what_is_not_retryable_is_raised_at_once(error: Exception) -> None:
    """The adapter's judgement is final."""
    layer, _ = retry()
    provider = Provider(error)
    with pytest.raises(type(error)):
        await layer(CALL, provider)
    assert provider.attempts == [1]


async def test_nothing_is_retried_once_text_was_emitted() -> None:
    """A reader never sees the beginning of an answer twice."""
    layer, _ = retry()
    provider = Provider(BUSY)
    with pytest.raises(ProviderUnavailable):
        await layer(replace(CALL, sink=Reader("Hel")), provider)
    assert provider.attempts == [1]


async def test_a_stream_that_has_emitted_nothing_is_retried() -> None:
    """Before the first text a stream is like any other call."""
    layer, _ = retry()
    assert (await layer(replace(CALL, sink=Reader("")), Provider(BUSY))).content == "Hello"


async def test_pauses_double_up_to_the_cap() -> None:
    """The ceiling of pause n is min(cap, base · 2^(n-1))."""
    layer, pauses = retry(max_retries=5, base_s=1.0, cap_s=5.0)
    await layer(CALL, Provider(*[BUSY] * 5))
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_jitter_is_full() -> None:
    """A pause is drawn from nothing to its ceiling."""
    layer, pauses = retry(base_s=1.0, chance=0.25)
    await layer(CALL, Provider(BUSY, BUSY))
    assert pauses == [0.25, 0.5]


async def test_retry_after_is_waited_for() -> None:
    """The provider's own wish is the least that is waited."""
    layer, pauses = retry(base_s=1.0)
    await layer(CALL, Provider(Throttled("slow down", retryable=True, retry_after=7.5), BUSY))
    assert pauses == [7.5, 2.0]


async def test_a_pause_beyond_the_deadline_is_not_begun() -> None:
    """Rather than sleep past the deadline, the last error is raised at once."""
    layer, pauses = retry()
    error = Throttled("slow down", retryable=True, retry_after=60.0)
    with pytest.raises(Throttled):
        await layer(replace(CALL, deadline=time.monotonic() + 30), Provider(error))
    assert pauses == []


async def test_pauses_within_the_deadline_are_taken() -> None:
    """A deadline that is far away changes nothing."""
    layer, pauses = retry()
    await layer(replace(CALL, deadline=time.monotonic() + 30), Provider(BUSY))
    assert pauses == [0.5]


async def test_concurrent_calls_do_not_disturb_each_other() -> None:
    """One instance serves all calls of a client: each has its own attempts."""
    import asyncio

    layer = Retry(3, base_s=0.001)
    responses = await asyncio.gather(*[layer(CALL, Provider(*[BUSY] * (n % 4))) for n in range(40)])
    assert [response.attempts for response in responses] == [n % 4 + 1 for n in range(40)]
