"""A pool and its oracle, side by side: every call is made to both, and they must agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_fleet.engine.values import PoolLimits
from tests.oracle import Oracle
from tests.oracle_buckets import OracleBucket
from tests.oracle_tickets import Said, Ticket
from tests.pool_rig import Answer, Rig, Wire, beat, cancel, enqueue, settle

__all__ = ["Pair"]

MEMORY_MS = 60_000


class Pair:
    """A rig with its oracle; processes are given with the limits that each brings."""

    def __init__(self, rig: Rig, members: dict[str, PoolLimits], ttl_s: float = 15.0) -> None:
        self.rig, self.members = rig, members
        self.oracle = Oracle(int(ttl_s * 1000))
        self.said = self.told = Said(0)
        self.sent: list[tuple[int, str, Wire]] = []
        self._numbers = 0
        for process, limits in members.items():
            reply = rig.register(process, limits, ttl_s=ttl_s)
            self.oracle.register(limits, reply[3])

    # -- what a story may ask for ------------------------------------------------------------------

    def enqueue(self, process: str, **options: Any) -> Wire:
        """An enqueue with a new id."""
        self._numbers += 1
        return enqueue(f"t{self._numbers}", self.members[process], **options)

    def unknown(self) -> str:
        """An id that nobody has."""
        self._numbers += 1
        return f"unknown{self._numbers}"

    def advance(self, ms: int, *, first: str = "A") -> None:
        """Let time pass; then every process calls, `first` first: all are alive."""
        self.rig.advance(ms)
        for process in sorted(self.members, key=lambda name: name != first):
            self.step(process)

    def switch(self, key: str, pause_ms: int | None) -> None:
        """Take a key out of service for so long (0: for good), or put it back (None)."""
        self.rig.switch(key, "resume" if pause_ms is None else "pause", pause_ms or 0)
        self.oracle.switch(key, pause_ms, self.rig.time_ms)

    def leases_of(self, process: str) -> list[Ticket]:
        """The leases of a process, the oldest first."""
        return sorted((t for t in self.oracle.leases if t.process == process), key=lambda t: t.fence)

    def queued(self, process: str) -> list[Ticket]:
        """The waiting tickets of a process."""
        return [t for queue in self.oracle.queues.values() for t in queue if t.process == process]

    def sent_by(self, process: str) -> list[Wire]:
        """What a process asked for lately: how those tickets ended is still remembered."""
        return [wire for at, who, wire in self.sent if who == process and self.oracle.now - at < MEMORY_MS]

    def expired(self, process: str) -> list[Ticket]:
        """The leases of a process that ran out lately."""
        return [
            t for t in self.oracle.tickets.values()
            if (t.state, t.process) == ("x", process) and self.oracle.now - t.expired_at < MEMORY_MS
        ]  # fmt: skip

    # -- the comparison ----------------------------------------------------------------------------

    def step(self, process: str, *operations: Wire) -> Said:
        """One call to both; what they say must be the same, and so must what they hold."""
        answer = self.rig.taken(process, *operations)
        server_ms = self.rig.time_ms if self.rig.is_fake else answer.now
        self.said = self.oracle.step(process, list(operations), server_ms)
        self.sent += [(answer.now, process, operation) for operation in operations]
        told = self._told(process, answer)
        note = f"after {process} asked {operations} at {answer.now}"
        told.results = self._results(operations, answer)
        for name in ("now", "results", "fence", "grants", "refusals"):
            agree(f"{name} {note}", getattr(told, name), getattr(self.said, name))
        agree(f"wakes {note}", {wake[1:] for wake in told.wakes}, {wake[1:] for wake in self.said.wakes})
        self.told = told
        self.compare_levels(note)
        return self.said

    def _results(self, operations: Sequence[Wire], answer: Answer) -> list[tuple[Any, ...]]:
        return [
            _normal(result, expected)
            for result, expected in zip(answer.results, self.said.results, strict=True)
        ]

    def _told(self, caller: str, answer: Answer) -> Said:
        """What the call said, in the words of the oracle: to its caller, and by mail."""
        told = Said(answer.now, answer.fence)
        for process in self.members:
            source = answer if process == caller else self.rig.mailbox(process)
            told.grants |= {(process, *grant) for grant in source.grants}
            told.refusals |= {(process, *refusal) for refusal in source.refusals}
            told.wakes |= {(process, *wake) for wake in source.wakes}
        return told

    def compare_levels(self, note: str) -> None:
        """Every level and hold, to the unit."""
        stored = self.rig.units()
        for (domain, lane), buckets in self.oracle.buckets.items():
            for at, bucket in enumerate(buckets):
                level, held, ms = stored[f"{domain}|{lane}"][at]
                ticks = bucket.tick - ms // bucket.tick_ms
                level = min(bucket.capacity, level + ticks * bucket.rate)
                where = f"{bucket.resource} of {domain}|{lane} {note}"
                agree(where, (level, held), (bucket.level, bucket.held))

    def compare_overview(self) -> None:
        """What pool_snapshot shows: leases, waiting, slots, pauses, heads."""
        shown, oracle = self.rig.snapshot(), self.oracle
        assert shown["fence"] == oracle.fence
        assert shown["leases"] == len(oracle.leases)
        assert shown["waiting"] == sum(map(len, oracle.queues.values()))
        for name, domain in shown["domains"].items():
            assert domain["in_flight"] == oracle.in_flight(name)
            assert domain["paused_ms"] == max(0, oracle.paused_until[name] - oracle.now)
        heads = {f"{q['lane']}|{q['keyset']}": q["head"]["ticket"] for q in _list(shown["queues"])}
        assert heads == {name: queue[0].id for name, queue in oracle.queues.items()}

    # -- words for stories -------------------------------------------------------------------------

    def settle_one(self, process: str, at: int, usage: tuple[int | None, int | None], **throttle: int) -> Wire:
        """A settle of a lease, of this process if it has one; of an unknown id, when there is none."""
        leases = self.leases_of(process) or self.oracle.leases
        return settle(leases[at % len(leases)].id if leases else self.unknown(), *usage, **throttle)

    def cancel_one(self, process: str, at: int) -> Wire:
        """A cancel of one of the tickets of a process, waiting or granted."""
        tickets = self.leases_of(process) + self.queued(process)
        return cancel(tickets[at % len(tickets)].id if tickets else self.unknown())

    def beat_some(self, process: str, left_out: int, tokens: int) -> Wire:
        """A heartbeat that reports all leases of a process but one, with this many tokens so far."""
        leases = self.leases_of(process)
        return beat(*((t.id, tokens) for at, t in enumerate(leases) if at != left_out))

    def every_bucket(self) -> list[OracleBucket]:
        """The oracle's buckets."""
        return list(self.oracle.every_bucket())


def agree(what: str, found: object, expected: object) -> None:
    """The pool's part must be the oracle's."""
    assert found == expected, f"{what}: the pool has {found}, the oracle {expected}"


def _list(table: Any) -> list[Any]:
    """A JSON list; an empty Lua table is written as an object."""
    return list(table) if table else []


def _normal(result: list[Any], expected: tuple[Any, ...]) -> tuple[Any, ...]:
    """A result in the oracle's words; what it does not speak of is left out."""
    match result:
        case ["h", unknown, missing]:
            return (
                "h",
                frozenset((id, state) for id, state in unknown),
                frozenset(tuple(grant[:3]) for grant in missing),
            )
        case ["g", key, fence, spacing]:
            return "g", key, fence, spacing or expected[-1]  # a repeated answer: its own test
        case ["d", reason, wait_ms, *_]:
            known = reason == "timeout" and wait_ms >= 0
            return "d", reason, wait_ms if known else float("inf")
        case ["c", state, *_]:
            return "c", state
    return tuple(result)
