"""Scenarios with names: the command runs them, and so do the tests."""

from __future__ import annotations

from tests.simulation.scenario import Limit, Scenario

__all__ = ["SCENARIOS"]

SCENARIOS = {
    "requests": Scenario(),
    "anthropic": Scenario(
        limits=(
            Limit("requests", 3_000, 10.0),
            Limit("input_tokens", 30_000, 20.0, "at_start_adjust"),
            Limit("output_tokens", 10_000, 20.0, "as_produced"),
        ),
        processes=8, tasks=20, input_tokens=(50, 250), guessed_high=0.05, output_tokens=(60, 90), call_ms=(500, 4_000), seconds=150.0,
    ),
    "openai": Scenario(
        limits=(Limit("requests", 2_000, 10.0), Limit("tokens", 60_000, 20.0)),
        processes=8, tasks=20, input_tokens=(50, 250), output_tokens=(20, 90), call_ms=(300, 2_000),
    ),
    "city": Scenario(
        limits=(Limit("requests", 2_000, 10.0), Limit("input_tokens", 300_000, 20.0, "at_start_adjust")),
        processes=2_000, tasks=1, seconds=15.0, input_tokens=(50, 250), guessed_high=0.05, call_ms=(300, 3_000),
        think_ms=(0, 20_000), bands=("interactive", "normal", "normal", "batch"), tenants=("a", "b", "c"),
        kills=((4.0, 100), (8.0, 100)), restart_s=2.0, throttles=((6.0, 2.0), (9.0, 3.0)), jumps_ms=((11.0, -20_000),),
    ),
}  # fmt: skip
