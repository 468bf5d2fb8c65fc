"""A ledger of one bucket: what its users did to it, by the rules of ENGINE.md §3."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from llm_fleet.engine.values import Bucket
from tests.oracle_books import Books, Call, Held
from tests.oracle_buckets import COLD_OUTPUT, UNIT, OracleBucket

__all__ = ["Ledger"]


@dataclass(slots=True)
class Entry:
    """What a lease holds, and what it was charged so far."""

    hold: int
    charged: int


class Ledger(Books):
    """Books of a pool with one key and one limit, kept in units. Predictions must all be cold."""

    def keep(self, limit: Bucket) -> None:
        """Begin."""
        self.bucket = OracleBucket(limit, 0)  # its numbers; its level is not used
        self.charges: Counter[int] = Counter()
        self.debts: Counter[int] = Counter()
        self.entries: dict[str, Entry] = {}
        self._read_calls = self._read_grants = 0

    def read(self) -> None:
        """Book what happened since."""
        for held in self.grants[self._read_grants :]:
            self._granted(held)
        self._read_grants = len(self.grants)
        for call in self.calls[self._read_calls :]:
            self._called(call)
        self._read_calls = len(self.calls)

    @property
    def held(self) -> int:
        """The sum of the holds of the leases in flight."""
        return sum(entry.hold for entry in self.entries.values())

    @property
    def debt(self) -> int:
        """The most that anybody can owe."""
        return sum(self.debts.values())

    def _granted(self, held: Held) -> None:
        _, _, _, _, input, output, *_ = held.wire
        need = self.bucket.need(input, output, min(output, COLD_OUTPUT), True)
        if self.bucket.rule == "as_produced":
            self.entries[held.id] = Entry(need, 0)
            return
        self.entries[held.id] = Entry(0, need)
        self.charges[held.granted_at] += need
        self.debts[held.granted_at] += max(0, need - self.bucket.capacity)

    def _called(self, call: Call) -> None:
        for wire, result in zip(call.operations, call.results, strict=True):
            match wire, result:
                case ["s", id, input, output, *_], ["s", "s"] if id in self.entries:
                    self._settled(
                        call.at, id, None if output < 0 else self.bucket.amount(input, output) * UNIT
                    )
                case ["c", id], ["c", "g", *_] if id in self.entries:
                    entry = self.entries.pop(id)
                    self.charges[call.at] -= 0 if self.bucket.rule == "as_produced" else entry.charged
                case ["h", reports, *_], _:
                    for id, tokens in reports:
                        self._produced(call.at, id, tokens * UNIT)

    def _settled(self, at: int, id: str, actual: int | None) -> None:
        entry = self.entries[id]
        if self.bucket.rule == "as_produced":
            self._produced(at, id, entry.charged + entry.hold if actual is None else actual)
        elif self.bucket.rule == "at_start_adjust" and actual is not None:
            self.charges[at] += actual - entry.charged
            self.debts[at] += max(0, actual - entry.charged)
        del self.entries[id]

    def _produced(self, at: int, id: str, units: int) -> None:
        entry = self.entries.get(id)
        if self.bucket.rule == "as_produced" and entry and units > entry.charged:
            more = units - entry.charged
            self.charges[at] += more
            self.debts[at] += max(0, more - entry.hold)
            entry.charged, entry.hold = units, entry.hold - min(entry.hold, more)

    def worst_window(self) -> int:
        """By how many units any window has passed capacity + limit x its ticks + its debts."""
        worst, times = 0, sorted(self.charges)
        for i, start in enumerate(times):
            charged = 0
            for end in times[i:]:
                charged += self.charges[end] - self.debts[end]
                ticks = end // self.bucket.tick_ms - start // self.bucket.tick_ms
                worst = max(worst, charged - self.bucket.capacity - self.bucket.rate * ticks)
        return worst
