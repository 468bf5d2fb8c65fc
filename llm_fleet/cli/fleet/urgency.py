"""Which keys and processes to show where there is no room for all: those that people look for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .health import outage, state_of

__all__ = ["FEW", "urgent_keys", "urgent_processes"]

FEW = 24
"""As many are shown in the order of their names; of more, this many of the most urgent."""

Snapshot = Mapping[str, Any]


def urgent_keys(pool: Snapshot, most: int | None) -> list[str]:
    """Keys out of service first, then the paused, then those with the least left; None: all."""
    names = sorted(pool["keys"])
    if most is None or len(names) <= most:
        return names
    return sorted(names, key=lambda name: _key_rank(pool, name))[:most]


def _key_rank(pool: Snapshot, name: str) -> tuple[bool, float, float]:
    key = pool["keys"][name]
    domains = [pool["domains"][each] for each in key["domains"] if each in pool["domains"]]
    paused_ms = max((domain["paused_ms"] for domain in domains), default=0)
    return outage(key) is None, min(0.0, -paused_ms), min(map(_least_left, domains), default=1.0)


def _least_left(domain: Snapshot) -> float:
    """The smallest share that any limit of an account has left."""
    buckets = [bucket for lane in domain["lanes"].values() for bucket in lane]
    shares = [(bucket["level"] - bucket["held"]) / max(1, bucket["capacity"]) for bucket in buckets]
    if domain["concurrency"]:
        shares.append(1 - domain["in_flight"] / domain["concurrency"])
    return min(shares, default=1.0)


def urgent_processes(pool: Snapshot, most: int | None) -> list[str]:
    """Processes that do not answer first, then those with the most to do; None: all."""
    processes = pool["processes"]
    if most is None or len(processes) <= most:
        return sorted(processes)

    def rank(name: str) -> tuple[bool, int, int, str]:
        process = processes[name]
        return state_of(process, pool) == "live", -process["queued"], -process["leases"], name

    return sorted(processes, key=rank)[:most]
