"""The main job, end to end: real processes and SDKs against two providers that share no code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.harness import run_fleet
from benchmarks.plan import Plan
from benchmarks.report import figures_of

pytestmark = pytest.mark.load

SHORT = Plan(processes=2, tasks=16, calls=6, keys=3, burst=60.0, jitter=1.0, latency=0.2, stream_share=0.4)
"""More calls than the buckets hold: at the end all is used up, also on a slow machine. The jitter is
what a busy machine takes between grant and send; in so short a run it costs 1 second of 65."""

REQUESTS = replace(SHORT, processes=3, tasks=15, calls=4, rpm=58, itpm=30_000, slots=8)
OUTPUT = replace(
    SHORT,
    rpm=3_000,
    itpm=3_000_000,
    otpm=4_000,
    output="60~0.4",
    per_token=0.002,
    max_tokens=4096,
    jitter=0.5,
)
TOKENS = replace(
    SHORT, provider="openai", rpm=3_000, itpm=0, tpm=33_000, output="60~0.4", max_tokens=500, input=50
)


def providers(always: str, other: str) -> pytest.MarkDecorator:
    """Against one provider in every run, against the other with `-m "load and slow"`."""
    return pytest.mark.parametrize("provider", [always, pytest.param(other, marks=pytest.mark.slow)])


def saturate(plan: Plan, provider: str, redis_url: str):
    """Run the plan; whatever bound, nothing was refused, nothing failed, nothing was granted twice."""
    figures = figures_of(run_fleet(replace(plan, server=provider), redis_url))
    assert figures["http_429"] == 0, figures["429_by_resource"]
    assert figures["failed"] == 0, figures["failure_example"]
    assert figures["answered"] == figures["accepted"] > 0
    assert (figures["doubled_tickets"], figures["doubled_fences"]) == (0, 0)
    return figures


@providers("strict", "simulator")
def test_requests_and_slots_are_used_up_without_a_429(provider, redis_url):
    """Three processes in full load use what requests permit, and never more slots than there are."""
    figures = saturate(REQUESTS, provider, redis_url)
    assert figures["use"]["requests"]["percent"] >= 97
    assert figures["peak_concurrency"] <= REQUESTS.slots
    assert figures["steps_per_request"] <= 2.25
    assert figures["commands_per_request"] <= 3.5


@providers("simulator", "strict")
def test_output_is_used_up_from_a_cold_start(provider, redis_url):
    """Where output as produced binds, max_tokens of 4096 does not: what is produced is what counts.

    What the last calls hold and do not produce weighs twelve times what it does in a minute
    (`benchmarks/fleet.py --scenario otpm` measures that).
    """
    figures = saturate(OUTPUT, provider, redis_url)
    assert figures["use"]["output_tokens"]["percent"] >= 91


@providers("strict", "simulator")
def test_tokens_charged_at_the_start_are_used_up(provider, redis_url):
    """Where input and max_tokens are charged at the start, the fleet reserves just that."""
    figures = saturate(TOKENS, provider, redis_url)
    assert figures["use"]["tokens"]["percent"] >= 97
