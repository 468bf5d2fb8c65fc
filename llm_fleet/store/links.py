"""The connections to one server: one shared by all commands, and one for each blocking pop.

Both replace, once, a link that turns out to be closed after it was used before. So a command may
arrive twice: all of ours count once however often they come. Knows no routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from redis.exceptions import ConnectionError as RedisConnectionError

from .link import Command, Link

__all__ = ["Links", "OwnLinks", "SharedLink"]

NewLink = Callable[[], Link]


class Links(Protocol):
    """A way to one server."""

    async def ask(self, *commands: Command, timeout_s: float) -> Any:
        """Ask `commands` in order over one link; the last answer."""
        ...

    async def close(self) -> None:
        """Close all links, also those in use: who waits there gets an error."""
        ...


class SharedLink:
    """One link for any number of tasks, opened at first use and again when it was lost."""

    def __init__(self, new_link: NewLink) -> None:
        self._new_link = new_link
        self._link: Link | None = None
        self._opening: asyncio.Task[Link] | None = None
        self._is_closed = False

    async def ask(self, *commands: Command, timeout_s: float) -> Any:
        link = self._link
        if link is not None and link.is_open:
            try:
                return await link.ask(*commands, timeout_s=timeout_s)
            except RedisConnectionError:
                if self._is_closed:
                    raise
        return await (await self._open()).ask(*commands, timeout_s=timeout_s)

    async def close(self) -> None:
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._link is not None:
            await self._link.close()

    async def _open(self) -> Link:
        """The open link; all who need one wait for the same attempt."""
        if self._link is not None and self._link.is_open:
            return self._link
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._new())
            self._opening.add_done_callback(self._opened)
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():
                raise RedisConnectionError("the connection was closed") from None
            raise

    async def _new(self) -> Link:
        link = self._new_link()
        await link.open()
        self._link = link
        return link

    def _opened(self, opening: asyncio.Task[Link]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # it was somebody's, or nobody waits any more


class OwnLinks:
    """A link for each who asks, kept for the next when it was answered."""

    def __init__(self, new_link: NewLink) -> None:
        self._new_link = new_link
        self._idle: list[Link] = []
        self._all: set[Link] = set()
        self._is_closed = False

    async def ask(self, *commands: Command, timeout_s: float) -> Any:
        if self._idle:
            try:
                return await self._ask(self._idle.pop(), commands, timeout_s)
            except RedisConnectionError:
                if self._is_closed:
                    raise
        link = self._new_link()
        self._all.add(link)
        return await self._ask(link, commands, timeout_s)

    async def close(self) -> None:
        self._is_closed = True
        await asyncio.gather(*(link.close() for link in self._all))

    async def _ask(self, link: Link, commands: tuple[Command, ...], timeout_s: float) -> Any:
        try:
            if not link.was_opened:
                await link.open()
            return await link.ask(*commands, timeout_s=timeout_s)
        finally:
            if link.is_idle and not self._is_closed:
                self._idle.append(link)
            else:  # cancelled, or lost: an answer may still be on its way
                self._all.discard(link)
                await link.close()
