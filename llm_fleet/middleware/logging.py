"""Says in the log when a call starts, finishes and fails.

Every field stands in the message as `name=value` and in the record as an attribute, for those
who log JSON. Prompts and answers are logged only with `log_bodies`; keys never are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from ..chain import Handler
from ..errors import LLMFleetError
from ..models import Call, Response
from ..telemetry import CALL_FAILED, CALL_FINISHED, CALL_STARTED

__all__ = ["Logging"]

log = logging.getLogger(__name__)


class Logging:
    """`llm_fleet.call.started` (DEBUG), `.finished` (INFO) and `.failed` (WARNING; INFO if cancelled)."""

    def __init__(self, log_bodies: bool = False, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log_bodies = log_bodies
        self._clock = clock

    async def __call__(self, call: Call, call_next: Handler) -> Response:
        started_at = self._clock()
        if log.isEnabledFor(logging.DEBUG):
            _write(logging.DEBUG, CALL_STARTED, self._asked(call))
        try:
            response = await call_next(call)
        except BaseException as error:
            level = logging.INFO if isinstance(error, asyncio.CancelledError) else logging.WARNING
            if log.isEnabledFor(level):
                _write(level, CALL_FAILED, {**_who(call), **self._lasted(started_at), **_why(error)})
            raise
        if log.isEnabledFor(logging.INFO):
            answered = {**_who(call), **self._lasted(started_at), **self._got(response)}
            _write(logging.INFO, CALL_FINISHED, answered)
        return response

    def _asked(self, call: Call) -> dict[str, Any]:
        asked: dict[str, Any] = {
            **_who(call),
            "max_tokens": call.max_tokens,
            "priority": call.priority,
            "streams": call.sink is not None,
        }
        if self._log_bodies:
            asked |= {"system": call.system, "messages": call.messages}
        return asked

    def _lasted(self, started_at: float) -> dict[str, Any]:
        return {"duration_s": round(self._clock() - started_at, 4)}

    def _got(self, response: Response) -> dict[str, Any]:
        got: dict[str, Any] = {
            "key_id": response.key_id,
            "ticket": response.ticket,
            "input_tokens": response.usage.input_tokens,
            "output_tokens": response.usage.output_tokens,
            "cache_read_tokens": response.usage.cache_read_tokens,
            "queued_s": round(response.queued_s, 4),
            "attempts": response.attempts,
            "stop_reason": response.stop_reason,
        }
        if self._log_bodies:
            got["content"] = response.content
        return got


def _who(call: Call) -> dict[str, Any]:
    who = {"provider": call.provider, "model": call.model, "tenant": call.tenant}
    return {**who, "tag": call.tag} if call.tag else who


def _why(error: BaseException) -> dict[str, Any]:
    # The words of a foreign exception may hold anything; ours are known to hold no secret.
    names = ("key_id", "ticket", "status", "code", "attempts")
    known = {name: getattr(error, name) for name in names if getattr(error, name, None) is not None}
    reason = {"reason": str(error)} if isinstance(error, LLMFleetError) else {}
    return {**known, "error": type(error).__name__, **reason}


class _Pairs:
    """Fields as `name=value`, written when somebody wants to read them."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self._fields.items())


def _write(level: int, event: str, fields: dict[str, Any]) -> None:
    log.log(level, "%s %s", event, _Pairs(fields), extra={"event": event, **fields})
