"""What each scenario must reach, as the issue states it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .plan import Plan

__all__ = ["NOTICED_S", "Target", "targets_of"]

Json = dict[str, Any]
PRESENCE_S = 0.3
"""So often a process of a small fleet calls while it waits."""
LATE_S = 0.25
"""A call not answered for so long: Redis is away. Then the shares begin empty: an account's first request is
permitted one interval later."""
BACK_S = 1.25
"""Redis goes on: it is found within half a second, and then all have 0.75 s to tell what they used. In that
time no process has more leases at once than it has told."""
NOTICED_S = 0.7
"""An expiry is noticed by the next step of anybody: at most the interval of presence later."""


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the verdict: a figure and its bound."""

    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def __str__(self) -> str:
        sign, bound = ("<=", self.at_most) if self.at_least is None else (">=", self.at_least)
        return f"{'PASS' if self.is_met else 'MISS'}  {self.name}: {self.value:g} ({sign} {bound:g})"


def targets_of(plan: Plan, figures: Json) -> list[Target]:
    """The targets of the plan's scenario; every run must see no 429, no failure and no double."""
    doubles = figures["doubled_tickets"] + figures["doubled_fences"]
    always = [
        Target("429s", figures["http_429"], at_most=0),
        Target("failed calls", figures["failed"], at_most=0),
        Target("tickets or fences granted twice", doubles, at_most=0),
    ]
    if plan.slots:
        always.append(Target("most at once per account", figures["peak_concurrency"], at_most=plan.slots))
    return [*always, *_own_targets(plan, figures)]


def _own_targets(plan: Plan, figures: Json) -> list[Target]:
    use = {resource: entry["percent"] for resource, entry in figures["use"].items()}
    match plan.scenario:
        case "seed":
            ratio = figures["wall_s"] / figures["ideal_s"] if figures["ideal_s"] else 0.0
            wanted = plan.processes * plan.tasks * plan.calls
            return [
                Target("answered of all, %", round(100 * figures["answered"] / wanted, 2), at_least=100),
                Target("wall time / ideal", round(ratio, 3), at_most=1.05),
            ]
        case "saturated":
            return [
                Target("use of the requests, %", use["requests"], at_least=98),
                Target("steps per request", figures["steps_per_request"], at_most=2.25),
                Target("client commands per request", figures["commands_per_request"], at_most=3.5),
            ]
        case "otpm":
            return [Target("use of the output tokens, %", use["output_tokens"], at_least=95)]
        case "openai-tpm":
            return [Target("use of the tokens, %", use["tokens"], at_least=97)]
        case "freeze":
            gap_s = max(PRESENCE_S + LATE_S + 60 / plan.rpm, BACK_S + 60 / (plan.rpm * plan.keys))
            return [
                Target("largest gap after Redis stopped, s", figures["largest_gap_s"], at_most=gap_s),
                Target("use of the requests, %", use["requests"], at_least=95),
            ]
        case "kill":
            gap_s = 2 * 60 / (plan.rpm * plan.keys) + 1
            return [
                Target("largest gap after the kill, s", figures["largest_gap_s"], at_most=gap_s),
                Target(
                    "slots of the dead are back, s", figures["slots_back_s"], at_most=plan.ttl + NOTICED_S
                ),
            ]
    return []
