"""Coalesces operations into steps: at most one in flight per process and pool.

What arrives meanwhile goes with the next step. Operations are idempotent by their ticket's id,
so a step whose outcome is unknown is sent again as it was. Lives on the I/O loop.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import CoordinationError
from ..store import Store
from .keys import PoolKeys
from .operations import Operation
from .packing import encode_call
from .scripts import load_script

__all__ = ["Outage", "Reply", "StepRunner"]

MAX_OPERATIONS = 128
LINGER_S = 0.005
BACKOFF_S = (0.02, 0.05, 0.1, 0.2, 0.5)
LOOKING_S = 0.1
LATE_S, LATE_TICKS = 0.17, 4
"""A call is late that is not answered for so long, in which our own loop ran: so many turns of the heartbeat.
The turn that finds it comes up to 50 ms later."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a step said beside its results. `sent_at` is monotonic, before it was sent."""

    sent_at: float
    now_ms: int
    grants: Sequence[Sequence[Any]]
    wakes: Sequence[Sequence[Any]]
    refusals: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Outage:
    """Redis does not answer: since when (monotonic), and what it said."""

    since: float
    error: CoordinationError


class Absences(Protocol):
    """Who goes on without Redis."""

    @property
    def is_active(self) -> bool: ...
    @property
    def has_told(self) -> bool: ...
    def begin(self, since: float, error: CoordinationError) -> bool: ...
    def answered(self) -> bool: ...


class Registrar(Protocol):
    """Who knows what to register with, and what to do with a step's reply."""

    process: str
    keys: PoolKeys

    @property
    def away(self) -> Absences: ...
    def offer(self) -> str: ...
    def registered(self, outcome: Sequence[str], processes: int) -> None: ...
    def stepped(self, reply: Reply) -> None: ...


class StepRunner:
    """Sends steps for one process and pool."""

    def __init__(self, store: Callable[[], Store], registrar: Registrar) -> None:
        self._store = store
        self._registrar = registrar
        self._keys = registrar.keys.all()
        self._outbox: deque[Operation] = deque()
        self._task: asyncio.Task[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._is_poked = False
        self._failures = 0
        self.is_registered = False
        self.epoch = ""
        self.fence = 0
        self.last_sent = 0.0
        self.outage: Outage | None = None
        self._rider: Operation | None = None
        self._asked_at: float | None = None
        self._ticks = 0

    def add(self, operation: Operation) -> None:
        """Put an operation into the next step; one that nobody awaits may linger for company."""
        self._outbox.append(operation)
        if operation.is_urgent:
            self._start()
        elif self._task is None and self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self._start)

    def ride(self, operation: Operation) -> None:
        """Put an operation into the next step, whenever that goes; the one put there before is dropped."""
        self._rider = operation

    def poke(self) -> None:
        """Send a step even if nothing is to be said: a timer's call."""
        self._is_poked = True
        self._start()

    @property
    def is_asking(self) -> bool:
        """Redis has been asked something, and has not answered yet."""
        return self._asked_at is not None

    def tick(self) -> None:
        """A turn of the heartbeat: notices that Redis is late, before our own timeout does."""
        if self._asked_at is None:
            return
        self._ticks += 1
        if self._is_late:
            error = CoordinationError(f"Redis at {self._store().description} has not answered for 0.2 s")
            self._lost(self._asked_at, error)

    @property
    def _is_late(self) -> bool:
        asked_at = self._asked_at
        return asked_at is not None and self._ticks >= LATE_TICKS and time.monotonic() - asked_at >= LATE_S

    def _lost(self, since: float, error: CoordinationError) -> None:
        if self._registrar.away.begin(since, error):
            self.outage = self.outage or Outage(since, error)

    def _start(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._is_poked or self._outbox:
                if not await self._attempt():
                    await asyncio.sleep(BACKOFF_S[min(self._failures, len(BACKOFF_S)) - 1])
                elif self._registrar.away.is_active:
                    await asyncio.sleep(LOOKING_S)
                elif self._outbox and not self._is_poked and not any(op.is_urgent for op in self._outbox):
                    self._linger = asyncio.get_running_loop().call_later(LINGER_S, self._start)
                    return
        finally:
            self._task = None

    async def _attempt(self) -> bool:
        """The next step or, while Redis is away, a look whether it is back. False: it does not answer."""
        started = time.monotonic()
        try:
            await (self._tell() if self._registrar.away.is_active else self._round())
        except CoordinationError as error:
            self._failures += 1
            self._is_poked = True
            self._lost(started, error)
            self.outage = self.outage or Outage(time.monotonic(), error)
            return False
        finally:
            self._asked_at = None
        self._failures = 0
        return True

    async def _tell(self) -> None:
        """See whether Redis is back: it answers, and without delay. Then it is told what it missed."""
        self._is_poked, away = True, self._registrar.away
        if not (await self._is_quick() or await self._is_quick()):
            raise CoordinationError(f"Redis at {self._store().description} answers too late")
        if not away.has_told:
            await self._register()  # a server that answers and refuses to write is not back
        if away.answered():
            self.is_registered = False
        if not away.is_active:
            self.outage = None
        if not self.is_registered:
            await self._register()

    async def _is_quick(self) -> bool:
        self._asked_at, self._ticks = time.monotonic(), 0
        await self._store().call("HGET", self._keys[0], "accepted")
        return not self._is_late

    async def _round(self) -> None:
        self._is_poked = False
        if not self.is_registered:
            await self._register()
        batch = [self._outbox.popleft() for _ in range(min(MAX_OPERATIONS, len(self._outbox)))]
        if self._rider is not None and len(batch) < MAX_OPERATIONS:
            batch.append(self._rider)
            self._rider = None
        try:
            await self._step(batch)
        except BaseException:
            self._outbox.extendleft(reversed(batch))
            raise
        if self._registrar.away.is_active:  # it answered late: see whether it is quick again
            self._is_poked = True
        else:
            self.outage = None

    async def _register(self) -> None:
        script, registrar = load_script("pool_register"), self._registrar
        arguments = [registrar.process, secrets.token_hex(6), registrar.offer()]
        self._asked_at, self._ticks = time.monotonic(), 0
        reply = await self._store().script(script, self._keys, arguments)
        self.epoch, self.fence, self.is_registered = reply[1], reply[2], True
        registrar.registered(reply[4], reply[5])

    async def _step(self, batch: Sequence[Operation]) -> None:
        script, sent_at = load_script("pool_step"), time.monotonic()
        wires = (operation.wire(sent_at) for operation in batch)
        call = encode_call(self._registrar.process, self.epoch, self.fence, wires)
        self._asked_at, self._ticks = sent_at, 0
        reply = json.loads(await self._store().script(script, self._keys, [call]))
        if reply[0] == "register":
            self.is_registered = False
            self._is_poked = True
            self._outbox.extendleft(reversed(batch))
            return
        self.fence, self.last_sent = reply[1], sent_at
        for operation, result in zip(batch, reply[3], strict=True):
            operation.answer(result, sent_at)
        self._registrar.stepped(Reply(sent_at, reply[2], reply[4], reply[5], reply[6]))

    async def close(self, timeout_s: float) -> None:
        """Send what is still to be said, within `timeout_s`."""
        self._start()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s)
        if self._task is not None:
            self._task.cancel()
