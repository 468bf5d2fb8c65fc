"""A few connections to one server, shared by any number of tasks. Knows no routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from .link import Command, Link

__all__ = ["Links"]


class Links:
    """At most `most` links, opened when needed; who finds none free waits for its turn."""

    def __init__(self, new_link: Callable[[], Link], *, most: int) -> None:
        self._new_link = new_link
        self._most = most
        self._turns = asyncio.Semaphore(most)
        self._idle: list[Link] = []
        self._all: set[Link] = set()

    async def ask(self, *commands: Command, timeout_s: float) -> Any:
        """Ask `commands` in order over one link; the last answer.

        A link that turns out to be closed by the server, after it was idle, is replaced once by a
        new one. So a command may arrive twice: all of ours count once however often they come.
        """
        await self._take_turn(timeout_s)
        link = None
        try:
            link = await self._idle_link()
            if link is not None:
                try:
                    return await _ask_all(link, commands, timeout_s)
                except RedisConnectionError:
                    await self._drop(link)
                    await self._drop_idle()
            link = self._new_link()
            self._all.add(link)
            await link.open()
            return await _ask_all(link, commands, timeout_s)
        finally:
            self._give_back(link)
            self._turns.release()

    async def close(self) -> None:
        """Close all, also those in use: who waits there gets an error."""
        links, self._idle = list(self._all), []
        self._all.clear()
        await asyncio.gather(*(link.close() for link in links))

    async def _take_turn(self, timeout_s: float) -> None:
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._turns.acquire()
        except TimeoutError:
            raise RedisTimeout(
                f"kept all {self._most} connections of this process busy for {timeout_s:g} s"
            ) from None

    async def _idle_link(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if not await link.is_stale():
                return link
            await self._drop(link)
        return None

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._drop(self._idle.pop())

    async def _drop(self, link: Link) -> None:
        self._all.discard(link)
        await link.close()

    def _give_back(self, link: Link | None) -> None:
        if link is None:
            return
        if link.is_open and link in self._all:
            self._idle.append(link)
        else:
            self._all.discard(link)


async def _ask_all(link: Link, commands: tuple[Command, ...], timeout_s: float) -> Any:
    answer: Any = None
    for command in commands:
        answer = await link.ask(command, timeout_s)
    return answer
