"""Invariant 14 of ENGINE.md §7: nobody is granted a paused account; one cut per cohort of 429s."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import PoolLimits
from tests.lua_redis import MiniRedis
from tests.oracle_books import Books
from tests.oracle_stories import CALLS, MODEST, Act, acts, members, play, pools
from tests.oracle_tickets import Said
from tests.pool_rig import Rig, Wire

FOREVER_S = 100_000.0
Place = tuple[str, int, str, int]
"""A limit: account, code of the resource, lane, ms of a tick."""
STORY = st.lists(acts(*CALLS, "throttle", "throttle", "wake", "advance"), min_size=15, max_size=40)


class Paused(Books):
    """Books that look, after each step, at who was granted an account before its pause was over."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.until: Counter[str] = Counter()
        self.early: list[str] = []
        super().__init__(*arguments, **options)

    def step(self, process: str, *operations: Wire) -> Said:
        """A step; its pauses count from its own grants on."""
        owners, seen = dict(self.members["A"].keys), len(self.grants)
        ended = {wire[1]: wire[4] for wire in operations if wire[0] == "s" and wire[4] >= 0}
        paused = [(owners[self.leases[id].key], ms) for id, ms in ended.items() if id in self.leases]
        said = super().step(process, *operations)
        for domains, ms in paused:
            for domain in domains:
                self.until[domain] = max(self.until[domain], self.now + ms)
        for held in self.grants[seen:]:
            self.early += [held.id for domain in owners[held.key] if self.until[domain] > self.now]
        return said


@settings(MODEST, max_examples=40)
@given(pools(), st.booleans(), STORY)
def test_14_pause_lets_nobody_through(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """Before a pause is over no key of its account is granted, in any lane, band, tenant or process."""
    books = Paused(Rig(MiniRedis()), members(pool, fewer), FOREVER_S)
    play(books, story)
    assert books.early == []


class Cut(Books):
    """Books that look, after each step, which limits were cut, and whether a 429 in it may have done so."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.cut_at: Counter[Place] = Counter()  # the fence of the last cut
        self.wrong: list[str] = []
        super().__init__(*arguments, **options)

    def step(self, process: str, *operations: Wire) -> Said:
        """A step; what it may cut is what a 429 names that was granted after the last cut."""
        owners, before, fence = dict(self.members["A"].keys), self._rates(), self.rig.snapshot()["fence"]
        named = defaultdict[tuple[str, int], list[int]](list)
        for kind, id, *rest in operations:
            if kind == "s" and rest[2] >= 0 and id in self.leases:
                for domain in owners[self.leases[id].key]:
                    named[domain, rest[3]].append(self.leases[id].fence)
        said = super().step(process, *operations)
        for place, rate in self._rates().items():
            if rate < before[place]:
                is_late = any(
                    granted > self.cut_at[place] for granted in named[place[:2]] + named[place[0], 0]
                )
                if not is_late or rate < before[place] - -(-before[place] // 8):
                    self.wrong.append(f"{place}: {before[place]} -> {rate} by {named}, cut at {self.cut_at[place]}")
                self.cut_at[place] = fence
        return said

    def _rates(self) -> dict[Place, int]:
        """What each limit refills in a period."""
        return {
            (name, bucket["resource"], lane, bucket["tick_ms"]): bucket.get("cut", bucket["limit"])
            for name, domain in self.rig.snapshot()["domains"].items()
            for lane, buckets in domain["lanes"].items()
            for bucket in buckets or ()
        }


@settings(MODEST, max_examples=40)
@given(pools(), st.booleans(), STORY)
def test_14_pause_cuts_once_per_cohort_of_429s(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """A limit is cut by an eighth at most, only by a 429 that names it, and not by what was granted before the last cut."""
    books = Cut(Rig(MiniRedis()), members(pool, fewer), FOREVER_S)
    play(books, story)
    assert books.wrong == []
