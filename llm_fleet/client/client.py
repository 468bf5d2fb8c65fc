"""LLMClient: what a user calls. Turns arguments into a `Call` and sends it down the chain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypedDict

from ..chain import Handler
from ..config import ProviderConfig
from ..engine.values import Need
from ..errors import CallTimeout, ConfigError
from ..models import BANDS, Call, Content, Message, Response
from .counting import InputCounter
from .lease import KeyLease, Leases
from .patience import bounded
from .stream import TextSink, TextStream

__all__ = ["CallOptions", "LLMClient"]


class CallOptions(TypedDict, total=False):
    """What a call may say beside its messages; times in seconds. Defaults come from `settings`.

    `timeout` bounds the whole call (waits, attempts, backoff), `queue_timeout` the wait for the
    limits. Any other keyword goes to the SDK as it is.
    """

    model: str
    max_tokens: int
    temperature: float
    system: Content
    tools: Sequence[Mapping[str, Any]]
    tool_choice: Any
    tenant: str
    priority: str
    tag: str
    affinity: str
    timeout: float
    queue_timeout: float


_CALL_FIELDS = ("temperature", "system", "tools", "tool_choice", "tenant", "priority", "tag", "affinity")


class LLMClient:
    """A client of one provider entry; made by the manager, cheap, safe in any loop and thread.

    `chain` answers the current chain: middleware may be added after the client was made.
    """

    def __init__(
        self,
        provider: ProviderConfig,
        chain: Callable[[], Awaitable[Handler]],
        counter: InputCounter,
        leases: Leases,
    ) -> None:
        self._provider, self._chain = provider, chain
        self._counter, self._leases = counter, leases

    @property
    def provider(self) -> str:
        """The name of the provider entry."""
        return self._provider.name

    async def complete(self, messages: Sequence[Message], **options: Any) -> Response:
        """Send a conversation and wait for the whole answer; see `CallOptions`.

        Cancelling gives back whatever was taken.

        Raises:
            LimitError: the limits did not let it pass in time, or never can.
            ProviderError: the provider refused or failed, after the retries.
            CoordinationError: Redis did not answer for min(remaining time, 10 s).
            CallTimeout: `timeout` ran out.
        """
        call = self._call(messages, options)
        return await _in_time(call, self._send(call))

    async def stream_complete(self, messages: Sequence[Message], **options: Any) -> AsyncGenerator[str, None]:
        """Send a conversation and yield its answer's text as it comes; see `complete`.

        Closing the generator, or leaving it half-read, ends the call and settles what it produced.
        `stream` gives the response too.

        Raises:
            StreamInterrupted: the stream broke after text was emitted; `.text` holds it.
        """
        async with self.stream(messages, **options) as stream:
            async for text in stream:
                yield text

    def stream(self, messages: Sequence[Message], **options: Any) -> TextStream:
        """The same as a block: `async with client.stream(…) as stream:`, inside `async for text in stream:`.

        After the last piece `stream.response` is the whole answer. The call begins on entering;
        errors are raised where the text is read. Leaving the block early ends the call.
        """
        sink = TextSink()
        call = self._call(messages, options, sink)
        return TextStream(sink, lambda: _in_time(call, self._send(call)))

    async def count_tokens(self, messages: Sequence[Message], **options: Any) -> int:
        """The input tokens of such a call: the provider's own count, else the estimate made here.

        Takes the options of `complete`. Asks no limit of ours; a provider may limit counting itself.
        """
        return await self._counter.count(self._call(messages, options))

    def lease(
        self,
        *,
        input_tokens: int,
        model: str | None = None,
        max_tokens: int | None = None,
        tenant: str = "default",
        priority: str = "normal",
        tag: str = "",
        affinity: str = "",
        timeout: float | None = None,
    ) -> KeyLease:
        """The right to call the provider once in one's own way: `async with client.lease(…) as lease:`.

        `timeout` is the wait for the limits in seconds, by default `settings.queue_timeout`.
        Inside, `lease.api_key` is the key to use and `await lease.settle(Usage(…))` says what it cost.

        Raises:
            LimitError: on entering: the limits did not let it pass in time, or never can.
            CoordinationError: on entering: Redis did not answer.
        """
        settings = self._provider.settings
        model = model or self._provider.default_model
        max_tokens = settings.max_tokens if max_tokens is None else max_tokens
        timeout = settings.queue_timeout if timeout is None else timeout
        self._check(model, max_tokens, priority)
        _check_seconds("timeout", timeout)
        lane = self._provider.lane(model or "")
        need = Need(lane, input_tokens, max_tokens, priority, tenant, tag, affinity)
        return KeyLease(self._leases, need, bounded(timeout))

    async def _send(self, call: Call) -> Response:
        handler = await self._chain()
        return await handler(call)

    def _call(
        self, messages: Sequence[Message], options: dict[str, Any], sink: TextSink | None = None
    ) -> Call:
        settings, given = self._provider.settings, {k: v for k, v in options.items() if v is not None}
        timeout = given.pop("timeout", settings.call_timeout)
        queue_timeout = given.pop("queue_timeout", settings.queue_timeout)
        model = given.pop("model", self._provider.default_model)
        max_tokens = given.pop("max_tokens", settings.max_tokens)
        fields = {name: given.pop(name) for name in _CALL_FIELDS if name in given}
        fields.setdefault("temperature", settings.temperature)
        for name in ("tenant", "tag", "affinity"):
            _check_text(name, fields.get(name, ""))
        self._check(model, max_tokens, fields.get("priority", "normal"))
        if not messages or not all(isinstance(message, Message) for message in messages):
            raise ConfigError(
                f"provider {self.provider}: messages must be a non-empty list of Message(role, content)"
            )
        _check_seconds("timeout", timeout)
        _check_seconds("queue_timeout", queue_timeout)
        return Call(
            self.provider,
            model,
            tuple(messages),
            max_tokens,
            extra=given,
            deadline=None if timeout is None else time.monotonic() + timeout,
            queue_timeout=bounded(queue_timeout),
            sink=sink,
            **fields,
        )

    def _check(self, model: str | None, max_tokens: int, priority: str) -> None:
        where = f"provider {self.provider}"
        if not model:
            raise ConfigError(
                f"{where}: no model; pass model=… or list one under providers.{self.provider}.models"
            )
        _check_text("model", model)
        if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
            raise ConfigError(f"{where}: max_tokens {max_tokens!r} must be a whole number of 1 or more")
        if priority not in BANDS:
            raise ConfigError(f"{where}: priority {priority!r} must be one of {', '.join(BANDS)}")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{name} {value!r}: use text, not {type(value).__name__}")


def _check_seconds(name: str, value: object) -> None:
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0
    ):
        raise ConfigError(f"{name} {value!r} must be a number of seconds, 0 or more")


async def _in_time(call: Call, answer: Awaitable[Response]) -> Response:
    """Wait for the answer until the call's deadline."""
    if call.deadline is None:
        return await answer
    late = asyncio.timeout(max(0.0, call.deadline - time.monotonic()))
    try:
        async with late:
            return await answer
    except TimeoutError as error:
        if not late.expired():
            raise
        cancelled = error.__cause__ or error.__context__  # which of them depends on the Python
        where = "; ".join(getattr(cancelled, "__notes__", ["before or between its attempts"]))
        overdue = CallTimeout(
            f"provider {call.provider}, model {call.model}: the call did not end within its timeout: {where}."
            " What it held was given back. Raise timeout=…, or see `llm-fleet status`"
        )
        overdue.ticket = getattr(cancelled, "ticket", None)
        raise overdue from error
