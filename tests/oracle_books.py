"""What the processes of a rig know of their own tickets, from replies and mailboxes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_fleet.engine.values import PoolLimits
from tests.oracle_tickets import Said
from tests.pool_rig import Answer, Rig, Wire, beat, cancel, enqueue, settle

__all__ = ["Books", "Call", "Held"]

MEMORY_MS = 60_000
STEP_MS = 1_800_000


@dataclass(frozen=True, slots=True)
class Held:
    """A lease in the hands of its process; `wire` is the enqueue that asked for it."""

    id: str
    process: str
    key: str
    fence: int
    granted_at: int
    wire: Wire

    @property
    def flow(self) -> tuple[str, str, str]:
        """Its queue, band and tenant: in these its place is by arrival."""
        return f"{self.wire[3]}|{self.wire[2]}", self.wire[7], self.wire[8]


@dataclass(frozen=True, slots=True)
class Call:
    """A step as it was made, and its results."""

    at: int
    process: str
    operations: Sequence[Wire]
    results: Sequence[list[Any]]


class Books:
    """A rig with what its processes know; each is given with the limits that it brings."""

    patience_ms = (2_000, 600_000, 600_000)  # how long the tickets of stories wait

    def __init__(self, rig: Rig, members: dict[str, PoolLimits], ttl_s: float = 15.0) -> None:
        self.rig, self.members = rig, members
        # who only settles is written down ten times a second: too seldom for a shorter TTL
        self.asks = ttl_s >= 1
        self.told = Said(0)
        self.now = 0
        self.sent: list[tuple[int, str, Wire]] = []
        self.calls: list[Call] = []
        self.waiting: dict[str, str] = {}
        self.leases: dict[str, Held] = {}
        self.grants: list[Held] = []
        self.ends: dict[str, str] = {}
        self.wakes: list[int] = []
        self._asked: dict[str, Wire] = {}
        self._numbers = 0
        for process, limits in members.items():
            self.registered(process, limits, rig.register(process, limits, ttl_s=ttl_s)[3])

    def registered(self, process: str, limits: PoolLimits, now: int) -> None:
        """A process has registered."""
        self.now = now

    # -- steps -----------------------------------------------------------------------------------

    def step(self, process: str, *operations: Wire) -> Said:
        """One call of a process, after which all read their mail. Gives what was said, and to whom."""
        answer = self.rig.taken(process, *operations)
        self.now = answer.now
        self.sent += [(answer.now, process, operation) for operation in operations]
        self.calls.append(Call(answer.now, process, operations, answer.results))
        for wire, result in zip(operations, answer.results, strict=True):
            self._note(process, wire, result)
        self.told = self._told(process, answer)
        for receiver, *grant in sorted(self.told.grants):
            self._lease(receiver, *grant)
        for _, id, _ in self.told.refusals:
            self.waiting.pop(id, None)
            self.ends[id] = "c"
        self.wakes = [at for at in self.wakes if at > self.now]
        self.wakes += [self.now + wake[3] for wake in self.told.wakes]
        return self.told

    def _note(self, process: str, wire: Wire, result: list[Any]) -> None:
        match wire, result:
            case ["e", id, *_], ["g", *grant]:
                self._asked[id] = wire
                self._lease(process, id, *grant)
            case ["e", id, *_], ["q"]:
                self._asked[id] = wire
                self.waiting[id] = process
            case ["e", id, *_], ["d" | "e", *_]:
                self.ends.setdefault(id, "c")
            case ["s", id, *_], ["s", "s"]:
                self.leases.pop(id, None)
                self.ends.setdefault(id, "s")
            case ["c", id], _:
                self.waiting.pop(id, None)
                self.leases.pop(id, None)
                self.ends.setdefault(id, "c")
            case ["h", *_], [_, unknown, *_]:
                for id, state in unknown:
                    self.leases.pop(id, None)
                    self.ends.setdefault(id, state)

    def _lease(self, process: str, id: str, *grant: Any) -> None:
        self.waiting.pop(id, None)
        if all(held.id != id for held in self.grants):
            self.leases[id] = Held(id, process, grant[0], grant[1], self.now, self._asked[id])
            self.grants.append(self.leases[id])

    def _told(self, caller: str, answer: Answer) -> Said:
        told = Said(answer.now, answer.fence)
        for process in self.members:
            source = answer if process == caller else self.rig.mailbox(process)
            told.grants |= {(process, *grant) for grant in source.grants}
            told.refusals |= {(process, *refusal) for refusal in source.refusals}
            told.wakes |= {(process, *wake) for wake in source.wakes}
        told.results = list(map(tuple, answer.results))
        return told

    def advance(self, ms: int, *, first: str = "A") -> None:
        """Let time pass; then every process calls, `first` first: all are alive."""
        self.rig.advance(ms)
        for process in sorted(self.members, key=lambda name: name != first):
            self.step(process)

    def next_wake(self) -> int:
        """Ms until the first timer that anybody was told to arm; half an hour at most: heartbeats go on."""
        ahead = [at - self.now for at in self.wakes if at > self.now]
        return min([STEP_MS, *ahead]) if ahead else 1

    # -- words for stories -----------------------------------------------------------------------

    def switch(self, key: str, pause_ms: int | None) -> None:
        """Take a key out of service for so long (0: for good), or put it back (None)."""
        self.rig.switch(key, "resume" if pause_ms is None else "pause", pause_ms or 0)

    def unknown(self) -> str:
        """An id that nobody has."""
        self._numbers += 1
        return f"unknown{self._numbers}"

    def enqueue(self, process: str, **options: Any) -> Wire:
        """An enqueue with a new id, as processes choose it."""
        self._numbers += 1
        return enqueue(f"{process}-{self._numbers:x}", self.members[process], **options)

    def held_by(self, process: str) -> list[Held]:
        """The leases of a process, the oldest first; some may have run out."""
        return sorted((h for h in self.leases.values() if h.process == process), key=lambda h: h.fence)

    def settle_one(self, process: str, at: int, usage: Sequence[int | None], **throttle: int) -> Wire:
        """A settle of a lease, of this process if it has one; of an unknown id, when there is none."""
        held = self.held_by(process) or [h for name in self.members for h in self.held_by(name)]
        return settle(held[at % len(held)].id if held else self.unknown(), *usage, **throttle)

    def cancel_one(self, process: str, at: int) -> Wire:
        """A cancel of one of the tickets of a process, waiting or granted."""
        ids = [h.id for h in self.held_by(process)] + [
            id for id, who in self.waiting.items() if who == process
        ]
        return cancel(ids[at % len(ids)] if ids else self.unknown())

    def beat_some(self, process: str, left_out: int, tokens: int) -> Wire:
        """A heartbeat that reports all leases of a process but one, with this many tokens so far; it asks now and then."""
        held = self.held_by(process)
        return beat(
            *((h.id, tokens) for at, h in enumerate(held) if at != left_out), asks=left_out > 0 and self.asks
        )

    def sent_by(self, process: str) -> list[Wire]:
        """What a process asked for lately: how those tickets ended is still remembered."""
        return [wire for at, who, wire in self.sent if who == process and self.now - at < MEMORY_MS]
