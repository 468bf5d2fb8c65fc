"""The engine under load from processes of their own: speed, client CPU, wake-ups, a burst of a day."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median, quantiles

import redis

from .engine_crew import PROCESSES, TASKS, Worker, all_do, crew
from .engine_report import Figure, Section
from .engine_rig import ScriptPool, cpu_us, empty, pool_limits, script_us, settle
from .engine_worker import LIST

__all__ = ["measure_day", "measure_speed", "measure_waking"]

LOADS = {"evalsha": 1.0, "life": 1.0, "ping": 1.0, "acquire": 0.3}
"""Loads, and the part of a turn that each gets: leases that are not settled pile up."""
BURST, DAILY = 2_000, 100
PAUSE_S = 0.002
UNTIL_BLOCKED_S = 0.02
PATIENCE_S = 10.0


Turn = tuple[float, float, float]
"""Per second of all processes together; client CPU and Redis CPU of each, in µs."""


def turn(client: redis.Redis, workers: Sequence[Worker], name: str, seconds: float) -> Turn:
    """Some seconds of one load."""
    spent_us = cpu_us(client)
    answers = all_do(workers, name, seconds=seconds, tasks=TASKS)
    spent_us = cpu_us(client) - spent_us
    count = sum(answer["count"] for answer in answers)
    cpu_s = sum(answer["cpu_s"] for answer in answers)
    return count / max(answer["seconds"] for answer in answers), cpu_s / count * 1e6, spent_us / count


def steps_per_life(client: redis.Redis, workers: Sequence[Worker], tasks: int, seconds: float) -> float:
    """Calls of the script per life."""
    client.config_resetstat()
    answers = all_do(workers, "life", seconds=seconds, tasks=tasks)
    calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    return round(calls / sum(answer["count"] for answer in answers), 3)


def measure_speed(url: str, client: redis.Redis, *, is_quick: bool) -> Section:
    """Lives and acquires per second against bare calls of redis-py, in turns of the same run."""
    turns, seconds = (2, 0.2) if is_quick else (7, 1.0)
    found: dict[str, list[Turn]] = {name: [] for name in LOADS}
    empty(client)
    with crew(url, PROCESSES) as workers:
        all_do(workers, "open", limits={})
        for name in LOADS:
            all_do(workers, name, seconds=seconds / 4, tasks=TASKS)
        for _ in range(turns):
            for name, part in LOADS.items():
                found[name].append(turn(client, workers, name, seconds * part))
        together = steps_per_life(client, workers, TASKS, seconds)
        alone = steps_per_life(client, workers[:1], 1, seconds)
        all_do(workers, "close")
    figures = speed_figures(found)
    figures.append(Figure("steps per life, 2 processes x 32 tasks", together, "", ("≤", 2.0)))
    figures.append(Figure("steps per life, one task alone", alone, "", ("≤", 2.0)))
    return Section(
        figures, {"speed": {name: [round(rate) for rate, *_ in each] for name, each in found.items()}}
    )


def speed_figures(found: dict[str, list[Turn]]) -> list[Figure]:
    """Medians, and medians of the ratios of each turn."""

    def ratio(name: str, at: int) -> float:
        pairs = zip(found[name], found["evalsha"], strict=True)
        return round(median(mine[at] / bare[at] for mine, bare in pairs), 2)

    def middle(name: str, at: int) -> float:
        return round(median(figures[at] for figures in found[name]))

    return [
        Figure("lives/s, 2 processes x 32 tasks", middle("life", 0), "/s"),
        Figure("acquires/s (without settle)", middle("acquire", 0), "/s"),
        Figure("bare redis-py `EVALSHA return 1`/s", middle("evalsha", 0), "/s"),
        Figure("bare redis-py PING/s", middle("ping", 0), "/s"),
        Figure("lives/s against bare EVALSHA/s", ratio("life", 0), "x", ("≥", 0.8)),
        Figure("acquires/s against bare EVALSHA/s", ratio("acquire", 0), "x"),
        Figure("client CPU per life", middle("life", 1), "µs"),
        Figure("client CPU per bare EVALSHA call", middle("evalsha", 1), "µs"),
        Figure("Redis CPU per life under this load (INFO CPU)", middle("life", 2), "µs"),
        Figure("Redis CPU per bare EVALSHA call (INFO CPU)", middle("evalsha", 2), "µs"),
        Figure("client CPU per life against one bare EVALSHA", ratio("life", 1), "x", ("≤", 1.0)),
    ]


class Slot:
    """The only slot of a pool, which this process takes and gives."""

    def __init__(self, client: redis.Redis) -> None:
        empty(client)
        self._pool = ScriptPool(client, pool_limits(1, slots=1))

    def take(self) -> str:
        """Wait for the slot; gives the lease's id."""
        asked = self._pool.enqueues(1)
        if self._pool.step(asked).results[0][0] == "q":
            self._pool.client.blpop([self._pool.keys.mailbox("bench")], timeout=5)
        return str(asked[0][1])

    def wait_for_queue(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while not self._pool.waiting():
            assert time.monotonic() < until, "nobody queues for the slot"
            time.sleep(PAUSE_S)

    def give(self, lease: str) -> float:
        """Give it to who waits; when that began."""
        at = time.monotonic()
        answer = self._pool.step([settle(lease)])
        assert answer.results[0] == ["s", "s"], answer
        return at


def wake_up(slot: Slot, worker: Worker) -> float:
    """Seconds from a step whose pump pushes a grant to the task that had waited for it."""
    lease = slot.take()
    worker.begin("grant")
    slot.wait_for_queue()
    time.sleep(PAUSE_S)
    began = slot.give(lease)
    return float(worker.answer()["at"]) - began


def bare_pop(client: redis.Redis, worker: Worker) -> float:
    """Seconds from an LPUSH to the task that had waited in BLPOP."""
    worker.begin("pop")
    time.sleep(UNTIL_BLOCKED_S)
    began = time.monotonic()
    client.lpush(LIST, "x")
    return float(worker.answer()["at"]) - began


def measure_waking(url: str, client: redis.Redis, *, is_quick: bool) -> Section:
    """From the push to the waiting task, in turns with a bare LPUSH → BLPOP of redis-py."""
    turns, slot = 20 if is_quick else 300, Slot(client)
    with crew(url, 1) as (worker,):
        all_do([worker], "open", limits={"keys": 1, "slots": 1})
        wake_up(slot, worker)
        client.config_resetstat()
        pairs = [(wake_up(slot, worker), bare_pop(client, worker)) for _ in range(turns)]
        step_us = script_us(client) / client.info("commandstats")["cmdstat_evalsha"]["calls"]
        all_do([worker], "close")
    ours, bare = ([round(pair[i] * 1e6) for pair in pairs] for i in range(2))
    after_push = max(0.0, median(ours) - step_us)
    return Section(
        [
            Figure("wake-up, p50, with the whole step that pushes", median(ours), "µs"),
            Figure("wake-up, p95, with the whole step that pushes", quantiles(ours, n=20)[18], "µs"),
            Figure("bare LPUSH → BLPOP, p50", median(bare), "µs"),
            Figure("bare LPUSH → BLPOP, p95", quantiles(bare, n=20)[18], "µs"),
            Figure("Redis CPU of such a step", round(step_us), "µs"),
            Figure(
                "wake-up after the push against bare, p50", round(after_push / median(bare), 2), "x", ("≤", 2)
            ),
        ],
        {"waking": {"ours_us": sorted(ours), "bare_us": sorted(bare), "step_us": round(step_us, 1)}},
    )


def measure_day(url: str, client: redis.Redis, *, is_quick: bool) -> Section:
    """A limit of a day, jitter 0, and a burst far above it from four processes that do not wait."""
    processes, count = (2, 200) if is_quick else (4, BURST)
    empty(client)
    with crew(url, processes) as workers:
        all_do(workers, "open", limits={"day": True})
        answers = all_do(workers, "burst", count=count // processes)
        all_do(workers, "close")
    granted = sum(answer["granted"] for answer in answers)
    name = f"granted of a burst of {count:,} from {processes} processes, {DAILY} requests a day"
    return Section([Figure(name, granted, "", ("=", DAILY))])
