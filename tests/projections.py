"""Tickets that are explained while they wait, and what then becomes of them, on a rig with moved time."""

from __future__ import annotations

import json
from typing import Any

from llm_fleet.engine.explain import Explanation, explanation
from tests.closed_loops import Loops, Stream
from tests.pool_rig import Rig, settle

__all__ = ["Once", "explain"]


def explain(rig: Rig, ticket: str) -> Explanation:
    """A ticket, as the pool explains it."""
    text = rig.call("pool_explain", ticket)
    return explanation(ticket, rig.keys.pool, json.loads(text) if text else {"state": "unknown"})


class Once(Loops):
    """Every task asks once, and ends its call at once."""

    def __init__(self, rig: Rig) -> None:
        self.started: dict[str, int] = {}
        super().__init__(rig, [])

    def put(self, count: int, process: str = "A", *, used: int | None = None, **options: Any) -> list[str]:
        """So many tickets that want the same; `used` are the input tokens of each in the end."""
        first = len(self.started) + len(self.waiting)
        for _ in range(count):
            self.ask(Stream(process, options, used=None if used is None else lambda: used))
        return [f"{process}{number}" for number in range(first, first + count)]

    def _granted(self, ticket: str, key: str, fence: int) -> None:
        stream, _ = self.waiting.pop(ticket)
        self.started[ticket] = self.rig.time_ms
        used = stream.used() if stream.used else None
        self.outboxes[stream.process].append(settle(ticket, used, None if used is None else 1))

    def projected(self, *tickets: str) -> dict[str, float]:
        """When these tickets are expected to start, in ms from now."""
        starts = {ticket: explain(self.rig, ticket).starts_in_s for ticket in tickets}
        return {ticket: round(start * 1000) for ticket, start in starts.items() if start is not None}

    def compared(self, *tickets: str, ms: int = 600_000) -> list[tuple[str, float, int]]:
        """Per ticket when it was expected to start, and when it did, in ms from now."""
        now, projected = self.rig.time_ms, self.projected(*tickets)
        self.run(ms)
        return [(ticket, projected[ticket], self.started[ticket] - now) for ticket in tickets]
