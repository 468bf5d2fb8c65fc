"""SDK clients per API key: opened, shared by many calls, replaced and closed.

Each event loop of the process has clients of its own, since an SDK client belongs to the loop
that opened it; `max_size` and `min_size` count per loop, the health of a key is known to all of
them. This module knows adapters by their Protocol; it knows nothing of limits or leases.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import (
    ConfigError,
    ManagerClosed,
    PoolExhausted,
    ProviderError,
    ProviderUnavailable,
    StreamInterrupted,
)
from .health import ERRORS_IN_A_ROW, Health
from .shelf import CLOSED, Shelf

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ..config import PoolConfig
    from ..providers.adapter import Adapter

__all__ = ["ClientPool"]

_LOOK_AGAIN_S = 0.05

_inherited: list[object] = []
"""What a fork left in the child: kept, since finalizers there would touch the parent's sockets."""


@dataclass(eq=False, repr=False)
class ClientPool:
    """The SDK clients of one provider entry, per API key.

    `keys` are the API keys by key id, `options` the `pool` section of the config; `timeout`, in
    seconds, is the provider's and bounds each read.
    """

    adapter: Adapter
    keys: Mapping[str, SecretStr]
    options: PoolConfig
    base_url: str | None = None
    timeout: float = 60.0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._is_loaded = False
        self._start_afresh()

    async def load(self) -> None:
        """Import the vendor's SDK, once, in a thread: the loop goes on, timeouts hold."""
        if self._is_loaded:
            return
        async with self._shelf().loading:
            if not self._is_loaded:
                await self._load_in_thread()

    @asynccontextmanager
    async def client(self, key_id: str) -> AsyncIterator[Any]:
        """The SDK client of a key, for one call; any number of calls share it.

        How the call inside ends tells about the key's health: no answer is a failure.

        Raises:
            PoolExhausted: none became free, or the key stayed out of service, within
                `pool.acquire_timeout` seconds.
        """
        if key_id not in self.keys:
            raise ConfigError(f"no API key {key_id!r} in this process: see `api_keys` of the provider")
        await self.load()
        shelf = self._shelf()
        health = self._health[key_id]
        trial = health.admit(self.clock())
        client = None
        try:
            if trial is not None and not shelf.turn.locked():
                client = shelf.take(key_id)
            if client is None:
                async with self._patience(key_id, health):
                    trial = trial if trial is not None else await self._next_trial(health)
                    client = await shelf.take_in_turn(key_id)
            await shelf.close_discarded()
            yield client.sdk
            self.succeeded(key_id)
        except ProviderError as error:
            self._learn(key_id, error)
            raise
        finally:
            if trial:
                health.trial = False
            if client is not None:
                shelf.give_back(client)

    def failed(self, key_id: str) -> None:
        """A call of this key got no answer: three such errors in a row take its client out.

        `client` reports by itself; this is for calls that are made outside of it.
        """
        self._health[key_id].failed(self.clock())

    def succeeded(self, key_id: str) -> None:
        """A call of this key was answered, be it with an error; `client` reports this too."""
        self._health[key_id].succeeded()

    def status(self) -> dict[str, Any]:
        """This process's SDK clients; `error_count` counts the calls that got no answer."""
        now = self.clock()
        clients = [client for shelf in list(self._shelves.values()) for client in shelf.clients()]
        out = {key for key, health in self._health.items() if health.out_for(now) > 0}
        return {
            "total_clients": len(clients),
            "available_clients": sum(not client.calls and client.key_id not in out for client in clients),
            "in_use_clients": sum(bool(client.calls) for client in clients),
            "client_statuses": [
                {"client_id": key, "is_available": key not in out, "error_count": health.errors}
                for key, health in self._health.items()
            ],
        }

    async def close(self) -> None:
        """Close every SDK client; those of other loops are closed by their own loop."""
        with self._lock:
            self._closed = True
            shelves = dict(self._shelves)
            self._shelves.clear()
        for loop, shelf in shelves.items():
            if loop is asyncio.get_running_loop():
                await shelf.close()
            elif loop.is_closed():
                shelf.abandon()
            elif loop.is_running():
                loop.call_soon_threadsafe(shelf.close_soon)

    async def _load_in_thread(self) -> None:
        try:
            await asyncio.to_thread(self.adapter.load)
        except asyncio.CancelledError as error:
            error.add_note(f"the SDK of {self.adapter.kind} was still being loaded")
            raise
        self._is_loaded = True

    def _learn(self, key_id: str, error: ProviderError) -> None:
        if error.status is not None:
            self.succeeded(key_id)
        elif isinstance(error, ProviderUnavailable | StreamInterrupted):
            self.failed(key_id)

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._shelves: dict[asyncio.AbstractEventLoop, Shelf] = {}
        self._health = {key_id: Health() for key_id in self.keys}

    def _shelf(self) -> Shelf:
        if self._pid != os.getpid():
            _inherited.append(self._shelves)
            self._lock = threading.Lock()
            self._start_afresh()
        shelf = self._shelves.get(asyncio.get_running_loop())
        return shelf if shelf is not None and not self._closed else self._new_shelf()

    def _new_shelf(self) -> Shelf:
        with self._lock:
            if self._closed:
                raise ManagerClosed(CLOSED)
            for loop in [loop for loop in self._shelves if loop.is_closed()]:
                self._shelves.pop(loop).abandon()
            shelf = Shelf(self.adapter, list(self.keys), self._open, self.options, self.clock)
            self._shelves[asyncio.get_running_loop()] = shelf
            return shelf

    def _open(self, key_id: str) -> Any:
        secret = self.keys[key_id].get_secret_value()
        return self.adapter.open_client(api_key=secret, base_url=self.base_url, timeout=self.timeout)

    @asynccontextmanager
    async def _patience(self, key_id: str, health: Health) -> AsyncIterator[None]:
        limit = self.options.acquire_timeout
        patience = asyncio.timeout(limit)
        try:
            async with patience:
                yield
        except TimeoutError:
            if not patience.expired():
                raise
            reason = "every client is busy: raise pool.max_size (one per API key) or pool.acquire_timeout"
            if health.in_a_row >= ERRORS_IN_A_ROW:
                reason = f"{health.in_a_row} calls in a row got no answer: check base_url and the network"
            raise PoolExhausted(
                f"Could not acquire client within timeout ({limit:g} s, key {key_id}): {reason}"
            ) from None

    async def _next_trial(self, health: Health) -> bool:
        while True:
            trial = health.admit(self.clock())
            if trial is not None:
                return trial
            await asyncio.sleep(min(_LOOK_AGAIN_S, max(health.out_for(self.clock()), 0.001)))
