"""The oracle's queues: bands, the flows of the tenants with their tags, and the aging turn (ENGINE.md §4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_fleet.models import BANDS
from tests.oracle_tickets import Ticket

__all__ = ["AGING_TURN", "Flow", "Queue"]

AGING_TURN = 7
"""So many grants in a row pass an aged band by; the next one is its."""


@dataclass(slots=True, eq=False)
class Flow:
    """The tickets of one tenant in one band of a queue: first come, first served."""

    queue: Queue
    band: int
    tenant: str
    weight_milli: int
    tag: int = 0
    waiting: list[Ticket] = field(default_factory=list)
    parked_until: float | None = None  # by a limit of its tenant; None: it is not
    was_large: bool = False  # it has had a ticket that needs more than a bucket's capacity

    @property
    def is_open(self) -> bool:
        """It takes part in the order."""
        return bool(self.waiting) and self.parked_until is None

    @property
    def place(self) -> tuple[int, int]:
        """Its place in its band: by the tag, then by when its head arrived."""
        return self.tag, self.waiting[0].order

    def join(self, ticket: Ticket) -> None:
        """A ticket arrives."""
        if not self.waiting:
            self.surface()
        self.waiting.append(ticket)

    def leave(self, ticket: Ticket) -> None:
        """A ticket goes; a flow was parked for the sake of its head, which may be another now."""
        is_head = ticket is self.waiting[0]
        self.waiting.remove(ticket)
        if is_head and self.parked_until is not None:
            self.unpark()

    def unpark(self) -> None:
        """It takes part again."""
        self.parked_until = None
        self.surface()

    def surface(self) -> None:
        """Who was away has saved nothing up."""
        self.tag = max(self.queue.virtual[self.band], self.tag)

    def serve(self, cost: int) -> None:
        """Its head is granted."""
        virtual = self.queue.virtual
        virtual[self.band] = max(virtual[self.band], self.tag)
        self.tag += cost * 1000 // self.weight_milli

    def correct(self, cost: int) -> None:
        """A call of its took so much more, or less, than was counted; who is away and level is not concerned."""
        if self.waiting or self.tag > self.queue.virtual[self.band]:
            self.tag = max(0, self.tag + cost * 1000 // self.weight_milli)


@dataclass(slots=True, eq=False)
class Queue:
    """What waits for a lane with one set of keys."""

    name: str
    virtual: Counter[int] = field(default_factory=Counter)
    flows: dict[tuple[int, str], Flow] = field(default_factory=dict)
    turn: int = 0
    is_gone: bool = False

    def flow(self, band: str, tenant: str, weight_milli: int) -> Flow:
        """The flow of a tenant in a band."""
        place = BANDS.index(band), tenant
        return self.flows.setdefault(place, Flow(self, *place, weight_milli))

    @property
    def waiting(self) -> Sequence[Ticket]:
        """All that waits, in order of arrival."""
        tickets = [ticket for flow in self.flows.values() for ticket in flow.waiting]
        return sorted(tickets, key=lambda ticket: ticket.order)

    @property
    def open_flows(self) -> Sequence[Flow]:
        """The flows that take part, by band, then by their place in it."""
        flows = [flow for flow in self.flows.values() if flow.is_open]
        return sorted(flows, key=lambda flow: (flow.band, flow.place))

    def aged(self, now: int, aging_ms: int) -> Sequence[int]:
        """The bands below the highest whose oldest head has waited too long; the oldest first."""
        flows, oldest = self.open_flows, dict[int, Ticket]()
        for flow in flows:
            if flow.band > flows[0].band:
                head = flow.waiting[0]
                oldest[flow.band] = min(head, oldest.get(flow.band, head), key=lambda ticket: ticket.order)
        late = [band for band, ticket in oldest.items() if now - ticket.enqueued_at > aging_ms]
        return sorted(late, key=lambda band: oldest[band].order)

    def first(self, now: int, aging_ms: int) -> Flow | None:
        """The flow whose head is the queue's."""
        flows, aged = self.open_flows, self.aged(now, aging_ms)
        if aged and self.turn >= AGING_TURN:
            return next(flow for flow in flows if flow.band == aged[0])
        return flows[0] if flows else None

    def head(self, now: int, aging_ms: int) -> Ticket | None:
        """The ticket that is to go next."""
        flow = self.first(now, aging_ms)
        return flow.waiting[0] if flow else None

    def count_turn(self, flow: Flow, aged: Sequence[int]) -> None:
        """A ticket of this flow was picked while these bands were aged."""
        self.turn = 0 if not aged or flow.band in aged else self.turn + 1
