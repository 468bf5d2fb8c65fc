"""Rank and number of those who take part, against a plain model, through joins, leaves, deaths, stops and comebacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket
from tests.oracle_stories import MODEST
from tests.pool_rig import beat, leave, mini_rig, pool_of

LIMITS = pool_of(Bucket("requests", 600, jitter_ms=0))
TTL_MS, THIRD_MS = 15_000, 5_000
FORGOTTEN_MS = 60_000
LOOKED_AT = 8
NAMES = ["0a", "7f3", "B", "a", "a-", "a-1", "aa", "b", "c0", "c1", "c2", "d", "e", "f"]


@dataclass(slots=True)
class Model:
    """Who takes part, as lua/lib/shares says: sorted names, and when each has called last by two clocks."""

    now: int = 0
    lease: int = 0
    presence: int = 0
    members: set[str] = field(default_factory=set)
    calls: dict[str, tuple[int, int]] = field(default_factory=dict)

    def call(self, name: str, now: int) -> None:
        passed = now - self.now if self.now else 0
        self.now = now
        self.lease += min(passed, THIRD_MS)
        self.presence += min(passed, 1_000)
        self.calls[name] = self.lease, self.presence

    def register(self, name: str, now: int) -> None:
        self.call(name, now)
        self.members.add(name)
        for other, (_, seen) in list(self.calls.items()):
            if self.presence - seen > FORGOTTEN_MS:
                self.forget(other)

    def forget(self, name: str) -> None:
        self.members.discard(name)
        self.calls.pop(name, None)

    def ask(self, name: str, now: int) -> list[object]:
        """It is in again, and takes out the dead right behind itself."""
        self.call(name, now)
        self.members.add(name)
        order = sorted(self.members)
        at = order.index(name)
        for other in (order[at + 1 :] + order[:at])[:LOOKED_AT]:
            if other in self.calls and self.lease - self.calls[other][0] <= TTL_MS:
                break
            self.members.discard(other)
        return [len(self.members), sorted(self.members).index(name), {}]


class Fleet:
    """A rig and its model; who is running beats, who is stopped does nothing, who is not known may join."""

    def __init__(self) -> None:
        self.rig, self.model = mini_rig(LIMITS, "0a"), Model()
        self.model.register("0a", self.rig.time_ms)
        self.running = {"0a"}

    def join(self, name: str) -> None:
        """It registers, for the first time or again."""
        self.rig.register(name, LIMITS)
        self.model.register(name, self.rig.time_ms)
        self.running.add(name)

    def stop(self, name: str) -> None:
        """Killed or stopped: nobody can tell, until it comes back or not."""
        self.running.discard(name)

    def ask(self, name: str) -> list[object] | None:
        """A heartbeat that asks; one that was forgotten has to register."""
        answer = self.rig.step(name, beat(asks=True))
        assert (answer is not None) == (name in self.model.calls)
        if answer is None:
            self.join(name)
            return self.ask(name)
        self.running.add(name)
        assert answer.result[3] == self.model.ask(name, self.rig.time_ms)
        return list(answer.result[3])

    def beat(self, name: str) -> None:
        """One that does not ask: whoever was taken out stays out."""
        self.rig.taken(name, beat())
        self.model.call(name, self.rig.time_ms)

    def leave(self, name: str) -> None:
        """It says that it goes."""
        self.rig.taken(name, leave())
        self.model.call(name, self.rig.time_ms)
        self.model.forget(name)
        self.running.discard(name)

    def pass_time(self, ms: int, random: Random) -> None:
        """So long, while all that run ask in any order, every third of a TTL at least."""
        while ms > 0:
            self.rig.advance(min(ms, THIRD_MS))
            ms -= THIRD_MS
            for name in random.sample(sorted(self.running), len(self.running)):
                self.ask(name)

    def members(self) -> list[str]:
        """Who is written down."""
        index = self.rig.client.zrange(self.rig.keys.all()[2], 0, -1)
        return sorted(name[2:] for name in index if name.startswith("n|"))


HAPPENINGS = st.tuples(
    st.sampled_from(
        ("join", "join", "stop", "stop", "ask", "beat", "back", "leave", "time", "time", "long", "sleep")
    ),
    st.sampled_from(NAMES),
    st.integers(0, 20_000),
)


def happen(fleet: Fleet, kind: str, name: str, ms: int) -> None:
    """One thing happens, to this process or to one that it can happen to."""
    running = sorted(fleet.running - {"0a"})
    other = running[ms % len(running)] if running else ""
    match kind:
        case "join":
            fleet.join(name)
        case "stop" if other:
            fleet.stop(other)
        case "leave" if other:
            fleet.leave(other)
        case "beat" if other:
            fleet.beat(other)
        case "ask" if other:
            fleet.ask(other)
        case "back" if name in fleet.rig.members:
            fleet.ask(name)
        case "time":
            fleet.pass_time(ms, Random(ms))
        case "long":
            fleet.pass_time(70_000, Random(ms))
        case "sleep":  # all stand still, or the clock jumps
            fleet.rig.advance(100 * ms)
            fleet.ask("0a")


@settings(MODEST, max_examples=60)
@given(st.lists(HAPPENINGS, min_size=10, max_size=60))
def test_rank_and_number_are_the_models_in_any_story(story: list[tuple[str, str, int]]) -> None:
    """Whoever asks is told what the model says, after any calls of anybody, and the same members are written."""
    fleet = Fleet()
    for happening in story:
        happen(fleet, *happening)
        assert fleet.members() == sorted(fleet.model.members)


@settings(MODEST, max_examples=30)
@given(st.lists(HAPPENINGS, min_size=10, max_size=40))
def test_shares_fit_together_once_all_have_asked(story: list[tuple[str, str, int]]) -> None:
    """After a TTL and two thirds all that run are told one number, their own, and each another place."""
    fleet = Fleet()
    for happening in story:
        happen(fleet, *happening)
    fleet.pass_time(TTL_MS + 2 * THIRD_MS, Random(1))
    told = [fleet.ask(name) for name in sorted(fleet.running)]
    assert told == [[len(told), place, {}] for place in range(len(told))]


@pytest.mark.parametrize("seed", range(6))
def test_dead_are_counted_for_a_bounded_time(seed: int) -> None:
    """However many of forty are killed at once: one TTL and a third later, a third more for each eight in a row."""
    random = Random(seed)
    fleet = Fleet()
    names = [f"p{i:02}" for i in range(40)]
    for name in names:
        fleet.join(name)
    fleet.pass_time(THIRD_MS, random)
    for name in random.sample(names, random.choice((1, 8, 20, 39))):
        fleet.stop(name)
    row = longest_row(sorted(fleet.rig.members), fleet.running)
    fleet.pass_time(TTL_MS + THIRD_MS * (1 + (max(row, 1) - 1) // LOOKED_AT), random)
    assert fleet.members() == sorted(fleet.running)


def longest_row(order: list[str], running: set[str]) -> int:
    """The most in a row, the first behind the last, who do not run."""
    flags = "".join("r" if name in running else "d" for name in order * 2)
    return min(len(order), max(map(len, flags.split("r"))))
