"""A ticket as its process sees it, and what its owner is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tests.simulation.world import Event

__all__ = ["TTL_S", "Owner", "Ticket"]

TTL_S = 15.0


@dataclass(slots=True, eq=False)
class Ticket:
    """A ticket of this process, and the lease that it becomes."""

    place: tuple[str, str]
    tokens: tuple[int, int]
    deadline: int
    owner: Owner
    id: str = ""
    asked_at: int = 0
    is_queued: bool = False
    timer: Event | None = None
    key: str = ""
    granted_at: int = 0
    granted_ms: int = 0
    spacing: int = 0
    is_lost: bool = False


class Owner(Protocol):
    """Who has asked for tickets: what becomes of each is told once."""

    def granted(self, ticket: Ticket) -> None: ...
    def denied(self, ticket: Ticket, reason: str) -> None: ...
    def produced(self, ticket: Ticket) -> int: ...
