"""What was dealt to this process: its part of every limit, as local buckets. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..values import LaneLimits, PoolLimits
from .bucket import LocalBucket, shape_of
from .place import Place

__all__ = ["Dealt", "Record"]


@dataclass(slots=True)
class Record:
    """The part of a lane's limits in one domain. `slots`: 0 where they are not limited.

    `is_empty`: of some limit nothing was dealt to this process.
    """

    field: str
    buckets: list[LocalBucket]
    slots: int = 0
    is_empty: bool = False


class Dealt:
    """The parts of a pool's limits that belong to one place, empty at `since` (ms); made as they are used.

    `has_lead`: of requests they begin with less than one, each process with another part.
    """

    def __init__(self, limits: PoolLimits, place: Place, since: int, *, has_lead: bool = True) -> None:
        self._place, self._since, self._has_lead = place, since, has_lead
        self._lanes = {
            (domain.name, lane.lane): lane for domain in limits.every_domain for lane in domain.lanes
        }
        self._records: dict[tuple[str, str], Record | None] = {}

    def records_of(self, domains: tuple[str, ...], lane: str) -> Iterator[Record]:
        """What limits a lane in these domains: what all lanes share, and its own."""
        for domain in domains:
            for name in ("*", lane) if lane != "*" else ("*",):
                record = self._record(domain, name)
                if record is not None:
                    yield record

    def slots_of(self, domain: str) -> int:
        """Leases that this process may have in flight there; 0: that is not limited."""
        record = self._record(domain, "*")
        return record.slots if record else 0

    def used(self) -> list[Record]:
        """The records that were asked for so far."""
        return [record for record in self._records.values() if record is not None]

    def _record(self, domain: str, lane: str) -> Record | None:
        name = (domain, lane)
        if name not in self._records:
            limits = self._lanes.get(name)
            self._records[name] = self._deal(domain, limits) if limits else None
        return self._records[name]

    def _deal(self, domain: str, lane: LaneLimits) -> Record:
        """Buckets are empty, but for a lead: so the requests of a fleet whose processes all begin at once
        leave one by one, at the pace of the whole limit."""
        place = self._place
        record = Record(f"{domain}|{lane.lane}", [])
        for limit in lane.buckets:
            part = place.part_of(limit.amount, domain)
            if part == 0:
                record.is_empty = True
                continue
            shape = shape_of(limit, part)
            lead = shape.unit * (place.processes - 1 - place.turn(domain)) // place.processes
            is_led = self._has_lead and shape.resource == "requests"
            record.buckets.append(LocalBucket(shape, self._since, lead if is_led else 0))
        if lane.concurrency:
            record.slots = place.part_of(lane.concurrency, domain)
            record.is_empty = record.is_empty or record.slots == 0
        return record
