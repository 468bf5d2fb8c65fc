"""From what a run left to figures, and from figures to a verdict. Pure.

Every figure about use comes from the provider's books, none from the engine.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from .harness import Outcome
from .plan import Plan

__all__ = ["figures_of", "percentiles"]

Json = dict[str, Any]
Row = Mapping[str, Any]


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99: the smallest value that so many are not above."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        f"p{share}": round(ordered[math.ceil(len(ordered) * share / 100) - 1], 3) for share in (50, 95, 99)
    }


def figures_of(outcome: Outcome) -> Json:
    """All figures of a run."""
    rows = outcome.books["requests"]
    accepted = [row for row in rows if row["status"] == 200]
    workers = outcome.workers
    return {
        "accepted": len(accepted),
        "answered": sum(worker["answered"] for worker in workers),
        "http_429": sum(row["status"] == 429 for row in rows),
        "429_each": [_told(row, rows[0]["t"]) for row in rows if row["status"] == 429],
        "429_by_resource": dict(Counter(row["rejected_by"] for row in rows if row["status"] == 429)),
        "failed": sum((Counter(worker["failures"]) for worker in workers), Counter()).total(),
        "failures": dict(sum((Counter(worker["failures"]) for worker in workers), Counter())),
        "failure_example": next((worker["example"] for worker in workers if worker["example"]), ""),
        "unserved_at_end": sum(worker["unserved"] for worker in workers),
        "wall_s": round(outcome.wall_s, 3),
        "ideal_s": round(_ideal_s(outcome.plan, accepted), 3),
        "requests_per_minute": round(len(accepted) / outcome.wall_s * 60, 1),
        "tokens_per_minute": round(
            sum(row["input_tokens"] + row["output_tokens"] for row in accepted) / outcome.wall_s * 60
        ),
        "use": _use(outcome, accepted),
        "latency_s": percentiles(value for worker in workers for value in worker["latencies"]),
        "queue_wait_s": percentiles(value for worker in workers for value in worker["waits"]),
        "grant_to_arrival_s": _lateness(rows),
        **_costs(outcome, max(1, len(accepted))),
        **_order(outcome, accepted),
    }


def _told(row: Row, began: float) -> str:
    """A 429: what it named, where, when, and how long after its grant it arrived."""
    delay_s = _delay_s(row)
    late = "" if delay_s is None else f", {delay_s:.3f} s after its grant"
    return f"{row['rejected_by']} of {row['account']} at {row['t'] - began:.3f} s{late}"


def _delay_s(row: Row) -> float | None:
    """From the grant to the arrival, where the provider noted both."""
    granted = row.get("granted")
    return row["t"] - float(granted) if granted else None


def _lateness(rows: Sequence[Row]) -> dict[str, float]:
    delays = [delay_s for row in rows if (delay_s := _delay_s(row)) is not None]
    return {**percentiles(delays), "max": round(max(delays), 3)} if delays else {}


def _use(outcome: Outcome, accepted: Sequence[Row]) -> dict[str, Json]:
    """Used and permitted per resource, summed over the accounts.

    Permitted are a full bucket and the refill of the time that is looked at. Of output counts what
    had been produced by then, evenly over each call.
    """
    plan = outcome.plan
    totals: dict[str, list[float]] = {resource: [0.0, 0.0] for resource in plan.limits()}
    for rows, first, last in _spans(outcome, accepted):
        for resource, limit in plan.limits().items():
            totals[resource][0] += sum(_amount(resource, row, last) for row in rows)
            totals[resource][1] += limit / 60 * (plan.burst + last - first)
    return {
        resource: {
            "used": round(used),
            "permitted": round(permitted),
            "percent": round(_percent(used, permitted), 2),
        }
        for resource, (used, permitted) in totals.items()
    }


def _spans(outcome: Outcome, accepted: Sequence[Row]) -> Iterator[tuple[list[Row], float, float]]:
    """Per account its accepted calls, and from when to when they are looked at.

    From the first call of all to the end of a run for a given time; where the calls are given, from the
    first to the last of the account.
    """
    began, end = min((row["t"] for row in accepted), default=outcome.until), outcome.until
    for account in outcome.plan.accounts:
        rows = [row for row in accepted if row["account"] == account]
        if not outcome.plan.calls:
            yield [row for row in rows if row["t"] <= end], began, end
        elif rows:
            yield rows, min(row["t"] for row in rows), max(row["t"] for row in rows)


def _percent(used: float, permitted: float) -> float:
    return 100 * used / permitted if permitted else 0.0


def _amount(resource: str, row: Row, until: float) -> float:
    """What the provider had charged for a call by `until`."""
    if resource == "output_tokens":
        length: float = (row["ended_t"] or until) - row["t"]
        share = (until - row["t"]) / max(length, 1e-6)
        return float(row["output_tokens"] * min(1.0, max(0.0, share)))
    charged = {
        "requests": 1,
        "input_tokens": row["input_tokens"],
        "tokens": row["input_tokens"] + row["max_output_tokens"],
    }
    return float(charged[resource])


def _ideal_s(plan: Plan, accepted: Sequence[Row]) -> float:
    """The least time for this work: what exceeds the buckets at the summed rates, and the last call."""
    if not accepted:
        return 0.0
    last = max(accepted, key=lambda row: row["t"])
    waits = [
        sum(_amount(resource, row, math.inf) for row in accepted) * 60 / (limit * plan.keys) - plan.burst
        for resource, limit in plan.limits().items()
    ]
    length: float = (last["ended_t"] or last["t"]) - last["t"]
    return max(0.0, *waits) + length


def _costs(outcome: Outcome, accepted: int) -> Json:
    """What each accepted request cost Redis and the workers' CPU."""
    commands = Counter(outcome.load.from_clients())
    commands["evalsha"] -= outcome.death.looks if outcome.death else 0
    cpu_s = sum(worker["cpu_s"] for worker in outcome.workers)
    own_s = sum(worker["user_loop_cpu_s"] for worker in outcome.workers)
    served = max(1, sum(worker["answered"] for worker in outcome.workers))
    return {
        "steps_per_request": round((commands["evalsha"] + commands["eval"]) / accepted, 3),
        "commands_per_request": round(commands.total() / accepted, 3),
        "commands_by_kind": {name: round(count / accepted, 3) for name, count in commands.items() if count},
        "commands_in_scripts_per_request": round(outcome.load.in_scripts() / accepted, 1),
        "redis_cpu_us_per_request": round(outcome.load.cpu_s / accepted * 1e6, 1),
        "client_cpu_ms_per_request": round(cpu_s / served * 1e3, 3),
        "client_cpu_ms_of_user_loop": round(own_s / served * 1e3, 3),
    }


