"""The demo itself: start the fleet, let it work, kill one of its processes, look on all the while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ...engine.snapshot import read_pool
from ...errors import CoordinationError
from ...store import Store
from .scenario import PROCESSES, TASKS, fleet_config, lease_ttl_s
from .stage import Stage, clear_away
from .workers import Worker, start_workers

__all__ = ["Kill", "Scene", "perform"]

TICK_S = 0.2
KILL_AT = 0.45
KILL_PATIENCE_S = 1.0
GRACE_S = 12.0


@dataclass(slots=True)
class Kill:
    """The kill: of whom, when, what the process held, and when Redis had its slots back."""

    worker: Worker
    at: float
    leases: int
    queued: int
    slots_back_s: float | None = None


@dataclass(slots=True)
class Scene:
    """What is known at one moment; the books are the provider's, the pool is Redis' own view."""

    seconds: float
    workers: list[Worker]
    elapsed_s: float = 0.0
    books: dict[str, Any] = field(default_factory=dict)
    pool: dict[str, Any] = field(default_factory=dict)
    kill: Kill | None = None
    processes: set[str] = field(default_factory=set)

    def record_of(self, worker: Worker) -> dict[str, Any]:
        """What Redis knows of a worker; empty when it is not (any more) known."""
        for process in self.pool.get("processes", {}).values():
            if process["info"].get("pid") == worker.pid:
                found: dict[str, Any] = process
                return found
        return {}

    def stray_leases(self) -> int:
        """Leases in flight that no process known to be alive holds."""
        alive = [self.record_of(worker) for worker in self.workers if not worker.is_killed]
        in_flight: int = self.pool.get("leases", 0)
        held: int = sum(process.get("leases", 0) for process in alive)
        return max(0, in_flight - held)


async def perform(
    stage: Stage, seconds: float, say: Callable[[str], None], look: Callable[[Scene], None]
) -> Scene:
    """The whole demo. `say` gets a line for people, `look` every scene.

    Raises:
        LLMFleetError: a process did not start, or Redis is away.
    """
    store = Store(stage.options)
    workers: list[Worker] = []
    scene = Scene(seconds, workers)
    try:
        await store.call("PING")
        workers += await start_workers(PROCESSES, _config(stage, seconds), TASKS)
        await asyncio.gather(*(worker.wait_ready() for worker in workers))
        fleet = f"{PROCESSES} processes with {TASKS} tasks each"
        say(f"fleet      {fleet}; {seconds:g} s of work, a kill -9 in the middle")
        await _play(scene, stage, store, look)
    finally:
        await asyncio.gather(*(worker.end() for worker in workers))
        with suppress(CoordinationError):
            await clear_away(store, stage.keys, scene.processes)
        await store.close()
    return scene


def _config(stage: Stage, seconds: float) -> dict[str, Any]:
    url, namespace = stage.options.url, stage.keys.namespace
    redis = {"url": url, "namespace": namespace, "lease_ttl_seconds": lease_ttl_s(seconds)}
    return fleet_config(stage.simulator.url, redis)


async def _play(scene: Scene, stage: Stage, store: Store, look: Callable[[Scene], None]) -> None:
    started = time.monotonic()
    for worker in scene.workers:
        worker.order(seconds=scene.seconds)
    while not all(worker.done.is_set() for worker in scene.workers):
        await asyncio.sleep(TICK_S)
        scene.elapsed_s = time.monotonic() - started
        await _observe(scene, stage, store)
        _direct(scene)
        look(scene)
        if scene.elapsed_s > scene.seconds + GRACE_S:
            break
    scene.books = await asyncio.to_thread(stage.simulator.books)


async def _observe(scene: Scene, stage: Stage, store: Store) -> None:
    scene.books = await asyncio.to_thread(stage.simulator.books, requests=False)
    scene.pool = await read_pool(store, stage.keys) or {}
    scene.processes.update(scene.pool.get("processes", {}))


def _direct(scene: Scene) -> None:
    """Kill when it is time and the victim holds something; then wait for its slots."""
    kill, due_s = scene.kill, scene.elapsed_s - scene.seconds * KILL_AT
    if kill is None and due_s >= 0:
        victim = max(scene.workers, key=lambda worker: scene.record_of(worker).get("leases", 0))
        held = scene.record_of(victim)
        if held.get("leases") or due_s > KILL_PATIENCE_S:
            scene.kill = Kill(victim, time.time(), held.get("leases", 0), held.get("queued", 0))
            victim.kill()
    elif kill and kill.slots_back_s is None and not scene.stray_leases():
        kill.slots_back_s = time.time() - kill.at
