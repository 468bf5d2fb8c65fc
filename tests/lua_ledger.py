"""A fleet that does anything at all on one pool, and what its stored state must be after every call.

The pool keeps sums, places and counts beside the tickets; they must follow from the tickets alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from random import Random
from typing import Any

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits
from tests.pool_rig import Wire, beat, cancel, enqueue, mini_rig, settle

__all__ = ["Crew", "pool_like"]

BANDS = ("interactive", "normal", "batch")
TENANTS = ("default", "t", "u")


def pool_like(chance: Random) -> PoolLimits:
    """Two keys of which one draws from both accounts, two lanes, a tenant with limits."""
    shared = (
        Bucket("requests", chance.choice((60, 300)), burst_ms=3_000, jitter_ms=0),
        Bucket("output_tokens", 6_000, jitter_ms=0, rule="as_produced"),
    )
    big = LaneLimits("big", (Bucket("tokens", 3_000, jitter_ms=0, rule="at_start_adjust"),))
    lanes = (LaneLimits("*", shared, chance.choice((0, 3))), big)
    own = LaneLimits("*", (Bucket("requests", 60, burst_ms=2_000, jitter_ms=0),), chance.choice((0, 2)))
    return PoolLimits(
        "p", (("k0", ("d0",)), ("k1", ("d0", "d1"))), tuple(DomainLimits(name, lanes) for name in ("d0", "d1")),
        tenants=(TenantLimits("t", 2_000, own), TenantLimits("u", 500)), aging_ms=2_000,
    )  # fmt: skip


class Crew:
    """Two processes that ask, settle, cancel and beat as chance has it."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.limits = pool_like(self.chance)
        self.rig = mini_rig(self.limits, "A", "B")
        self.held: dict[str, list[str]] = {"A": [], "B": []}
        self.waiting: dict[str, list[str]] = {"A": [], "B": []}
        self.number = 0

    def call(self) -> None:
        """One step of one process; then both read their mail, and time passes."""
        chance, process = self.chance, self.chance.choice("AB")
        wires = [wire for _ in range(chance.randint(0, 3)) if (wire := self._wire(process))]
        self._step(process, wires)
        if chance.random() < 0.5:
            self.rig.advance(chance.choice((1, 100, 700, 1_500)))
            self._step("B" if process == "A" else "A", [])  # who stays away for 3 s loses its tickets

    def rest(self) -> None:
        """End everything, and let the last leases run out."""
        for _ in range(25):
            for process in "AB":
                ends = [settle(id, 1, 1) for id in self.held[process]]
                withdrawn = [cancel(id) for id in self.waiting[process]]
                self.held[process], self.waiting[process] = [], []
                self._step(process, [*ends, *withdrawn])
            self.rig.advance(1_000)

    def _wire(self, process: str) -> Wire | None:
        chance, held, waiting = self.chance, self.held[process], self.waiting[process]
        what = chance.random()
        if what < 0.55:
            self.number += 1
            tokens, patience = (
                (chance.randint(0, 90), chance.randint(0, 300)),
                chance.choice((2_000, 600_000)),
            )
            return enqueue(
                f"{process}-{self.number}", self.limits, lane=chance.choice(("*", "big")), tokens=tokens,
                band=chance.choice(BANDS), tenant=chance.choice(TENANTS), wait_ms=patience,
            )  # fmt: skip
        if what < 0.65:
            return beat(*((id, chance.randint(0, 200)) for id in held))
        if what < 0.85 and held:
            id = held.pop(chance.randrange(len(held)))
            used = chance.randint(0, 90), chance.randint(0, 300)
            return settle(id, *used) if chance.random() < 0.7 else cancel(id)
        return cancel(waiting.pop(chance.randrange(len(waiting)))) if waiting else None

    def _step(self, process: str, wires: list[Wire]) -> None:
        answer = self.rig.taken(process, *wires)
        for wire, result in zip(wires, answer.results, strict=True):
            if wire[0] == "e" and result[0] in "gq":
                (self.held if result[0] == "g" else self.waiting)[process].append(wire[1])
        self._told(process, answer.grants, answer.refusals)
        for name in "AB":
            mail = self.rig.mailbox(name)
            self._told(name, mail.grants, mail.refusals)

    def _told(self, process: str, grants: Iterable[Any], refusals: Iterable[Any]) -> None:
        for id, *_ in grants:
            self.waiting[process].remove(id)
            self.held[process].append(id)
        for id, _ in refusals:
            self.waiting[process].remove(id)

    # -- what is stored --------------------------------------------------------------------------

    def records(self, kind: str) -> dict[str, Any]:
        """The small records of one kind, by name."""
        stored = self.rig.client.hgetall(self.rig.keys.all()[0])
        return {
            name[len(kind) + 1 :]: json.loads(text)
            for name, text in stored.items()
            if name.startswith(f"{kind}|")
        }

    def members(self, kind: str) -> list[str]:
        """The members of the index of one kind, in order, without that letter."""
        found = self.rig.client.zrange(self.rig.keys.all()[2], 0, -1)
        return [member[2:] for member in found if member.startswith(f"{kind}|")]

    def queued(self) -> dict[str, list[Any]]:
        """The stored tickets that wait, as they are stored."""
        stored = self.rig.client.hgetall(self.rig.keys.all()[1])
        return {id: json.loads(text) for id, text in stored.items() if text.startswith("[")}

    def leases(self) -> dict[str, list[str]]:
        """The names in the stored leases: process, domains, topic, key, flow."""
        stored = self.rig.client.hgetall(self.rig.keys.all()[1])
        texts = {id: text.encode(errors="surrogateescape") for id, text in stored.items()}
        names = {id: text[12:].split(b"\0", 5)[:5] for id, text in texts.items() if text.startswith(b"g")}
        return {id: [name.decode() for name in found] for id, found in names.items()}

    def lines(self) -> dict[str, list[str]]:
        """Per process and flow its waiting tickets in order."""
        found: dict[str, list[str]] = defaultdict(list)
        for member in self.members("w"):
            name, _, id = member.rsplit("|", 2)
            found[name].append(id)
        return dict(found)
