"""Metrics: what the recorder learns of a call that is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from llm_fleet.chain import Handler
from llm_fleet.errors import ProviderUnavailable, QueueTimeout
from llm_fleet.middleware.metrics import Metrics
from llm_fleet.models import Call, Message, MessageRole, Response, Usage
from llm_fleet.telemetry import CallOutcome, Recorder

CALL = Call("anthropic", "claude-haiku-5-5", (Message(MessageRole.USER, "Hi"),), 16)
RESPONSE = Response("Hello", Usage(30, 12), "claude-haiku-5-5-20260901", attempts=3, queued_s=1.5)


async def answer(call: Call) -> Response:
    return RESPONSE


def failing(error: BaseException) -> Handler:
    async def fail(call: Call) -> Response:
        raise error

    return fail


@pytest.fixture
def outcomes() -> list[CallOutcome]:
    return []


@pytest.fixture
def metrics(outcomes: list[CallOutcome]) -> Metrics:
    return Metrics(Recorder([outcomes.append]), clock=ticking())


def ticking() -> Callable[[], float]:
    """A clock that moves by two seconds at each look."""
    ticks = iter(range(0, 1000, 2))
    return lambda: float(next(ticks))


async def test_an_answered_call_is_recorded_whole(metrics: Metrics, outcomes: list[CallOutcome]) -> None:
    """Under the model that was asked for, with usage, attempts, wait and latency."""
    assert await metrics(CALL, answer) is RESPONSE
    assert outcomes == [CallOutcome("anthropic", "claude-haiku-5-5", 2.0, 1.5, 3, Usage(30, 12))]


async def test_a_failure_counts_with_what_it_consumed(metrics: Metrics, outcomes: list[CallOutcome]) -> None:
    """The error's class, its attempts and its usage as far as it is known."""
    error = ProviderUnavailable("busy", usage=Usage(30, 4))
    error.attempts = 4
    with pytest.raises(ProviderUnavailable):
        await metrics(CALL, failing(error))
    expected = CallOutcome("anthropic", "claude-haiku-5-5", 2.0, 0.0, 4, Usage(30, 4), "ProviderUnavailable")
    assert outcomes == [expected]


async def test_a_wait_in_vain_was_all_queue(metrics: Metrics, outcomes: list[CallOutcome]) -> None:
    """A queue timeout shows in the percentiles of the wait."""
    with pytest.raises(QueueTimeout):
        await metrics(CALL, failing(QueueTimeout("too long")))
    assert (outcomes[0].queued_s, outcomes[0].error) == (2.0, "QueueTimeout")


async def test_a_cancelled_call_is_recorded(metrics: Metrics, outcomes: list[CallOutcome]) -> None:
    """Nothing that began goes uncounted."""
    with pytest.raises(asyncio.CancelledError):
        await metrics(CALL, failing(asyncio.CancelledError()))
    assert outcomes[0].error == "CancelledError"


async def test_the_snapshot_has_provider_and_model() -> None:
    """What manager.metrics() shows."""
    recorder = Recorder()
    await Metrics(recorder)(CALL, answer)
    snapshot = recorder.snapshot()
    assert (snapshot["calls"], snapshot["retries"], snapshot["errors"]) == (1, 2, 0)
    assert snapshot["providers"]["anthropic"]["models"]["claude-haiku-5-5"]["output_tokens"] == 12
