"""The oracle's values: tickets, verdicts on them, and what a call says to whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.oracle_buckets import Charge

if TYPE_CHECKING:
    from tests.oracle_flows import Flow


@dataclass(slots=True)
class Ticket:
    """A ticket, from the queue to its end."""

    id: str
    process: str
    lane: str
    keyset: str
    order: int
    input: int
    output: int
    deadline: int
    preferred: str
    tag: str
    predicted: int
    is_cold: bool
    enqueued_at: int
    max_queued: int
    flow: Flow
    samples: int  # known of its topic when it came
    state: str = "q"
    is_sampled: bool = False
    cost: int = 0
    key: str = ""
    fence: int = 0
    spacing_ms: int = 0
    expires_at: int = 0
    expired_at: int = 0
    domains: tuple[str, ...] = ()
    charges: list[Charge] = field(default_factory=list)
    own_charges: int = 0  # so many of them, the last, are its tenant's

    @property
    def key_charges(self) -> list[Charge]:
        """What it took by its key; these count in the order of its queue."""
        return self.charges[: len(self.charges) - self.own_charges]

    @property
    def grant(self) -> tuple[str, str, int, int]:
        return self.id, self.key, self.fence, self.spacing_ms


@dataclass(frozen=True, slots=True)
class Promise:
    """What a blocked head reserves in a bucket, from so many ms on."""

    need: int
    begins: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a key means for a ticket: ms to wait (infinite: time alone does not help), and its room."""

    key: str
    domains: tuple[str, ...]
    wait: float
    room: float
    waits: dict[str, float]

    @property
    def rank(self) -> tuple[float, float]:
        """The first to go comes first; then the one with the most room."""
        return self.wait, -self.room


@dataclass(frozen=True, slots=True)
class Timer:
    """Who was told to call for which head, and when."""

    head: str
    at: int
    process: str


@dataclass(slots=True)
class Said:
    """What one call says: its results, and per process what it learns unasked."""

    now: int
    fence: int = 0
    results: list[tuple[Any, ...]] = field(default_factory=list)
    grants: set[tuple[Any, ...]] = field(default_factory=set)
    refusals: set[tuple[str, str, str]] = field(default_factory=set)
    retry_ms: dict[str, float] = field(default_factory=dict)
    wakes: set[tuple[str, str, str, int]] = field(default_factory=set)
