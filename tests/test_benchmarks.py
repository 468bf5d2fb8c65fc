"""The benchmark's arithmetic: from a provider's books to figures and verdicts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from benchmarks.harness import Death, Outcome
from benchmarks.plan import SCENARIOS, Plan
from benchmarks.redis_load import RedisLoad, commands_of_scripts
from benchmarks.report import figures_of, percentiles
from benchmarks.targets import targets_of

ONE = Plan(processes=1, tasks=1, keys=2, rpm=60, itpm=0, burst=10.0, seconds=50.0)


def row(
    t: float, account: int = 1, *, length: float = 1.0, output: int = 0, ticket: str = ""
) -> dict[str, Any]:
    return {
        "t": t,
        "ended_t": t + length,
        "status": 200,
        "account": f"account-{account}",
        "input_tokens": 10,
        "output_tokens": output,
        "max_output_tokens": 100,
        "ticket": ticket or f"{account}-{t}",
        "fence": f"{account}-{t}",
    }


def outcome(
    plan: Plan, *rows: dict[str, Any], death: Death | None = None, wall_s: float = 50.0, until: float = 50.0
) -> Outcome:
    """A run with these books, one worker, and 30 commands: 20 steps, 10 by scripts."""
    worker: dict[str, Any] = {
        "answered": len(rows),
        "unserved": 0,
        "latencies": [],
        "waits": [],
        "failures": {},
    }
    worker |= {"example": "", "cpu_s": 1.0, "user_loop_cpu_s": 0.5}
    accounts = {account: {"peak_concurrency": 1} for account in plan.accounts}
    books = {"requests": list(rows), "accounts": accounts}
    load = RedisLoad(Counter(evalsha=20, blpop=5, hget=10), 0.1)
    return Outcome(plan, until, "a Redis", books, [worker], load, wall_s, death)


def test_use_is_of_the_whole_run_and_of_all_accounts():
    """An account that was never used, and the time after the last call, count as permitted."""
    use = figures_of(outcome(ONE, row(0), row(1), row(2)))["use"]["requests"]
    assert use == {"used": 3, "permitted": 120, "percent": 2.5}


def test_output_counts_as_it_is_produced():
    """A call that is half over at the end has used half of its output by then."""
    plan = Plan(keys=1, rpm=0, itpm=0, otpm=600, burst=10.0, seconds=50.0)
    figures = figures_of(outcome(plan, row(0, output=100), row(49, length=2, output=100)))
    assert figures["use"]["output_tokens"] == {"used": 150, "permitted": 600, "percent": 25.0}


def test_the_ideal_is_what_exceeds_the_buckets_and_the_last_call():
    """30 calls on 2 buckets of 10 that refill twice a second in all: 5 s, and the last call's length."""
    plan = Plan(keys=2, rpm=60, itpm=0, burst=10.0, calls=30)
    rows = [row(n / 10, 1 + n % 2, length=1.5) for n in range(30)]
    assert figures_of(outcome(plan, *rows))["ideal_s"] == 6.5


@pytest.mark.parametrize(("times", "gap_s"), [((0, 5, 6, 8, 9), 2), ((0, 5, 8, 9), 2.5), ((0, 5), 4.5)])
def test_gaps_count_from_the_kill_to_the_end(times, gap_s):
    """What the provider did not accept before it is not its fault; a fleet that never goes on has the largest."""
    figures = figures_of(outcome(ONE, *map(row, times), death=Death(5.5, 1, 14.0, 0), until=10.0))
    assert (figures["largest_gap_s"], figures["slots_back_s"]) == (gap_s, 14.0)


def test_marks_that_are_missing_or_seen_twice_are_counted():
    """A ticket that two requests carry was granted twice; none at all cannot be told from that."""
    figures = figures_of(outcome(ONE, row(0, ticket="a"), row(1, ticket="a"), row(2)))
    assert (figures["doubled_tickets"], figures["doubled_fences"]) == (1, 0)


def test_commands_of_scripts_are_not_commands_of_clients():
    """Steps and pops are the clients', what scripts call is told apart by its name."""
    assert {"hget", "zadd", "time"} <= commands_of_scripts()
    assert {"evalsha", "blpop", "auth", "ping"} & commands_of_scripts() == set()
    figures = figures_of(outcome(ONE, *(row(n) for n in range(10))))
    assert (figures["steps_per_request"], figures["commands_per_request"]) == (2.0, 2.5)
    assert figures["commands_in_scripts_per_request"] == 1.0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_targets_of_its_own(scenario):
    """Beside no 429, no failure and no double, which a run without a call misses none of."""
    plan = SCENARIOS[scenario]
    plan = Plan(**{**plan.described(), "scenario": scenario})
    targets = targets_of(plan, figures_of(outcome(plan, death=Death(0, 0, 20.0, 0))))
    assert len(targets) > 3
    assert not all(target.is_met for target in targets)


def test_percentiles_need_values():
    """The smallest value that so many are not above; of none there is none."""
    assert percentiles([]) == {}
    assert percentiles(range(1, 101)) == {"p50": 50, "p95": 95, "p99": 99}
