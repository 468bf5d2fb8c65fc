"""The engine of one process: one I/O thread, one store, a desk per pool.

Started at first use, from any loop or thread; again after a fork, with a process id of its own.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from ..errors import ConfigError, CoordinationError, ManagerClosed
from ..store import Store, StoreOptions
from .explain import Explanation, explain_ticket, find_ticket
from .heartbeat import Heartbeat, beat
from .keys import PoolKeys
from .lease import Lease
from .mailbox import MailboxReader
from .operations import Leave
from .snapshot import read_fleet
from .switch import pause_key, resume_key
from .thread import IoThread
from .tickets import Desk, Seat
from .values import Denial, Need, PoolLimits, check_ticket

__all__ = ["Fleet", "FleetPool"]

CLOSE_TIMEOUT_S = 2.0

T = TypeVar("T")


class _Runtime:
    """What runs in this very process (a fork needs another)."""

    def __init__(
        self,
        options: StoreOptions,
        namespace: str,
        pools: Mapping[str, PoolLimits],
        ttl_s: float,
        on_redis_down: str,
    ) -> None:
        self.pid = os.getpid()
        self.io = IoThread()
        self.process = secrets.token_hex(4)
        self.store = Store(options)
        seat = Seat(self.io, lambda: self.store, self.process, ttl_s, on_redis_down)
        self.desks = {name: Desk(seat, PoolKeys(namespace, name), limits) for name, limits in pools.items()}
        self._tasks: list[asyncio.Task[None]] = []
        self.io.submit(self._start)

    def _start(self) -> None:
        by_mailbox = {desk.keys.mailbox(desk.process): desk for desk in self.desks.values()}
        loop = asyncio.get_running_loop()
        for group in self.store.groups(list(by_mailbox)):
            reader = MailboxReader(lambda: self.store, [by_mailbox[mailbox] for mailbox in group])
            self._tasks.append(loop.create_task(reader.run()))
        is_wanted = asyncio.Event()
        for desk in self.desks.values():
            desk.room.on_joined = is_wanted.set
        heartbeats = [Heartbeat(desk) for desk in self.desks.values()]
        self._tasks.append(loop.create_task(beat(heartbeats, is_wanted)))

    async def close(self) -> None:
        """Say goodbye to Redis (on the I/O loop)."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for desk in self.desks.values():
            desk.room.fail_all()
            if desk.away.is_active:
                desk.away.leave()
                desk.steps.is_registered = False
            if desk.steps.epoch:
                desk.steps.add(Leave())
        await asyncio.gather(*(desk.steps.close(CLOSE_TIMEOUT_S) for desk in self.desks.values()))
        await self.store.close()


_abandoned: list[_Runtime] = []


