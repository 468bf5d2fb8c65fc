"""A stream through the chain: the endpoint pushes text, the reader pulls it.

The chain runs in a task of its own and stays open until the end marker; leaving the stream
cancels it, so that what was taken is given back also for one that is left half-read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType

from ..errors import LLMFleetError
from ..models import Response

__all__ = ["TextSink", "TextStream"]

CAPACITY = 64


class TextSink:
    """A bounded line of text pieces; `push` waits while the reader is this far behind."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._pieces: deque[str] = deque()
        self._emitted: list[str] = []
        self._capacity = capacity
        self._is_closed = False
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    @property
    def text(self) -> str:
        """All text emitted so far."""
        return "".join(self._emitted)

    async def push(self, text: str) -> None:
        """Hand over a piece of text. One at a time."""
        while len(self._pieces) >= self._capacity:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        self._pieces.append(text)
        self._emitted.append(text)
        _wake(self._news)

    def close(self) -> None:
        """No more text will come."""
        self._is_closed = True
        _wake(self._news)

    def take(self) -> str | None:
        """The next piece, if it is there."""
        if not self._pieces:
            return None
        _wake(self._room)
        return self._pieces.popleft()

    async def pull(self) -> str | None:
        """The next piece; None when the sink is closed and empty. One reader."""
        while not self._pieces:
            if self._is_closed:
                return None
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        return self.take()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class TextStream:
    """An answer's text as it comes, inside an `async with`; made by `client.stream`.

    After the last piece `response` is the whole answer. A block that is left earlier ends the call:
    what it produced is settled, what it held is given back.
    """

    def __init__(self, sink: TextSink, run: Callable[[], Awaitable[Response]]) -> None:
        self._sink, self._run = sink, run
        self._task: asyncio.Task[Response] | None = None
        self._response: Response | None = None
        self._is_left = False

    async def __aenter__(self) -> TextStream:
        if self._task is not None:
            raise LLMFleetError("a stream is entered once: call client.stream(…) for another")
        self._task = asyncio.create_task(self._fill())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def _fill(self) -> Response:
        try:
            return await self._run()
        finally:
            self._sink.close()

    def __aiter__(self) -> TextStream:
        return self

    async def __anext__(self) -> str:
        if self._task is None or self._is_left:
            raise LLMFleetError("a stream is read inside its `async with client.stream(…) as stream:`")
        piece = self._sink.take()
        if piece is None:
            piece = await self._sink.pull()
        if piece is None:
            self._response = await self._task
            raise StopAsyncIteration
        return piece

    @property
    def response(self) -> Response:
        """The whole answer: text, usage, stop reason, tool calls, key id, attempts, wait.

        Raises:
            LLMFleetError: the text has not been read to its end.
        """
        if self._response is None:
            raise LLMFleetError(
                "a stream has its response when its text has been read to the end; this one is still being"
                " read, was left early, or broke"
            )
        return self._response

    async def aclose(self) -> None:
        """End the call if it has not ended. Twice is once."""
        self._is_left = True
        if self._task is None:
            return
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # nobody will ask for it any more
