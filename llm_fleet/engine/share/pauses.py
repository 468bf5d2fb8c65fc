"""The 429s of an absence: their domains pause here at once, and for the fleet when Redis is back. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..lease import Lease
from ..values import Settlement, Throttle
from .books import Books, Charges

__all__ = ["Pauses", "Throttled"]


@dataclass(frozen=True, slots=True)
class Throttled:
    """A lease of the share that drew a 429: no grant in its domains before `until` (ms)."""

    lease: Lease
    charges: Charges
    settlement: Settlement
    until: float

    def remainder(self, now: int) -> Settlement:
        """The settlement with what is left of the pause."""
        throttle = self.settlement.throttle
        left_s = (self.until - now) / 1000
        return replace(self.settlement, throttle=Throttle(left_s, throttle.resource if throttle else None))


class Pauses:
    """Those whose pauses are not over. Their charges stay in the books until they are."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._throttled: list[Throttled] = []

    def add(
        self, lease: Lease, domains: Iterable[str], charges: Charges | None, said: Settlement, now: int
    ) -> None:
        """A lease ended with a 429. One that Redis granted (no charges) tells Redis by its own settle."""
        if said.throttle is None:
            return
        until = now + math.ceil(said.throttle.retry_after_s * 1000)
        self._books.pause(domains, until)
        self._throttled = self.lasting(now)
        if charges is not None:
            self._books.empty(charges, said.throttle.resource)
            self._throttled.append(Throttled(lease, charges, said, until))

    def lasting(self, now: int) -> list[Throttled]:
        """Those whose pauses still last; of the others the charges are settled."""
        for one in self._throttled:
            if one.until <= now:
                self._books.settle(one.charges, one.settlement, now)
        self._throttled = [one for one in self._throttled if one.until > now]
        return self._throttled

    def take(self, now: int) -> list[Throttled]:
        """Those whose pauses still last: Redis is told of them."""
        lasting, self._throttled = self.lasting(now), []
        return lasting
