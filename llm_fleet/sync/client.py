"""LLMClient and KeyLease for callers that block."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from .. import client as asynchronous
from ..models import Message, Response, Usage
from .running import finish, run

__all__ = ["KeyLease", "LLMClient", "TextStream"]

T = TypeVar("T")


class KeyLease:
    """`llm_fleet.client.KeyLease`, blocking: `api_key` inside the `with`, and how it ended."""

    def __init__(self, lease: asynchronous.KeyLease) -> None:
        self._lease = lease
        self.key_id, self.ticket, self.queued_s = lease.key_id, lease.ticket, lease.queued_s
        self.progress = lease.progress

    def __repr__(self) -> str:
        return repr(self._lease)

    @property
    def api_key(self) -> str:
        """The key to call with; LeaseLost after the lease."""
        return self._lease.api_key

    def settle(self, usage: Usage) -> None:
        """End it with what the provider says it consumed."""
        run(self._lease.settle(usage))

    def throttled(self, retry_after: float | None = None, *, resource: str | None = None) -> None:
        """End it after a 429: the account pauses for the whole fleet."""
        run(self._lease.throttled(retry_after, resource=resource))

    def cancel(self) -> None:
        """End it because nothing was sent: all that was reserved goes back."""
        run(self._lease.cancel())


class TextStream:
    """`llm_fleet.client.TextStream`, blocking: iterate it inside its `with`."""

    def __init__(self, stream: asynchronous.TextStream) -> None:
        self._stream = stream

    def __iter__(self) -> TextStream:
        return self

    def __next__(self) -> str:
        piece = run(_next(self._stream))
        if piece is None:
            raise StopIteration
        return piece

    @property
    def response(self) -> Response:
        """The whole answer; LLMFleetError before the text has been read to its end."""
        return self._stream.response


async def _next(stream: asynchronous.TextStream) -> str | None:
    async for piece in stream:
        return piece
    return None


class LLMClient:
    """`llm_fleet.LLMClient`, blocking: same arguments, same errors, any number of threads at once."""

    def __init__(self, client: asynchronous.LLMClient, used: Callable[[], None]) -> None:
        self._client, self._used = client, used

    @property
    def provider(self) -> str:
        """The name of the provider entry."""
        return self._client.provider

    def complete(self, messages: Sequence[Message], **options: Any) -> Response:
        """Send a conversation and wait for the whole answer; see `llm_fleet.LLMClient.complete`."""
        return self._run(self._client.complete(messages, **options))

    def stream_complete(self, messages: Sequence[Message], **options: Any) -> Generator[str, None, None]:
        """Send a conversation and yield its answer's text as it comes.

        Closing the generator, or dropping it half-read, ends the call and settles what it produced.
        """
        with self.stream(messages, **options) as stream:
            yield from stream

    @contextmanager
    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[TextStream]:
        """The same as a block: `with client.stream(…) as stream:`, inside `for text in stream:`.

        After the last piece `stream.response` is the whole answer. Leaving the block early ends the call.
        """
        stream = self._client.stream(messages, **options)
        try:
            self._run(stream.__aenter__())
            yield TextStream(stream)
        finally:
            finish(stream.aclose())

    def count_tokens(self, messages: Sequence[Message], **options: Any) -> int:
        """The input tokens of such a call: the provider's own count, else an estimate."""
        return self._run(self._client.count_tokens(messages, **options))

    @contextmanager
    def lease(self, **options: Any) -> Iterator[KeyLease]:
        """The right to call the provider once in one's own way: `with client.lease(…) as lease:`.

        Takes the arguments of `llm_fleet.LLMClient.lease`.
        """
        lease = self._client.lease(**options)
        try:
            self._run(lease.__aenter__())
            yield KeyLease(lease)
        finally:
            lease.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self._used()
        return run(coroutine)
