"""One process of the comparison: acquires through one limiter. Runs in that limiter's own environment.

python worker.py ADAPTER URL, then jobs as JSON lines:
    {"do": "open", "resources": 1 | 3, "per_second": 0}   0: more than anybody asks for
    {"do": "load", "seconds": 1.0, "tasks": 32}           closed loops of one unit each
    {"do": "streams", "seconds": 10, "large": 60}         31 tasks of one unit, one of so many
    {"do": "times", "seconds": 3, "tasks": 32}            when each acquire came through
    {"do": "crowd", "tasks": 90}                          acquires for ever, beside other jobs

An adapter is a module beside this file: `open_limiter(url, resources, per_second)` gives a coroutine
function that returns when so many units are acquired. Imports nothing of llm_fleet.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Acquire = Callable[[int], Awaitable[None]]
Json = dict[str, Any]


def own_cpu_s() -> float:
    """CPU of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def loop(acquire: Acquire, units: int, until: float, times: list[float]) -> None:
    """Acquire again and again; notes when each came through. The last may end after `until`."""
    while time.monotonic() < until:
        await acquire(units)
        times.append(time.monotonic())


async def until_over(loops: list[Any], seconds: float) -> None:
    """Run closed loops for so long; who still waits then is cancelled."""
    tasks = [asyncio.ensure_future(each) for each in loops]
    done, late = await asyncio.wait(tasks, timeout=seconds + 0.5)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for task in done:
        task.result()


class Jobs:
    """Jobs by their names, of one limiter."""

    def __init__(self, adapter: str, url: str) -> None:
        self._open_limiter, self._url = importlib.import_module(adapter).open_limiter, url
        self._crowd: list[Any] = []

    async def open(self, resources: int, per_second: int) -> Json:
        self._acquire = await self._open_limiter(self._url, resources, per_second)
        await self._acquire(1)
        return {}

    async def load(self, seconds: float, tasks: int) -> Json:
        until, started, cpu_s = time.monotonic() + seconds, time.monotonic(), own_cpu_s()
        times: list[float] = []
        await asyncio.gather(*(loop(self._acquire, 1, until, times) for _ in range(tasks)))
        return {"count": len(times), "seconds": time.monotonic() - started, "cpu_s": own_cpu_s() - cpu_s}

    async def streams(self, seconds: float, large: int) -> Json:
        until, small, served = time.monotonic() + seconds, list[float](), list[float]()
        loops = [loop(self._acquire, 1, until, small) for _ in range(31)]
        await until_over([*loops, loop(self._acquire, large, until, served)], seconds)
        return {"small": len(small), "large": sum(at <= until for at in served)}

    async def times(self, seconds: float, tasks: int) -> Json:
        until, times = time.monotonic() + seconds, list[float]()
        await until_over([loop(self._acquire, 1, until, times) for _ in range(tasks)], seconds)
        return {"times": times}

    async def crowd(self, tasks: int) -> Json:
        until, times = time.monotonic() + 3600, list[float]()
        self._crowd = [asyncio.ensure_future(loop(self._acquire, 1, until, times)) for _ in range(tasks)]
        return {}


async def main(adapter: str, url: str) -> None:
    """Jobs, to the end of standard input; what goes wrong is an answer too."""
    jobs = Jobs(adapter, url)
    while line := await asyncio.to_thread(sys.stdin.readline):
        job = json.loads(line)
        try:
            answer = await getattr(jobs, job.pop("do"))(**job)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
