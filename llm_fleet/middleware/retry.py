"""Tries again what may succeed: exponential backoff with full jitter, within the deadline.

Whether an error may be retried is the adapter's judgement (`error.retryable`); this module
knows no provider and no limit. Every attempt goes down the rest of the chain, so it takes a
ticket of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import random as _random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from tenacity import AsyncRetrying, RetryCallState

from ..chain import Handler
from ..errors import LLMFleetError, ProviderError
from ..models import Call, Response

__all__ = ["Retry"]


class Retry:
    """At most `max_retries` attempts more after the first.

    The pause before retry n is drawn from 0 … min(cap_s, base_s · 2^(n-1)) seconds, and is at
    least what the provider asked for (`retry_after`). A pause that would end after the call's
    deadline is not begun: the last error is raised at once. Nothing is retried once a stream
    has emitted text.
    """

    def __init__(
        self,
        max_retries: int,
        *,
        base_s: float = 0.5,
        cap_s: float = 30.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._max_retries = max_retries
        self._base_s = base_s
        self._cap_s = cap_s
        self._sleep = sleep
        self._random = random

    async def __call__(self, call: Call, call_next: Handler) -> Response:
        try:
            return await _attempt(call, call_next, call.attempt)
        except LLMFleetError as error:
            if not _may_retry(call, error):
                raise
            return await self._go_on(call, call_next, error)

    async def _go_on(self, call: Call, call_next: Handler, first: LLMFleetError) -> Response:
        # tenacity is given the first attempt's error: calls that succeed do not pay for it.
        outcomes = itertools.chain([first], itertools.repeat(None))
        numbers = itertools.count(call.attempt)

        async def attempt() -> Response:
            number = next(numbers)
            if (error := next(outcomes)) is not None:
                raise error
            return await _attempt(call, call_next, number)

        return cast(Response, await self._retrying(call)(attempt))

    def _retrying(self, call: Call) -> AsyncRetrying:
        return AsyncRetrying(
            retry=lambda state: _may_retry(call, _error_of(state)),
            wait=self._pause,
            stop=lambda state: state.attempt_number > self._max_retries or _ends_too_late(call, state),
            sleep=self._sleep,
            reraise=True,
        )

    def _pause(self, state: RetryCallState) -> float:
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(state.attempt_number - 1, 60))
        retry_after: float | None = getattr(_error_of(state), "retry_after", None)
        return max(self._random() * ceiling, retry_after or 0.0)


async def _attempt(call: Call, call_next: Handler, number: int) -> Response:
    try:
        response = await call_next(call if call.attempt == number else replace(call, attempt=number))
    except ProviderError as error:
        error.attempts = number
        raise
    return response if response.attempts == number else replace(response, attempts=number)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _may_retry(call: Call, error: BaseException | None) -> bool:
    emitted = call.sink is not None and bool(call.sink.text)
    return bool(getattr(error, "retryable", False)) and not emitted


def _ends_too_late(call: Call, state: RetryCallState) -> bool:
    return call.deadline is not None and time.monotonic() + state.upcoming_sleep >= call.deadline
