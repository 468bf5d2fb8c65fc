"""The place of a process in its fleet, and what part of each limit is its own by that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """One of `processes`, the one with number `rank` (from 0): as the last heartbeat said.

    `outages` are the keys out of service, each with the moment (monotonic ms) at which it is back.
    """

    processes: int
    rank: int
    outages: Mapping[str, float]

    def turn(self, domain: str) -> int:
        """The number of the process among those that a domain's limits are dealt to.

        Each domain begins with another process, so that small remainders do not all go to the first;
        all limits of a domain begin with the same, so that who has one of its requests has a slot too.
        """
        return (self.rank + crc32(domain.encode())) % self.processes

    def part_of(self, amount: int, domain: str) -> int:
        """The part of `amount` that is dealt to this process; all parts together are `amount`."""
        whole, rest = divmod(amount, self.processes)
        return whole + (self.turn(domain) < rest)
