"""A stream through the chain: the endpoint pushes text, the reader pulls it.

The chain runs in a task of its own and stays open until the end marker; closing the reader
cancels it, so that what was taken is given back also for a stream that is left half-read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from ..models import Response

__all__ = ["TextSink", "read_stream"]

CAPACITY = 64


class TextSink:
    """A bounded line of text pieces; `push` waits while the reader is this far behind."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._pieces: deque[str] = deque()
        self._emitted: list[str] = []
        self._capacity = capacity
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._is_closed = False

    @property
    def text(self) -> str:
        """All text emitted so far."""
        return "".join(self._emitted)

    async def push(self, text: str) -> None:
        """Hand over a piece of text."""
        await self._room.wait()
        self._pieces.append(text)
        self._emitted.append(text)
        self._changed.set()
        if len(self._pieces) >= self._capacity:
            self._room.clear()

    def close(self) -> None:
        """No more text will come."""
        self._is_closed = True
        self._changed.set()

    async def pieces(self) -> AsyncIterator[str]:
        """Every piece, until the sink is closed and empty."""
        while True:
            while self._pieces:
                self._room.set()
                yield self._pieces.popleft()
            if self._is_closed:
                return
            self._changed.clear()
            await self._changed.wait()


async def read_stream(run: Callable[[TextSink], Awaitable[Response]]) -> AsyncIterator[str]:
    """The text that `run` pushes, then its error if it failed. Closing cancels `run`."""
    sink = TextSink()

    async def fill() -> Response:
        try:
            return await run(sink)
        finally:
            sink.close()

    task = asyncio.create_task(fill())
    try:
        async for piece in sink.pieces():
            yield piece
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