def _order(outcome: Outcome, accepted: Sequence[Row]) -> Json:
    """Gaps, doubles and peaks: what a death must not spoil."""
    times, death, freeze = sorted(row["t"] for row in accepted), outcome.death, outcome.freeze
    if death is not None:  # what had been accepted when it came is not its work
        times = [death.at, *(time for time in times if time > death.at), outcome.until]
    if freeze is not None:
        times = [freeze.at, *(time for time in times if time > freeze.at), outcome.until]
    after = [late - early for early, late in pairwise(times)]
    return {
        "largest_gap_s": round(max(after, default=0.0), 3),
        "doubled_tickets": _doubled(accepted, "ticket"),
        "doubled_fences": _doubled(_granted_by_redis(outcome, accepted), "fence"),
        "peak_concurrency": max(page["peak_concurrency"] for page in outcome.books["accounts"].values()),
        "leases_of_the_dead": death.leases if death else 0,
        "slots_back_s": round(death.slots_back_s, 3) if death else None,
        "accepted_while_frozen": _between(times, freeze.at, freeze.until) if freeze else None,
    }


def _between(times: Iterable[float], first: float, last: float) -> int:
    return sum(first < time < last for time in times)


def _granted_by_redis(outcome: Outcome, accepted: Sequence[Row]) -> Sequence[Row]:
    """Without a Redis there is no fence."""
    return [row for row in accepted if row["fence"]] if outcome.freeze else accepted


def _doubled(accepted: Sequence[Row], name: str) -> int:
    """How many requests carry a mark that another one carries too, or none at all."""
    marks = [row[name] for row in accepted]
    return len(marks) - len({mark for mark in marks if mark is not None})
