"""Processes of their own that carry out jobs at the same time; and what a bare call costs them, now."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from .engine_rig import BARE
from .engine_scale import Scale

__all__ = ["PROCESSES", "TASKS", "Calibration", "Worker", "all_do", "calibration", "crew"]

Json = dict[str, Any]
ROOT = Path(__file__).parent.parent
PROCESSES, TASKS = 2, 32
READING_S = 0.12


class Worker:
    """A process that carries out jobs."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "benchmarks.engine_worker", url]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def begin(self, do: str, **job: Any) -> None:
        """Give it a job."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **job}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Json:
        """What came of the job."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a worker of the benchmark died; its own words are above")
        found: Json = json.loads(line)
        return found

    def stop(self) -> None:
        self._process.communicate(timeout=10)


@contextmanager
def crew(url: str, count: int) -> Iterator[list[Worker]]:
    """So many workers."""
    workers = [Worker(url) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def all_do(workers: Sequence[Worker], do: str, **job: Any) -> list[Json]:
    """The same job for all at once; what came of it."""
    for worker in workers:
        worker.begin(do, **job)
    return [worker.answer() for worker in workers]


class Calibration:
    """Takes readings of a bare `EVALSHA`, in the shape in which `speed` measures it."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers, self._readings = workers, list[float]()

    def read(self) -> None:
        """One reading, a fraction of a second of both cores."""
        answers = all_do(self._workers, "evalsha", seconds=READING_S, tasks=TASKS)
        cpu_s, calls = (sum(answer[name] for answer in answers) for name in ("cpu_s", "count"))
        self._readings.append(round(cpu_s / calls * 1e6, 1))

    @property
    def scale(self) -> Scale:
        return Scale(tuple(self._readings))


@contextmanager
def calibration(url: str, client: redis.Redis) -> Iterator[Calibration]:
    """Readings for the figures measured inside; the first is taken now, and one at the end."""
    client.script_load(BARE)
    with crew(url, PROCESSES) as workers:
        Calibration(workers).read()  # connections are made
        found = Calibration(workers)
        found.read()
        yield found
        found.read()
