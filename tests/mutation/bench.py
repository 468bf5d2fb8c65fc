"""The tests that look at a mutant: collected once by pytest, then run in forks, on the mini Redis.

A first run notes which test carries out which statement, and how long it takes; a mutant is shown
only to the tests that reach its place, the likeliest to notice it first, until one does or patience ends.
"""

from __future__ import annotations

import itertools
import os
import pickle
import random
import shutil
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests import pool_rig
from tests.lua_redis import MiniRedis
from tests.mutation.forks import Fork, first_ended, fork
from tests.mutation.install import Recorder, install, instrumented
from tests.mutation.mutants import Mutant

__all__ = ["Bench", "Verdict", "use_mini_redis"]

REAL = {"server", "redis_url", "own_server", "open_store", "simulator", "url"}
PATIENCE_S, PATIENCE, LIMIT_S = 4.0, 12, 240.0
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who noticed a mutant; nobody, when `by` is empty."""

    by: str
    seconds: float
    looked: int


@dataclass(slots=True)
class Record:
    """What is known of a test: its time, what it reaches, and per file how often it looked and noticed."""

    seconds: float
    places: set[Place]
    looked: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    noticed: Counter[str] = field(default_factory=Counter)

    def price(self, file: str) -> float:
        """Seconds per mutant noticed, as far as one can tell."""
        everywhere = self.noticed.total() / (1 + sum(self.looked.values()))
        chance = (self.noticed[file] + everywhere + 0.02) / (self.looked[file] + 1)
        return (self.seconds + 0.002) / chance


def use_mini_redis() -> None:
    """From now on rigs are on the mini Redis, and moving their clock costs nothing."""
    now_us = [0]

    def clock() -> int:
        return now_us[0]

    def timed(rig: pool_rig.Rig, command: Callable[[], Any]) -> Any:
        if rig.is_fake:
            now_us[0], rig.client.clock = rig.time_ms * 1000 + 250, clock
        return command()

    mini = MiniRedis(clock)
    pool_rig.FAKE = mini  # type: ignore[assignment]
    pool_rig.Rig.timed = timed  # type: ignore[method-assign, assignment]


@dataclass(frozen=True, slots=True)
class Shown:
    """A mutant in front of its tests, since `started` (monotonic)."""

    mutant: Mutant
    watchers: list[str]
    started: float = field(default_factory=time.monotonic)


class Bench:
    """A pytest plugin: collects the tests, and gives them to `work` instead of running them."""

    def __init__(self, texts: Mapping[str, str], work: Callable[[Bench], None], patience_s: float) -> None:
        self.texts, self._work, self._patience_s = texts, work, patience_s
        self._items: dict[str, pytest.Item] = {}
        self._base = tempfile.TemporaryDirectory(prefix="lua-mutants-")
        self.records: dict[str, Record] = {}

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not _is_real(item)]

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        self._items = {item.nodeid: item for item in session.items}
        self._work(self)
        return True

    # -- the first run ---------------------------------------------------------------------------

    def get_to_know(self, workers: int) -> list[str]:
        """Run every test once, so many at a time, and note what it reaches; gives those that fail."""
        found: dict[str, tuple[bool, float, set[Place]]] = {}
        for child in [fork(partial(self._reach, first, workers)) for first in range(workers)]:
            said = child.read()
            os.waitpid(child.pid, 0)
            found.update(pickle.loads(said))
        self.records = {
            name: Record(seconds, places) for name, (fails, seconds, places) in found.items() if not fails
        }
        return [name for name, (fails, *_) in found.items() if fails]

    def _reach(self, first: int, step: int, say: Callable[[bytes], None]) -> None:
        recorder, found = Recorder(), dict[str, tuple[bool, float, set[Place]]]()
        texts = {file: instrumented(file, text, recorder.number) for file, text in self.texts.items()}
        install(texts, texts, self._folder())
        for name in list(self._items)[first::step]:
            recorder.take()
            started = time.process_time()
            fails = _fails(self._items[name])
            found[name] = fails, time.process_time() - started, recorder.take()
        say(pickle.dumps(found))

    def _folder(self) -> Path:
        return Path(self._base.name) / str(os.getpid())

    def remember(self, file: str, by: str) -> None:
        """An earlier run has seen this test notice a mutant of this file, or all tests miss one."""
        for name, record in self.records.items():
            record.looked[file] += 0.5 if name != by else 1
        if by in self.records:
            self.records[by].noticed[file] += 1

    # -- mutants ---------------------------------------------------------------------------------

    def watchers(self, mutant: Mutant) -> list[str]:
        """The tests that reach it, the likeliest to notice it soon first: as many as the patience lasts."""
        place, records = (mutant.file, mutant.place), self.records
        reach = [name for name, record in records.items() if place in record.places]
        reach.sort(key=lambda name: records[name].price(mutant.file))
        ends = itertools.accumulate(records[name].seconds for name in reach)
        return [
            name
            for name, end in zip(reach, ends, strict=True)
            if end <= max(self._patience_s, records[reach[0]].seconds)
        ]

    def show(self, mutants: Iterable[Mutant], workers: int) -> Iterator[tuple[Mutant, Verdict]]:
        """Show each mutant to its tests, so many mutants at a time; gives the verdicts as they come."""
        running: dict[Fork, Shown] = {}
        todo = iter(mutants)
        while True:
            while len(running) < workers and (mutant := next(todo, None)) is not None:
                shown = Shown(mutant, self.watchers(mutant))
                running[fork(partial(self._look, shown))] = shown
            if not running:
                return
            ends = {child.pid: shown.started + LIMIT_S for child, shown in running.items()}
            child, status = first_ended(running, ends)
            shown = running.pop(child)
            shutil.rmtree(Path(self._base.name) / str(child.pid), ignore_errors=True)
            yield shown.mutant, self._judge(shown, status, child.read())

    def _look(self, shown: Shown, say: Callable[[bytes], None]) -> None:
        mutant = shown.mutant
        texts = {**self.texts, mutant.file: mutant.apply(self.texts[mutant.file])}
        install(texts, [mutant.file], self._folder())
        for name in shown.watchers:
            say(b".")
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_S + PATIENCE * self.records[name].seconds)
            if _fails(self._items[name]):
                say(b"!")
                return
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _judge(self, shown: Shown, status: int, said: bytes) -> Verdict:
        mutant, looked, seconds = shown.mutant, said.count(b"."), time.monotonic() - shown.started
        for name in shown.watchers[:looked]:
            self.records[name].looked[mutant.file] += 1
        if status == 0 and b"!" not in said:
            return Verdict("", seconds, looked)
        by = shown.watchers[looked - 1] if looked else "loading it"
        if looked:
            self.records[by].noticed[mutant.file] += 1
        return Verdict(by if status == 0 else f"{by} (ended by {status})", seconds, looked)


def _is_real(item: pytest.Item) -> bool:
    """Whether a test needs a real server, process or provider."""
    callspec = getattr(item, "callspec", None)
    return bool(REAL & set(getattr(item, "fixturenames", ()))) or "real" in (
        callspec.params.values() if callspec else ()
    )


def _fails(item: pytest.Item) -> bool:
    random.seed(0)
    reports = runtestprotocol(item, nextitem=None, log=False)
    return any(report.failed for report in reports)
