"""What LLMClient costs above the vendor's SDK: client CPU per call, over the same transport.

The simulated provider and Redis are processes of their own, nothing ever waits for a limit. See README.md
beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parent.parent))

import redis

from benchmarks.engine_crew import calibration
from benchmarks.engine_report import Figure, as_json, as_text, environment, scaled
from benchmarks.engine_rig import open_server
from benchmarks.overhead_ways import KINDS, VENDORS, WAYS, Ways, provider_config
from llm_fleet.simulator import run_simulator

Json = dict[str, Any]
SHAPE = "client CPU per call, all threads; answers come at once, limits never bind"
TASKS = {1: 20, 32: 6}
"""Tasks, and how many calls each of them makes in a round."""
JUDGED = 32
"""The target is for a process at work, as that of the CPU of a request's life is (ENGINE.md §8)."""
TURNS = 18
SETTLING_S = 0.015
"""After a round, in every way alike: our last settles have left, what follows does not pay for them."""
IDLE_S = 0.5
TARGET_MS = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """Calls of one kind to one vendor, from so many tasks; of each way ms of CPU per call, turn by turn."""

    vendor: str
    kind: str
    tasks: int
    spent: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    steps: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.vendor} {self.kind}, {self.tasks} task{'s' if self.tasks > 1 else ''}"

    def above(self, way: str) -> float:
        """What a way costs above the SDK alone: the median of the differences in each turn."""
        pairs = zip(self.spent[way], self.spent["sdk"], strict=True)
        return round(median(mine - bare for mine, bare in pairs), 3)

    def least_above(self, way: str) -> float:
        """The same, of the best round of each: that with the least beside it on the machine."""
        return round(min(self.spent[way]) - min(self.spent["sdk"]), 3)

    def middle(self, way: str) -> float:
        return round(median(self.spent[way]), 3)

    def figures(self) -> list[Figure]:
        target = ("≤", TARGET_MS) if self.tasks == JUDGED else None
        return [
            Figure(f"{self.name}: the SDK alone", self.middle("sdk"), "ms"),
            Figure(f"{self.name}: llm_fleet", self.middle("fleet"), "ms"),
            Figure(f"{self.name}: llm_fleet above the SDK, median", self.above("fleet"), "ms", target),
            Figure(f"{self.name}: llm_fleet above the SDK, best", self.least_above("fleet"), "ms"),
            Figure(f"{self.name}: one bare EVALSHA above the SDK, median", self.above("evalsha"), "ms"),
            Figure(f"{self.name}: one bare EVALSHA above the SDK, best", self.least_above("evalsha"), "ms"),
            Figure(f"{self.name}: steps per call", round(median(self.steps), 3)),
        ]

    def to_json(self) -> Json:
        spent = {way: [round(ms, 3) for ms in each] for way, each in self.spent.items()}
        return {"vendor": self.vendor, "kind": self.kind, "tasks": self.tasks, "cpu_ms": spent}


async def spent_ms(once: Callable[[], Awaitable[Any]], tasks: int, each: int) -> float:
    """CPU of this process, all threads, in ms per call of some tasks in closed loops."""

    async def loop() -> None:
        for _ in range(each):
            await once()

    before = time.process_time()
    await asyncio.gather(*(loop() for _ in range(tasks)))
    await asyncio.sleep(SETTLING_S)
    return (time.process_time() - before) / (tasks * each) * 1000


Round = tuple[float, float]
"""ms of CPU and calls of scripts, per call."""


class Bench:
    """The ways, and who counts: the event loop's runner, and a client of the server."""

    def __init__(self, ways: Ways, runner: asyncio.Runner, client: redis.Redis, *, is_quick: bool) -> None:
        self._ways, self._runner, self._client = ways, runner, client
        self._each = dict.fromkeys(TASKS, 1) if is_quick else TASKS

    def round_of(self, load: Load, way: str) -> Round:
        """Each task makes its calls."""
        self._client.config_resetstat()
        once, each = self._ways.of(load.vendor, load.kind)[way], self._each[load.tasks]
        ms = self._runner.run(spent_ms(once, load.tasks, each))
        scripts = self._client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})
        return ms, scripts["calls"] / (load.tasks * each)

    def idle_ms(self) -> float:
        """CPU of this process per second in which nobody calls: the ticks of the engine's I/O thread."""
        before = time.process_time()
        self._runner.run(asyncio.sleep(IDLE_S))
        return (time.process_time() - before) / IDLE_S * 1000

    def take_turn(self, load: Load, order: Sequence[str]) -> None:
        """A round of each way."""
        for way in order:
            ms, steps = self.round_of(load, way)
            load.spent[way].append(ms)
            if way == "fleet":
                load.steps.append(steps)


def take_turns(bench: Bench, loads: Sequence[Load], turns: int, read: Callable[[], None]) -> list[Figure]:
    """All loads, again and again. The ways of a load follow each other, each turn in another order."""
    idle = list[float]()
    for load in loads:
        for way in WAYS:
            bench.round_of(load, way)  # connections are made
    for order in itertools.islice(itertools.cycle(itertools.permutations(WAYS)), turns):
        for load in loads:
            bench.take_turn(load, order)
        idle.append(bench.idle_ms())
        read()
    figures = [figure for load in loads for figure in load.figures()]
    return [*figures, Figure("llm_fleet while nobody calls, per second", round(median(idle), 3), "ms")]


def measure(url: str, client: redis.Redis, *, is_quick: bool) -> Json:
    """What every load took."""
    loads = [Load(vendor.kind, kind, tasks) for vendor in VENDORS for kind in KINDS for tasks in TASKS]
    with run_simulator(provider_config()) as provider, asyncio.Runner() as runner:
        ways = Ways(provider.url, url)
        runner.run(ways.check())
        gc.collect()
        gc.freeze()  # a full collection of all that was imported falls into some rounds, and not into others
        try:
            with calibration(url, client) as now:
                bench = Bench(ways, runner, client, is_quick=is_quick)
                figures = take_turns(bench, loads, 1 if is_quick else TURNS, now.read)
        finally:
            runner.run(ways.close())
    data = [load.to_json() for load in loads]
    return {"scales": {"overhead": now.scale}, "figures": scaled(figures, now.scale), "data": data}


def run(*, is_quick: bool) -> Json:
    """Measure, on servers of our own."""
    with open_server() as (server, client):
        machine = environment(client)
        found = measure(server.url, client, is_quick=is_quick)
        return {"environment": machine, "is_quick": is_quick, **found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="overhead.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and rough: whether it runs at all")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args(arguments)
    found = run(is_quick=options.quick)
    print(as_json(found) if options.json else as_text(found, SHAPE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
