"""Who takes part in the oracle's pool, and what a heartbeat that asks is told of it (ENGINE.md §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.oracle import Oracle

__all__ = ["Presence"]

LOOKED_AT = 8


class Presence:
    """Processes, in the order of their ids, and when each has called last by the lease clock."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.present: set[str] = set()
        self.called_at: dict[str, int] = {}

    def enlist(self, process: str) -> None:
        """It registers."""
        self.present.add(process)
        self.called(process)

    def called(self, process: str) -> None:
        """It calls: it lives."""
        self.called_at[process] = self.oracle.lease_now

    def share(self, process: str) -> list[Any]:
        """How many take part, the place of the one that asks, and for how long keys are out of service."""
        self.present.add(process)
        order = sorted(self.present)
        at = order.index(process)
        for other in (order[at + 1 :] + order[:at])[:LOOKED_AT]:
            if self.oracle.lease_now - self.called_at[other] <= self.oracle.ttl_ms:
                break
            self.present.remove(other)
        now, until = self.oracle.now, self.oracle.key_out_until
        left = {key: 0 if at == float("inf") else int(at - now) for key, at in until.items() if at > now}
        return [len(self.present), sorted(self.present).index(process), left]
