"""A pool and its oracle, side by side: every call is made to both, and they must agree."""

from __future__ import annotations

from typing import Any

from llm_fleet.engine.values import PoolLimits
from tests.oracle import Oracle
from tests.oracle_books import MEMORY_MS, Books, Held
from tests.oracle_tickets import Said
from tests.pool_rig import Rig, Wire

__all__ = ["Pair"]


class Pair(Books):
    """Books whose every step is compared with the oracle's."""

    def __init__(self, rig: Rig, members: dict[str, PoolLimits], ttl_s: float = 15.0) -> None:
        self.oracle = Oracle(int(ttl_s * 1000))
        self.said = Said(0)
        super().__init__(rig, members, ttl_s)

    def registered(self, process: str, limits: PoolLimits, now: int) -> None:
        """A process has registered with both."""
        super().registered(process, limits, now)
        self.oracle.register(process, limits, now)

    def switch(self, key: str, pause_ms: int | None) -> None:
        """Switch the key in both."""
        super().switch(key, pause_ms)
        self.oracle.switch(key, pause_ms, self.rig.time_ms)

    def held_by(self, process: str) -> list[Held]:
        """Leases of which both still know: of expired ones only those that ran out lately."""
        tickets, now = self.oracle.tickets, self.oracle.now
        return [
            held
            for held in super().held_by(process)
            if tickets[held.id].state == "g" or now - tickets[held.id].expired_at < MEMORY_MS
        ]

    def step(self, process: str, *operations: Wire) -> Said:
        """One call to both; what they say must be the same, and so must what they hold."""
        told = super().step(process, *operations)
        server_ms = self.rig.time_ms if self.rig.is_fake else told.now
        early = {wire[1]: result[2] for wire, result in zip(operations, told.results, strict=True)
                 if wire[0] == "e" and wire[6] > 0 and result[:2] == ("d", "timeout")}  # fmt: skip
        self.said = said = self.oracle.step(process, list(operations), server_ms, early)
        note = f"after {process} asked {operations} at {told.now}"
        told.results = [_normal(*both) for both in zip(told.results, said.results, strict=True)]
        for name in ("now", "results", "fence", "grants", "refusals"):
            agree(f"{name} {note}", getattr(told, name), getattr(said, name))
        agree(f"wakes {note}", {wake[1:] for wake in told.wakes}, {wake[1:] for wake in said.wakes})
        self._compare_levels(note)
        return said

    def _compare_levels(self, note: str) -> None:
        """Every level and hold, to the unit."""
        stored = self.rig.units()
        for (domain, lane), buckets in self.oracle.buckets.items():
            for at, bucket in enumerate(buckets):
                level, held, ms = stored[f"{domain}|{lane}"][at]
                found = bucket.level_after(level, ms, self.oracle.now), held
                agree(f"{bucket.resource} of {domain}|{lane} {note}", found, (bucket.level, bucket.held))

    def compare_overview(self) -> None:
        """What pool_snapshot shows: leases, waiting, slots, pauses, heads."""
        shown, oracle = self.rig.snapshot(), self.oracle
        agree("fence", shown["fence"], oracle.fence)
        agree("leases", shown["leases"], len(oracle.leases))
        agree("waiting", shown["waiting"], sum(len(queue.waiting) for queue in oracle.queues.values()))
        for name, domain in shown["domains"].items():
            agree(f"in flight of {name}", domain["in_flight"], oracle.in_flight(name))
            for lane, buckets in domain["lanes"].items():
                rates = [bucket.get("cut", bucket["limit"]) for bucket in buckets or ()]
                agree(
                    f"rates of {name}|{lane}", rates, [bucket.rate for bucket in oracle.buckets[name, lane]]
                )
            if self.rig.is_fake:
                agree(f"pause of {name}", domain["paused_ms"], max(0, oracle.paused_until[name] - oracle.now))
        heads = {
            f"{q['lane']}|{q['keyset']}": q["head"]["ticket"] for q in shown["queues"] or () if "head" in q
        }
        first = {name: queue.head(oracle.now, oracle.aging_ms) for name, queue in oracle.queues.items()}
        agree("heads", heads, {name: head.id for name, head in first.items() if head})


def agree(what: str, found: object, expected: object) -> None:
    """The pool's part must be the oracle's."""
    assert found == expected, f"{what}: the pool has {found}, the oracle {expected}"


def _normal(result: tuple[Any, ...], expected: tuple[Any, ...]) -> tuple[Any, ...]:
    """A result in the oracle's words; what it does not speak of is left out."""
    match result:
        case ("h", unknown, missing, *share):
            states = frozenset((id, state) for id, state in unknown)
            return "h", states, frozenset(tuple(grant[:3]) for grant in missing), *share
        case ("g", key, fence, spacing):
            return "g", key, fence, spacing or expected[-1]  # a repeated answer: its own test
        case ("d", reason, wait_ms, *_):
            is_known = reason == "timeout" and wait_ms >= 0
            return "d", reason, wait_ms if is_known else float("inf")
        case ("c", state, *_):
            return "c", state
    return result
