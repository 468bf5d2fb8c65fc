"""The pool scripts against the oracle: any sequence of calls, and everything must agree."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.values import PoolLimits
from tests.busy_stories import busy_pool, busy_story, play_busily
from tests.lua_redis import MiniRedis
from tests.oracle_pair import Pair
from tests.oracle_stories import CALLS, MODEST, Act, acts, members, perform, pools
from tests.pool_rig import Rig, real_server


class PoolMachine(RuleBasedStateMachine):
    """Each rule is a call that two processes make to a pool, or time that passes."""

    @initialize(pool=pools(), fewer=st.booleans())
    def open(self, pool: PoolLimits, fewer: bool) -> None:
        self.pair = Pair(Rig(MiniRedis()), members(pool, fewer))

    @rule(act=acts("enqueue", "enqueue", "enqueue now", "batch"))
    def ask(self, act: Act) -> None:
        perform(self.pair, act)

    @rule(act=acts("settle", "settle unknown", "cancel", "throttle"))
    def end(self, act: Act) -> None:
        perform(self.pair, act)

    @rule(act=acts("beat", "again", "switch"))
    def remind(self, act: Act) -> None:
        perform(self.pair, act)

    @rule(act=acts("advance", "wake", "quiet"))
    def wait(self, act: Act) -> None:
        perform(self.pair, act)

    @invariant()
    def overview_agrees(self) -> None:
        if hasattr(self, "pair"):
            self.pair.compare_overview()


def test_2_oracle_agrees_after_any_sequence_of_calls() -> None:
    """The scripts' levels, holds, leases, grants, keys and wakes equal the oracle's after any calls."""
    run_state_machine_as_test(PoolMachine, settings=settings(MODEST, max_examples=16, stateful_step_count=35))


@settings(MODEST, max_examples=20)
@given(pools(), st.booleans(), st.lists(acts(), min_size=15, max_size=50))
def test_2_oracle_agrees_with_whole_stories(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """They equal the oracle's through long stories too, in which keys go out of service and leases expire."""
    pair = Pair(Rig(MiniRedis()), members(pool, fewer))
    for act in story:
        perform(pair, act)
    pair.compare_overview()


@pytest.mark.parametrize("seed", range(10))
def test_2_oracle_agrees_where_much_waits(seed: int) -> None:
    """They equal it where tenants wait in all bands, park, are backfilled, and wait longer than the aging time."""
    random = Random(seed)
    pair = Pair(Rig(MiniRedis()), members(busy_pool(random), random.random() < 0.3))
    for act in busy_story(random, 120):
        play_busily(pair, random, act)
        pair.compare_overview()


@pytest.fixture(scope="module")
def url(server: PrivateServer) -> str:
    """A real server that all examples of a test share."""
    return server.url


@settings(MODEST, max_examples=25)
@given(pools(fastness=1_000), st.booleans(), st.lists(acts(*CALLS, "nap"), min_size=20, max_size=60))
def test_2_oracle_agrees_on_a_real_server(url: str, pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """On a real server, where time is real and limits refill within milliseconds, they equal it as well."""
    with real_server(url) as rig:
        pair = Pair(rig, members(pool, fewer), ttl_s=0.03)
        for act in story:
            perform(pair, act)
        pair.compare_overview()
