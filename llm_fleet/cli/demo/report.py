"""What the demo has shown, in numbers. Pure: the provider's books and the processes' reports in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .scenario import account_keys, lease_ttl_s
from .show import Kill, Scene

__all__ = ["percentile", "results", "use_of"]

AROUND_S = 4.0
WHILE = "from_first_to_last_accepted"


def results(scene: Scene) -> dict[str, Any]:
    """Per key and per process what was permitted, used, served and waited for, and what the kill cost."""
    accepted = [row for row in scene.books["requests"] if row["status"] == 200]
    times = [row["t"] for row in accepted]
    waits = [wait for worker in scene.workers for wait in worker.waits]
    accounts = scene.books["accounts"]
    return {
        "seconds": scene.seconds,
        "accepted": len(accepted),
        "used": round(use_of(accounts, WHILE), 4),
        "rejected_429": sum(account["rejected"] for account in accounts.values()),
        "failed": sum(len(worker.errors) for worker in scene.workers),
        "errors": sorted({error for worker in scene.workers for error in worker.errors})[:5],
        "granted_twice": _doubled([row["fence"] for row in accepted]),
        "queue_wait_s": _waits(waits),
        "keys": [_key(account, key_id, accounts[account]) for account, key_id in account_keys().items()],
        "processes": [
            {
                "process": worker.number,
                "pid": worker.pid,
                "killed": worker.is_killed,
                "served": worker.served,
                "failed": len(worker.errors),
                "queue_wait_s": _waits(worker.waits),
            }
            for worker in scene.workers
        ],
        "kill": _kill(scene.kill, times, lease_ttl_s(scene.seconds)) if scene.kill else None,
    }


def use_of(accounts: dict[str, Any], period: str) -> float:
    """Used / permitted requests of all accounts; 0 before the first."""
    permitted = sum(account["permitted"]["requests"][period] for account in accounts.values())
    used = sum(account["used"]["requests"] for account in accounts.values())
    return float(used / permitted) if permitted else 0.0


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that `share` of all values do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def _waits(waits: Sequence[float]) -> dict[str, float | None]:
    return {"p50": percentile(waits, 0.5), "p95": percentile(waits, 0.95)}


def _key(account: str, key_id: str, page: dict[str, Any]) -> dict[str, Any]:
    limits = {
        resource: {"used": used, "permitted": round(page["permitted"][resource][WHILE])}
        for resource, used in page["used"].items()
    }
    return {
        "key": key_id,
        "account": account,
        **limits,
        "rejected_429": page["rejected"],
        "peak_in_flight": page["peak_concurrency"],
        "slots": page["max_concurrency"],
    }


def _doubled(fences: Sequence[str | None]) -> int:
    """Requests beyond the first with a fence: 0, or something was granted twice."""
    known = [fence for fence in fences if fence is not None]
    return len(known) - len(set(known))


def _kill(kill: Kill, times: Sequence[float], lease_ttl_s: float) -> dict[str, Any]:
    ordered = sorted(times)
    gaps = [(after - before, before, after) for before, after in pairwise(ordered)]
    near = [gap for gap, before, after in gaps if after > kill.at and before < kill.at + AROUND_S]
    others = sorted(gap for gap, _, after in gaps if after <= kill.at)
    return {
        "process": kill.worker.number,
        "at_s": round(kill.at - ordered[0], 2) if ordered else None,
        "largest_gap_s": round(max(near), 3) if near else None,
        "largest_gap_before_s": round(others[-1], 3) if others else None,
        "leases_held": kill.leases,
        "slots_back_s": round(kill.slots_back_s, 1) if kill.slots_back_s is not None else None,
        "lease_ttl_s": lease_ttl_s,
        "queued": kill.queued,
        "tickets_lost": kill.queued + kill.leases,
    }
