"""Tasks that ask again as soon as they are served, on a rig whose time moves from wake to wake."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.pool_rig import Rig, Wire, beat, enqueue, settle

__all__ = ["Grant", "Loops", "Stream", "streams"]

PRESENCE_MS = 900


@dataclass(slots=True, eq=False)
class Stream:
    """A task that always wants the same: it ends a call at once, and asks again."""

    process: str = "A"
    options: dict[str, Any] = field(default_factory=dict)
    used: Callable[[], int] | None = None  # input tokens of a call; None: as it was estimated
    waits: list[int] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Input tokens that it asks for."""
        return int(self.options.get("tokens", (0, 0))[0])


def streams(count: int, process: str = "A", **options: Any) -> list[Stream]:
    """So many tasks that want the same."""
    return [Stream(process, options) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant, and what its call used."""

    fence: int
    at: int
    key: str
    stream: Stream
    used: int


class Loops:
    """Processes with their tasks. Nobody calls but who has something to say, or was told to."""

    def __init__(self, rig: Rig, tasks: Iterable[Stream]) -> None:
        self.rig = rig
        self.outboxes: dict[str, list[Wire]] = {process: [] for process in rig.members}
        self.alarms: dict[tuple[str, str], int] = {}
        self.present: dict[str, int] = dict.fromkeys(rig.members, rig.time_ms)
        self.waiting: dict[str, tuple[Stream, int]] = {}
        self.grants: list[Grant] = []
        self.numbers = itertools.count()
        for task in tasks:
            self.ask(task)

    def ask(self, stream: Stream) -> None:
        """A task asks."""
        ticket = f"{stream.process}{next(self.numbers)}"
        wire = enqueue(ticket, self.rig.members[stream.process].limits, **stream.options)
        self.waiting[ticket] = stream, self.rig.time_ms
        self.outboxes[stream.process].append(wire)

    def run(self, ms: int, pace_ms: int = 1) -> None:
        """Let time pass, from call to call, but no faster than this pace."""
        end = self.rig.time_ms + ms
        self._settle_down()
        while self.rig.time_ms < end:
            due = min([end, *self.alarms.values(), *(at + PRESENCE_MS for at in self.present.values())])
            self.rig.advance(max(pace_ms, due - self.rig.time_ms))
            self._settle_down()

    def _settle_down(self) -> None:
        """Everybody calls until nobody has anything to say at this moment."""
        while callers := [process for process in self.outboxes if self._has_to_call(process)]:
            for process in callers:
                self._call(process)

    def _has_to_call(self, process: str) -> bool:
        now = self.rig.time_ms
        is_due = any(at <= now for (owner, _), at in self.alarms.items() if owner == process)
        return bool(self.outboxes[process]) or is_due or now - self.present[process] >= PRESENCE_MS

    def _call(self, process: str) -> None:
        batch, self.outboxes[process] = self.outboxes[process][:100], self.outboxes[process][100:]
        now = self.present[process] = self.rig.time_ms
        self.alarms = {who: at for who, at in self.alarms.items() if who[0] != process or at > now}
        answer = self.rig.taken(process, *(batch or [beat()]))
        for wire, result in zip(batch, answer.results, strict=False):
            if wire[0] == "e" and result[0] == "g":
                self._granted(wire[1], *result[1:3])
        for receiver in self.outboxes:
            mail = answer if receiver == process else self.rig.mailbox(receiver)
            for ticket, key, fence, _ in mail.grants:
                self._granted(ticket, key, fence)
            for queue, _, ms in mail.wakes:
                self.alarms[receiver, queue] = now + ms

    def _granted(self, ticket: str, key: str, fence: int) -> None:
        stream, asked_at = self.waiting.pop(ticket)
        used = stream.used() if stream.used else stream.tokens
        stream.waits.append(self.rig.time_ms - asked_at)
        self.grants.append(Grant(fence, self.rig.time_ms, key, stream, used))
        self.outboxes[stream.process].append(settle(ticket, used, 0) if stream.used else settle(ticket))
        self.ask(stream)
