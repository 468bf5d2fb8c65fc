"""Carries out a plan: Redis, provider and workers as processes of their own, and what they left."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.keys import PoolKeys
from llm_fleet.engine.snapshot import read_pool
from llm_fleet.simulator import run_simulator
from llm_fleet.store import Store, StoreOptions

from .plan import Plan
from .redis_load import RedisLoad, read_load

__all__ = ["Death", "Freeze", "Outcome", "run_fleet"]

ROOT = Path(__file__).parent.parent
NAMESPACE = "benchmark"
OVERTIME_S = 600.0
POLL_S = 0.02
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that was killed: when, what it held, and how long its leases outlived it."""

    at: float
    leases: int
    slots_back_s: float
    looks: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """When Redis was stopped, and when it went on."""

    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left: the provider's books, what the workers saw, and Redis's own counts.

    `until` is when the workers began no more calls, in the time of the books.
    """

    plan: Plan
    until: float
    redis: str
    books: Json
    workers: list[Json]
    load: RedisLoad
    wall_s: float
    death: Death | None
    freeze: Freeze | None = None


class Worker:
    """A process that runs `fleet_worker`."""

    def __init__(self, job: Json) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fleet_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"a worker ended before it was ready: exit code {self._process.wait()}")

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self, timeout_s: float) -> Json | None:
        """What it printed; None of one that was killed."""
        text, _ = self._process.communicate(timeout=timeout_s)
        return json.loads(text) if self._process.returncode == 0 else None

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def run_fleet(plan: Plan, redis_url: str | None = None) -> Outcome:
    """Run a plan to its end, on a private server or on the Redis at `redis_url` (emptied of our keys)."""
    with ExitStack() as stack:
        server = None if redis_url else stack.enter_context(PrivateServer.start())
        url = server.url if server else str(redis_url)
        provider = stack.enter_context(_provider(plan))
        client = stack.enter_context(redis.Redis.from_url(url))
        _forget_pool(client, plan)
        config = plan.client_config(provider.url, url, NAMESPACE)
        job = {**plan.described(), "config": config}
        workers = [Worker({**job, "worker": number}) for number in range(plan.processes)]
        for worker in workers:
            stack.callback(worker.close)
        for worker in workers:
            worker.wait_until_ready()
        before, started, until = read_load(client), time.monotonic(), time.time() + plan.seconds
        for worker in workers:
            worker.go()
        death = _kill_first(plan, url, workers) if plan.kill_after else None
        freeze = _freeze(plan, server) if plan.freeze_after else None
        results = _results(plan, workers)
        load = read_load(client).since(before)
        ended = max((result["ended"] for result in results), default=time.monotonic())
        name = server.description if server else "the Redis given by --redis"
        return Outcome(plan, until, name, provider.books(), results, load, ended - started, death, freeze)


def _provider(plan: Plan) -> AbstractContextManager[Any]:
    if plan.server == "simulator":
        return run_simulator(plan.provider_config())
    from tests.strict_provider import run_strict_provider

    return run_strict_provider(plan.provider_config())


def _forget_pool(client: redis.Redis, plan: Plan) -> None:
    client.delete(*PoolKeys(NAMESPACE, plan.provider).all())


def _results(plan: Plan, workers: list[Worker]) -> list[Json]:
    results = [worker.result(plan.seconds + OVERTIME_S) for worker in workers]
    lost = sum(result is None for result in results)
    if lost > (1 if plan.kill_after else 0):
        raise RuntimeError(f"{lost} workers ended without a result; their errors stand above")
    return [result for result in results if result is not None]


def _freeze(plan: Plan, server: PrivateServer | None) -> Freeze:
    if server is None:
        raise SystemExit("only a private server is stopped: leave --redis out")
    time.sleep(plan.freeze_after)
    server.freeze()
    at = time.time()
    try:
        time.sleep(plan.freeze_for)
    finally:
        server.thaw()
    return Freeze(at, time.time())


def _kill_first(plan: Plan, url: str, workers: list[Worker]) -> Death:
    time.sleep(plan.kill_after)
    return asyncio.run(_watch_death(plan, url, workers))


async def _watch_death(plan: Plan, url: str, workers: list[Worker]) -> Death:
    store, keys = Store(StoreOptions(url)), PoolKeys(NAMESPACE, plan.provider)
    living, looks = {worker.pid for worker in workers[1:]}, [0]

    async def orphaned() -> int:
        looks.append(_leases_beside(await read_pool(store, keys) or {}, living))
        return looks[-1]

    try:
        await _until(orphaned, wanted=True, within_s=10.0)
        workers[0].kill()
        at, started, held = time.time(), time.monotonic(), await orphaned()
        await _until(orphaned, wanted=False, within_s=3 * plan.ttl)
        return Death(at, held, time.monotonic() - started, len(looks) - 1)
    finally:
        await store.close()


async def _until(look: Callable[[], Awaitable[int]], *, wanted: bool, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    for _ in iter(time.monotonic, deadline):
        if bool(await look()) is wanted or time.monotonic() > deadline:
            return
        await asyncio.sleep(POLL_S)


def _leases_beside(pool: Json, living: set[int]) -> int:
    """Leases in the pool that none of the living holds."""
    processes = (pool.get("processes") or {}).values()
    theirs = sum(process["leases"] for process in processes if process["info"].get("pid") in living)
    return int(pool.get("leases", 0) - theirs)
