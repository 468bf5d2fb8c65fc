"""What a simulated fleet has seen, for tests, machines and people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tests.simulation.world import S

__all__ = ["Report", "Spread", "spread_of"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Waits, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float
    most: float


def spread_of(waits: Sequence[int]) -> Spread:
    """Of waits in microseconds."""
    ordered = sorted(waits) or [0]
    p50, p95, p99 = (
        ordered[min(len(ordered) - 1, int(len(ordered) * share))] / S for share in (0.5, 0.95, 0.99)
    )
    return Spread(len(waits), p50, p95, p99, ordered[-1] / S)


@dataclass(slots=True)
class Report:
    """`use` is the mean over the accounts of what was consumed of what each permitted; 429s by resource."""

    seconds: float
    grants: int
    served: int
    use: Mapping[str, float]
    least_use: Mapping[str, float]
    refused: Mapping[str, int]
    denials: Mapping[str, int]
    steps: Mapping[str, float]
    beatless: float
    waits: Mapping[str, Spread]
    waiting: int
    granted_in_pauses: int
    granted_twice: int
    peak: int
    longest_gap_s: float
    left: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0

    @property
    def avoidable(self) -> int:
        """429s of limits: the fleet should have known."""
        return sum(count for resource, count in self.refused.items() if resource != "throttled")

    @property
    def is_at_rest(self) -> bool:
        """Nothing was left behind."""
        return not any(self.left.values())

    def as_json(self) -> str:
        return json.dumps({**asdict(self), "avoidable": self.avoidable}, indent=2)

    def lines(self) -> Iterator[str]:
        """For people."""
        use = ", ".join(f"{name} {share:.1%}" for name, share in self.use.items())
        yield f"{self.grants} grants in {self.seconds:.0f} s; used of what was permitted: {use}"
        yield f"429s: {self.avoidable} avoidable, {self.refused.get('throttled', 0)} not; denials: {dict(self.denials)}"
        steps = ", ".join(f"{kind} {count}" for kind, count in self.steps.items() if kind != "per_request")
        yield f"steps per request {self.steps['per_request']}, without heartbeats {self.beatless} ({steps})"
        yield f"{'band|tenant':<28} {'grants':>7} {'p50 s':>8} {'p95 s':>8} {'p99 s':>8} {'max s':>8}"
        for place, waits in self.waits.items():
            yield f"{place:<28} {waits.count:>7} {waits.p50:>8.2f} {waits.p95:>8.2f} {waits.p99:>8.2f} {waits.most:>8.2f}"
        yield f"{self.waiting} waited at the end; longest time without a grant {self.longest_gap_s:.2f} s; lost to the dead: {self.lost}"
        yield f"left when all was over: {dict(self.left)}"
