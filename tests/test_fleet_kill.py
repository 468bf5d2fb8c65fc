"""kill -9 of a process in full load, judged by the provider's books."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.harness import run_fleet
from benchmarks.plan import Plan
from benchmarks.report import figures_of
from benchmarks.targets import NOTICED_S

TTL_S = 2.0
pytestmark = pytest.mark.load

LOADED = Plan(processes=3, tasks=12, keys=2, itpm=0, burst=3.0, seconds=5.0, kill_after=1.5, ttl=TTL_S)


def providers(always: str, other: str) -> pytest.MarkDecorator:
    """Against one provider in every run, against the other with `-m "load and slow"`."""
    return pytest.mark.parametrize("provider", [always, pytest.param(other, marks=pytest.mark.slow)])


def kill_one(plan: Plan, provider: str, redis_url: str):
    """Run the plan; the survivors saw no refusal and no failure, and nothing was granted twice."""
    outcome = run_fleet(replace(plan, server=provider), redis_url)
    figures = figures_of(outcome)
    assert outcome.death is not None
    assert len(outcome.workers) == plan.processes - 1
    assert (figures["http_429"], figures["failed"]) == (0, 0), figures["failure_example"]
    assert (figures["doubled_tickets"], figures["doubled_fences"]) == (0, 0)
    return figures


@providers("strict", "simulator")
def test_the_others_go_on_at_once(provider, redis_url):
    """Where requests bind, the provider is left without one for at most two intervals and a second."""
    plan = replace(LOADED, rpm=240, latency=0.4)
    figures = kill_one(plan, provider, redis_url)
    assert figures["largest_gap_s"] <= 2 * 60 / (plan.rpm * plan.keys) + 1


@providers("simulator", "strict")
def test_slots_of_the_dead_come_back(provider, redis_url):
    """Where slots bind, those of the dead are back after a TTL; until then the rest is used, and no more."""
    plan = replace(LOADED, rpm=3_000, latency=0.5, slots=5)
    figures = kill_one(plan, provider, redis_url)
    assert figures["leases_of_the_dead"] >= 1
    assert figures["slots_back_s"] <= TTL_S + NOTICED_S
    assert figures["largest_gap_s"] <= plan.latency + 1
    assert figures["peak_concurrency"] == plan.slots