class Fleet:
    """Every pool of a configuration, as this process takes part in it.

    `pools` are the limits by pool name, `ttl_s` the seconds after which the leases of a dead
    process end. `on_redis_down`: `share`, this process goes on with its part of the limits; `open`,
    without limits; `wait`, calls wait. Opens nothing before the first call.
    """

    def __init__(
        self,
        options: StoreOptions,
        namespace: str,
        pools: Mapping[str, PoolLimits],
        *,
        ttl_s: float = 15.0,
        on_redis_down: str = "wait",
    ) -> None:
        self._options, self.namespace, self._ttl_s = options, namespace, ttl_s
        self._on_redis_down = on_redis_down
        self._pools = dict(pools)
        self._keys = {name: PoolKeys(namespace, name) for name in pools}
        self._lock = threading.Lock()
        self._runtime: _Runtime | None = None
        self._is_closed = False
        weak = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget(weak))

    def forget(self) -> None:
        """In a forked child: leave the parent's thread and sockets alone, start anew at first use."""
        if self._runtime is not None:
            _abandoned.append(self._runtime)
        self._runtime, self._lock = None, threading.Lock()

    def pool(self, name: str) -> FleetPool:
        """One pool by its name in the configuration.

        Raises:
            ConfigError: there is no such pool.
        """
        if name not in self._pools:
            known = ", ".join(sorted(self._pools)) or "none"
            raise ConfigError(f"unknown provider {name!r}: the configuration has {known}")
        return FleetPool(self, name)

    def runtime(self) -> _Runtime:
        """What runs in this process; starts it.

        Raises:
            ManagerClosed: after `close`.
        """
        if self._is_closed:
            raise ManagerClosed("the manager is closed; get a new one with get_llm_manager()")
        with self._lock:
            if self._runtime is None:
                self._runtime = _Runtime(
                    self._options, self.namespace, self._pools, self._ttl_s, self._on_redis_down
                )
            return self._runtime

    async def run(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """Run `work` on the I/O thread with this process's store; cancelling cancels it.

        Raises:
            CoordinationError: Redis does not answer.
        """
        runtime = self.runtime()
        result: T = await runtime.io.run(lambda: work(runtime.store))
        return result

    def connect(self) -> None:
        """Have every pool that is not registered yet register; waits for nothing. Any thread."""
        runtime = self.runtime()
        for desk in runtime.desks.values():
            if not desk.steps.epoch:
                runtime.io.submit(desk.steps.poke)

    def faults(self) -> dict[str, str]:
        """Why a pool cannot be used now, by its name: what Redis last said. Empty: all is well."""
        runtime = self._runtime
        if runtime is None:
            return dict.fromkeys(self._pools, "not connected to Redis yet")
        faults = {}
        for name, desk in runtime.desks.items():
            if desk.steps.outage is not None and not desk.away.is_active:
                faults[name] = str(desk.steps.outage.error)
            elif not desk.steps.epoch:
                faults[name] = "not connected to Redis yet"
        return faults

    def absences(self) -> dict[str, str]:
        """What this process does without Redis, by pool, and why. Empty: it needs not."""
        runtime = self._runtime
        return {
            name: f"{str(desk.steps.outage.error).rstrip('.')}; {desk.away.note()}"
            for name, desk in (runtime.desks.items() if runtime else ())
            if desk.away.is_active and desk.steps.outage is not None
        }

    async def change_limits(self, limits: PoolLimits) -> None:
        """Replace the limits of a pool for the whole fleet."""
        self._pools[limits.pool] = limits
        runtime = self.runtime()

        async def change() -> None:
            runtime.desks[limits.pool].change_limits(limits)

        await runtime.io.run(change)

    async def status(self) -> dict[str, Any]:
        """The whole fleet, from Redis: pools, keys, domains, queues, processes.

        Raises:
            CoordinationError: Redis does not answer.
        """
        runtime = self.runtime()
        status: dict[str, Any] = await runtime.io.run(lambda: read_fleet(runtime.store, self._keys.values()))
        return status

    async def explain(self, ticket: str) -> Explanation:
        """What a ticket waits for and when it is expected to go, what it holds, or how it ended.

        Raises:
            ConfigError: that is no id of a ticket.
            CoordinationError: Redis does not answer.
        """
        check_ticket(ticket)
        return await self.run(lambda store: find_ticket(store, self._keys.values(), ticket))

    async def close(self) -> None:
        """Cancel who waits, settle what is known, leave the fleet. Twice is once."""
        runtime, self._runtime, self._is_closed = self._runtime, None, True
        if runtime is not None:
            await runtime.io.run(runtime.close)
            await asyncio.to_thread(runtime.io.close)


def _forget(weak: weakref.ref[Fleet]) -> None:
    fleet = weak()
    if fleet is not None:
        fleet.forget()


class FleetPool:
    """One pool: what the rate limit middleware talks to."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self._fleet, self.name = fleet, name

    async def enqueue(self, need: Need, *, timeout_s: float) -> Lease | Denial:
        """Wait for a lease, at most `timeout_s` seconds; a refusal is a value.

        Cancelling withdraws the ticket and returns what it had been granted.

        Raises:
            CoordinationError: Redis did not answer for min(timeout, 10 s).
            ManagerClosed: the fleet was closed.
        """
        return await self._fleet.runtime().desks[self.name].enqueue(need, timeout_s)

    async def pause_key(self, key_id: str, *, reason: str, seconds: float | None = None) -> None:
        """Take a key out of service for the whole fleet, for ever or for some seconds.

        While this process goes on without Redis it does not use the key, and tells Redis later.

        Raises:
            CoordinationError: Redis does not answer, and this process only waits for it.
        """
        runtime = self._fleet.runtime()
        desk = runtime.desks[self.name]

        async def pause() -> None:
            if desk.away.take_out(key_id, reason, seconds):
                return
            try:
                await pause_key(runtime.store, desk.keys, key_id, reason, seconds)
            except CoordinationError:
                if not desk.away.take_out(key_id, reason, seconds):  # by now that is known, or not
                    raise

        await runtime.io.run(pause)

    async def resume_key(self, key_id: str) -> None:
        """Put a key back into service."""
        runtime = self._fleet.runtime()
        keys = runtime.desks[self.name].keys
        await runtime.io.run(lambda: resume_key(runtime.store, keys, key_id))

    async def explain(self, ticket: str) -> Explanation:
        """`Fleet.explain`, of this pool alone."""
        check_ticket(ticket)
        keys = self._fleet.runtime().desks[self.name].keys
        return await self._fleet.run(lambda store: explain_ticket(store, keys, ticket))
