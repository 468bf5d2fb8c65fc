"""Invariant 14 of ENGINE.md §7: nobody is granted a paused account."""

from __future__ import annotations

from collections import Counter
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
