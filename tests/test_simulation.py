"""Whole fleets in virtual time, on strict providers of each charge rule, with deaths, 429s and clock jumps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.simulation import Fleet, Limit, Report, Scenario
from tests.simulation.__main__ import main
from tests.simulation.provider import Account, Request
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.world import S, World

TEN_A_SECOND = (Limit("requests", 600, 10.0),)


def seen(scenario: Scenario) -> Report:
    """Run it and print what it did; whatever happens, nothing is granted twice or left behind."""
    report = Fleet(scenario).run()
    print("\n".join(report.lines()))
    assert report.granted_twice == 0
    assert report.granted_in_pauses == 0
    assert report.is_at_rest, report.left
    return report


@pytest.mark.parametrize(("name", "resource", "use"), [
    ("requests", "requests", 0.98), ("openai", "tokens", 0.98), ("anthropic", "output_tokens", 0.97),
])  # fmt: skip
def test_saturated_fleet_uses_what_its_provider_permits(name: str, resource: str, use: float) -> None:
    """Whatever the charge rule, a saturated fleet draws no 429 and uses 97 to 98 % of what each account permits."""
    report = seen(SCENARIOS[name])
    assert report.avoidable == 0
    assert report.least_use[resource] >= use
    assert report.beatless <= 2.25


def test_saturated_fleet_needs_few_steps() -> None:
    """In a saturated closed loop of four processes a request needs at most 2.25 steps, heartbeats and timers too."""
    assert seen(replace(SCENARIOS["requests"], seed=11)).steps["per_request"] <= 2.25


def test_jitter_is_what_keeps_the_provider_from_refusing() -> None:
    """The same fleet without the jitter that it has draws 429s: the provider is as strict as it should be."""
    assert Fleet(replace(SCENARIOS["requests"], jitter_ms=0)).run().avoidable > 0


def test_tenants_share_by_their_weights() -> None:
    """Two tenants that wait all the time, with weights 3 and 1, get 3 to 1 within 2 %."""
    fleet = Fleet(
        Scenario(TEN_A_SECOND, tasks=20, tenants=("a", "b"), weights={"a": 3000, "b": 1000}, seconds=70.0)
    )
    assert fleet.run().avoidable == 0
    shares = Counter(grant.tenant for grant in fleet.grants if 12 < grant.at / S < 70)
    assert shares.total() >= 2_000
    assert shares["a"] / shares["b"] == pytest.approx(3, rel=0.02)


def test_interactive_is_quick_and_batch_is_not_forgotten() -> None:
    """Under saturating batch load an interactive ticket waits for little more than its turn, and no batch one for ever."""
    limits = (Limit("input_tokens", 60_000, 10.0),)
    sizes = {"interactive": (50, 100), "batch": (500, 1_000)}
    report = seen(Scenario(
        limits, accounts=1, tasks=10, processes=4, bands=("batch", "batch", "batch", "batch", "interactive"),
        sizes=sizes, thinking=("interactive",), think_ms=(2_000, 4_000), aging_ms=5_000,
    ))  # fmt: skip
    refill_s = (100 + 1_000 + 1_000) / 1_000
    assert report.waits["interactive|default"].p99 <= refill_s + 0.1
    assert report.waits["batch|default"].most <= 60


def test_kill_of_a_process_with_900_queued_blocks_nobody() -> None:
    """After kill -9 the next grant to another comes within a second, and at most one per key goes to the dead."""
    report = seen(Scenario(TEN_A_SECOND, tasks=900, processes=3, seconds=40.0, kills=((5.0, 1),)))
    assert report.longest_gap_s <= 1.0
    assert report.lost <= 4
    assert report.avoidable == 0
    assert report.least_use["requests"] >= 0.95


def test_clock_that_jumps_back_is_not_noticed() -> None:
    """Redis' clock is set back by half a minute twice: no 429, and hardly anything is lost."""
    report = seen(Scenario(seconds=40.0, jumps_ms=((8.0, -30_000), (15.0, -30_000))))
    assert report.avoidable == 0
    assert report.least_use["requests"] >= 0.96


def test_clock_that_jumps_forward_costs_one_burst() -> None:
    """A jump forward looks like idle time: it costs at most the 429s of one burst, and no lease or ticket."""
    report = seen(Scenario(seconds=40.0, jumps_ms=((8.0, 600_000),)))
    assert report.avoidable <= 4 * 20
    assert not report.denials
    assert report.least_use["requests"] >= 0.97


def test_provider_that_throttles_is_left_alone() -> None:
    """A 429 with retry-after pauses the account for the whole fleet: few requests meet it, none is granted meanwhile."""
    report = seen(Scenario(seconds=40.0, processes=8, throttles=((8.0, 3.0), (15.0, 5.0))))
    assert 2 <= report.refused["throttled"] <= 8
    assert report.avoidable == 0


def test_provider_that_permits_less_than_configured_is_found_out() -> None:
    """Where three quarters are permitted a fleet cuts what it asks for: few 429s, and all that is permitted is used."""
    report = seen(Scenario(seconds=240.0, permitted=0.75))
    assert 8 <= report.avoidable <= 60
    assert report.least_use["requests"] >= 0.98


def test_processes_with_different_keys_use_all_of_them() -> None:
    """Half of the processes hold keys {a, c}, half {b, d}: all four accounts are used 98 %."""
    report = seen(Scenario(key_groups=2, seed=3))
    assert report.least_use["requests"] >= 0.98
    assert report.avoidable == 0


def test_slots_are_never_exceeded() -> None:
    """Accounts with five slots never see a sixth request at a time, and refuse none, though processes die."""
    scenario = Scenario(
        TEN_A_SECOND, slots=5, call_ms=(500, 2_000), seconds=40.0, processes=8, kills=((10.0, 3),)
    )
    report = seen(replace(scenario, restart_s=1.0))
    assert report.peak == 5
    assert report.avoidable == 0


def test_great_fleet_with_everything_going_wrong() -> None:
    """Hundreds of processes with bands and tenants, of which many are killed, 429s, and a clock that jumps back."""
    scenario = replace(SCENARIOS["city"], limits=(Limit("requests", 800, 2.0),), processes=400, seconds=8.0)
    kills, jumps_ms = ((3.0, 50), (5.0, 50)), ((7.0, -20_000),)
    report = seen(
        replace(scenario, think_ms=(0, 8_000), kills=kills, throttles=((6.0, 2.0),), jumps_ms=jumps_ms)
    )
    assert report.avoidable == 0
    assert report.lost <= 100
    assert report.waits["interactive|a"].p95 < report.waits["normal|a"].p95


def test_same_seed_same_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the same for the same seed, and something else for another."""
    said = []
    for seed in ("5", "5", "6"):
        main(["--scenario", "requests", "--seconds", "10", "--seed", seed, "--json"])
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]


def test_provider_charges_output_as_it_comes() -> None:
    """It counts tokens while they are produced, and starts nothing while its bucket is in debt."""
    world, short = World(), Request(0, 0, 100, 0)
    account = Account(world, (Limit("output_tokens", 60, 10.0, "as_produced"),))
    assert account.start(Request(0, 40, 100, 4 * S)) is None
    world.run(1 * S)
    assert account.start(short) is None
    world.run(2 * S)
    assert account.start(short) == "output_tokens"
    world.run(4 * S)
    assert account.buckets[0].consumed == 40
    world.run(35 * S)
    assert account.start(short) is None
