"""The demo's processes as their starter sees them: start, listen, kill, end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import deque
from contextlib import suppress
from typing import Any

from ...errors import LLMFleetError

__all__ = ["Worker", "start_workers"]

READY_TIMEOUT_S = 60.0
WORKER = "llm_fleet.cli.demo.worker"


class Worker:
    """One process of the fleet, and what it has reported."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number, self._process = number, process
        self.served = 0
        self.waits: list[float] = []
        self.errors: list[str] = []
        self.is_killed = False
        self.ready = asyncio.Event()
        self.done = asyncio.Event()
        self._complaints: deque[str] = deque(maxlen=12)
        self._listeners = [asyncio.create_task(self._listen()), asyncio.create_task(self._overhear())]

    @property
    def pid(self) -> int:
        return self._process.pid

    def order(self, **order: Any) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    def kill(self) -> None:
        """SIGKILL: it has no chance to say goodbye."""
        self.is_killed = True
        self._process.send_signal(signal.SIGKILL)

    async def wait_ready(self) -> None:
        """Until it can begin.

        Raises:
            LLMFleetError: it ended instead, or took too long; with what it said.
        """
        waits = [asyncio.create_task(event.wait()) for event in (self.ready, self.done)]
        await asyncio.wait(waits, timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not self.ready.is_set():
            raise LLMFleetError(f"process {self.number} of the demo did not start: {self._last_words()}")

    async def end(self) -> None:
        """Make sure that it is gone."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._listeners)

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with suppress(ValueError):  # a line that the kill cut off
                self._take(json.loads(line))
        if self.ready.is_set() and not self.done.is_set() and not self.is_killed:
            self.errors.append(f"process {self.number} ended by itself: {self._last_words()}")
        self.done.set()

    def _take(self, report: dict[str, Any]) -> None:
        if report["event"] == "ready":
            self.ready.set()
            return
        self.served = report["served"]
        self.waits += report["waits"]
        self.errors += report["errors"]
        if report["event"] == "done":
            self.done.set()

    def _last_words(self) -> str:
        return self._complaints[-1] if self._complaints else "it said nothing"

    async def _overhear(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._complaints.append(line.decode(errors="replace").rstrip())


def _environment() -> dict[str, str]:
    """Ours, with the same import path, and no proxy between the fleet and the simulator."""
    changed = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for name in ("NO_PROXY", "no_proxy"):
        changed[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1"]))
    return {**os.environ, **changed}


async def start_workers(count: int, config: dict[str, Any], tasks: int) -> list[Worker]:
    """Start the processes; each gets its config over a pipe, so that no secret stands in a command line."""
    workers = []
    for number in range(1, count + 1):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", WORKER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; then we end them
            env=_environment(),
        )
        workers.append(Worker(number, process))
        workers[-1].order(config=config, tasks=tasks, seed=number)
    return workers
