"""Hands every call that is over to the recorder; knows nothing of what is done with the figures."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..chain import Handler
from ..errors import QueueTimeout
from ..models import Call, Response, Usage
from ..telemetry import CallOutcome, Recorder

__all__ = ["Metrics"]


class Metrics:
    """Counts calls, answered or not, with their latency: from here to the answer, waits and all.

    A cancelled call, which a stream left half-read is, counts as an error `CancelledError`.
    """

    def __init__(self, recorder: Recorder, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._recorder = recorder
        self._clock = clock

    async def __call__(self, call: Call, call_next: Handler) -> Response:
        started_at = self._clock()
        try:
            response = await call_next(call)
        except BaseException as error:
            self._recorder.record(_failed(call, self._clock() - started_at, error))
            raise
        self._recorder.record(_answered(call, self._clock() - started_at, response))
        return response


def _answered(call: Call, latency_s: float, response: Response) -> CallOutcome:
    return CallOutcome(
        call.provider,
        call.model,
        latency_s,
        queued_s=response.queued_s,
        attempts=response.attempts,
        usage=response.usage,
    )


def _failed(call: Call, latency_s: float, error: BaseException) -> CallOutcome:
    return CallOutcome(
        call.provider,
        call.model,
        latency_s,
        queued_s=latency_s if isinstance(error, QueueTimeout) else 0.0,
        attempts=getattr(error, "attempts", 1),
        usage=getattr(error, "usage", None) or Usage(),
        error=type(error).__name__,
    )
