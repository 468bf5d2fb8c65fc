"""The SDK clients of one event loop: who shares them, which is replaced, when they are closed.

An SDK client belongs to the loop that opened it. Knows adapters by their Protocol; knows
nothing of health, other loops or other processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import ManagerClosed

if TYPE_CHECKING:
    from ..config import PoolConfig
    from ..providers.adapter import Adapter

__all__ = ["CLOSED", "Client", "Shelf"]

CLOSED = "the pool of SDK clients is closed: get a new manager after close()"

_SWEEP_EVERY_S = 1.0


class Client:
    __slots__ = ("calls", "key_id", "opened_at", "retired", "sdk", "used_at")

    def __init__(self, key_id: str, sdk: Any, now: float) -> None:
        self.key_id = key_id
        self.sdk = sdk
        self.opened_at = now
        self.used_at = now
        self.calls = 0
        self.retired = False


class Shelf:
    """The clients of one event loop. Nothing here awaits between looking and taking."""

    def __init__(
        self,
        adapter: Adapter,
        key_ids: list[str],
        open_sdk: Callable[[str], Any],
        options: PoolConfig,
        clock: Callable[[], float],
    ) -> None:
        self.loading = asyncio.Lock()
        self._adapter = adapter
        self._key_ids = key_ids
        self._open_sdk = open_sdk
        self._options = options
        self._max_size = options.max_size or max(1, len(key_ids))
        self._clock = clock
        self._clients: dict[str, Client] = {}
        self._discarded: list[Any] = []
        self._swept_at = clock()
        self._guard: AsyncGenerator[None, None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_closed = False
        self.turn = asyncio.Lock()
        self._freed = asyncio.Event()

    def clients(self) -> list[Client]:
        return list(self._clients.values())

    def take(self, key_id: str) -> Client | None:
        """A client for one more call; None while `max_size` clients are busy with other keys."""
        if self._is_closed:
            raise ManagerClosed(CLOSED)
        now = self._clock()
        if now - self._swept_at >= _SWEEP_EVERY_S:
            self._sweep(now)
        client = self._clients.get(key_id)
        if client is not None and now - client.opened_at >= self._options.max_lifetime:
            self._retire(client)
            client = None
        if client is None:
            if len(self._clients) >= self._max_size and not self._evict():
                return None
            client = self._open(key_id, now)
        client.calls += 1
        return client

    async def take_in_turn(self, key_id: str) -> Client:
        """The same, waiting in order of arrival, so that busy clients of other keys run dry."""
        async with self.turn:
            while (client := self.take(key_id)) is None:
                self._freed.clear()
                await self._freed.wait()
            return client

    def give_back(self, client: Client) -> None:
        client.calls -= 1
        client.used_at = self._clock()
        if not client.calls:
            self._freed.set()
            if client.retired:
                self._discarded.append(client.sdk)

    async def close_discarded(self) -> None:
        while self._discarded:
            sdk = self._discarded.pop()
            with suppress(Exception):
                await self._adapter.close_client(sdk)

    async def close(self) -> None:
        """Close all clients, also those that are in use, and take no more calls."""
        self._is_closed = True
        self._freed.set()
        guard, self._guard = self._guard, None
        if guard is not None:
            await guard.aclose()

    def close_soon(self) -> None:
        self._closing = asyncio.get_running_loop().create_task(self.close())

    def abandon(self) -> None:
        """Close what can be closed without awaiting: the loop is gone."""
        closing = self.close()
        with suppress(Exception):
            closing.send(None)
        closing.close()

    def _open(self, key_id: str, now: float) -> Client:
        client = self._clients[key_id] = Client(key_id, self._open_sdk(key_id), now)
        if self._guard is None:
            self._guard = self._close_with_loop()
            with suppress(StopIteration):
                self._guard.asend(None).send(None)
            self._fill(now)
        return client

    def _fill(self, now: float) -> None:
        for key_id in self._key_ids:
            if len(self._clients) >= min(self._options.min_size, self._max_size):
                return
            if key_id not in self._clients:
                self._clients[key_id] = Client(key_id, self._open_sdk(key_id), now)

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        # An event loop closes its asynchronous generators before it ends (asyncio.run does).
        try:
            yield
        finally:
            self._discarded += [client.sdk for client in self._clients.values()]
            self._clients.clear()
            await self.close_discarded()

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        for client in sorted(self.clients(), key=lambda client: client.used_at):
            stale = now - client.opened_at >= self._options.max_lifetime
            unused = now - client.used_at >= self._options.idle_timeout
            spare = len(self._clients) > self._options.min_size
            if not client.calls and (stale or (unused and spare)):
                self._retire(client)

    def _evict(self) -> bool:
        idle = [client for client in self._clients.values() if not client.calls]
        if idle:
            self._retire(min(idle, key=lambda client: client.used_at))
        return bool(idle)

    def _retire(self, client: Client) -> None:
        del self._clients[client.key_id]
        client.retired = True
        if not client.calls:
            self._discarded.append(client.sdk)
