"""The longest step while what a dead process had queued is dropped, of one tenant and of many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from .engine_crew import Calibration, calibration
from .engine_report import Figure, Section, scaled
from .engine_rig import PROCESS, ScriptPool, empty, per_step_us, pool_limits

__all__ = ["Death", "longest_us", "measure_dropping"]

DEATHS = 3
BEAT_S = 1.0
LONGEST_PAUSE_MS = 250
ROUNDS_PER_READING = 50
PATIENCE_S = 120.0
Step = tuple[int, float]
"""Tickets that waited before it, and what it cost, in µs."""


def longest_us(deaths: Iterable[Sequence[Step]]) -> float:
    """The longest step of deaths that are alike, without what ran beside one of them.

    A death passes through the same lengths of the queue as the next one. Of each length its longest step
    counts; of the same length in several deaths the shortest; of all lengths the longest.
    """
    at_length: dict[int, float] = {}
    for steps in deaths:
        longest: dict[int, float] = {}
        for waiting, us in steps:
            longest[waiting] = max(us, longest.get(waiting, 0.0))
        for waiting, us in longest.items():
            at_length[waiting] = min(us, at_length.get(waiting, us))
    return max(at_length.values())


class Death:
    """A pool in which a process with so many queued tickets is gone, and another one lives."""

    def __init__(self, client: redis.Redis, name: str, count: int, tenants: int = 1) -> None:
        self._pool = ScriptPool(client, pool_limits(slots=1, name=name), PROCESS, "dead")
        self._pool.step(self._pool.enqueues(4))
        self._pool.queue_up(count, "dead", tenants=tenants)
        self._beaten = time.monotonic()
        self.waiting, self.steps = count, list[Step]()

    def step(self) -> int:
        """What a living process does that is told when to call, and beats; ms until it should call again."""
        is_due = time.monotonic() >= self._beaten + BEAT_S
        self._beaten = time.monotonic() if is_due else self._beaten
        spent, answer = per_step_us(self._pool, [["h", []]] if is_due else [])
        self.steps.append((self.waiting, spent))
        self.waiting = self._pool.waiting()
        return min([LONGEST_PAUSE_MS, *(wake[2] for wake in answer.wakes)])


def drop_all(deaths: Sequence[Death], read: Callable[[], None]) -> None:
    """Step in each pool in turns, until nothing of the dead waits; now and then a reading."""
    until, rounds = time.monotonic() + PATIENCE_S, 0
    while pending := [death for death in deaths if death.waiting]:
        assert time.monotonic() < until, "a dead process kept its tickets"
        pause_ms = min(death.step() for death in pending)
        rounds += 1
        if rounds % ROUNDS_PER_READING == 0:
            read()
        time.sleep(pause_ms / 1000)


Found = tuple[list[Figure], dict[str, float]]


def measure_deaths(deaths: Sequence[Death], what: str, now: Calibration) -> Found:
    """Processes that died alike: the longest step while what they had queued is dropped."""
    began = time.monotonic()
    drop_all(deaths, now.read)
    seconds = round(time.monotonic() - began, 1)
    worst, steps = round(longest_us(death.steps for death in deaths) / 1000, 2), len(deaths[0].steps)
    figures = [
        Figure(f"longest step while {what} go", worst, "ms", ("≤", 5)),
        Figure(f"steps in which {what} go", steps),
        Figure(f"seconds from the death to the last of {what}", seconds, "s"),
    ]
    return figures, {"steps": steps, "worst_ms": worst, "seconds": seconds}


def measure_dropping(url: str, client: redis.Redis, *, is_quick: bool) -> Section:
    """Processes with many queued tickets each are gone: the longest step while these are dropped."""
    count, tenants, number = (2_000, 100, 1) if is_quick else (50_000, 500, DEATHS)
    figures, data = list[Figure](), dict[str, Any]()
    with calibration(url, client) as now:
        for name, of, whose in (
            ("dropping", 1, ""),
            ("dropping_tenants", tenants, f" of {tenants} tenants"),
        ):
            empty(client)
            deaths = [Death(client, f"p{i}", count, of) for i in range(number)]
            found, data[name] = measure_deaths(deaths, f"{count:,} tickets{whose} of a dead process", now)
            figures += found
    return Section(scaled(figures, now.scale), data, now.scale)
