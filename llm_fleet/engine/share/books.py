"""What this process's share of every limit still permits, during one absence of Redis.

Empty at the moment from which Redis has given nothing. Pure: `now` is an argument, in ms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from zlib import crc32

from ..values import TENANT_DOMAIN, Need, PoolLimits, Settlement
from .bucket import NEVER, LocalBucket, Taken, amount_of
from .dealt import Dealt
from .place import Place

__all__ = ["Ask", "Books", "Charges", "Choice", "Scene"]

LOOKED_AT = 16
"""Of a crowd of keys so many are compared, where one of them will do."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A need, and the output tokens that it will probably have; `is_cold` where little is known of that."""

    need: Need
    predicted: int
    is_cold: bool


@dataclass(slots=True)
class Scene:
    """What a choice is made in: this process's leases by domain, where slots are limited, and the units
    that heads before reserve."""

    now: int
    in_flight: Counter[str]
    ahead: Counter[LocalBucket] = field(default_factory=Counter)


@dataclass(slots=True)
class Charges:
    """What a lease took from the share, and where."""

    ask: Ask
    domains: tuple[str, ...]
    taken: list[tuple[LocalBucket, Taken]]
    spacing_ms: int


@dataclass(slots=True)
class Choice:
    """A key for a ticket: `wait_ms` 0 may go, NEVER not by time alone; `needs` per bucket, in units.

    `fits` is False where the share is smaller than the ticket.
    """

    key_id: str
    domains: tuple[str, ...]
    wait_ms: float = 0
    room: float = 1.0
    needs: list[tuple[LocalBucket, int]] = field(default_factory=list)
    fits: bool = True


class Books:
    """The share of a pool since `since` (ms). `is_open`: nothing is dealt, and only pauses block.

    `is_resumed`: an absence before it was almost over.
    """

    def __init__(
        self,
        limits: PoolLimits,
        place: Place,
        since: int,
        *,
        is_open: bool = False,
        is_resumed: bool = False,
    ) -> None:
        self._is_open = is_open
        self._dealt = Dealt(limits, Place(1, 0, {}) if is_open else place, since, has_lead=not is_resumed)
        self._keys = sorted(limits.keys)
        self.has_slots = any(lane.concurrency for domain in limits.every_domain for lane in domain.lanes)
        self._limited = {tenant.name for tenant in limits.tenants if tenant.lane}
        self._outages: dict[str, float] = dict(place.outages)
        self._paused: dict[str, float] = {}
        self._slots_told: Counter[str] | None = None
        self._turn = 0

    def tenant_of(self, need: Need) -> str:
        """The tenant whose own limits a ticket needs; "" where it has none."""
        return need.tenant if need.tenant in self._limited else ""

    def with_tenant(self, need: Need, domains: tuple[str, ...]) -> tuple[str, ...]:
        """The domains of a key, and that of the tenant where it has limits of its own."""
        return (*domains, TENANT_DOMAIN + need.tenant) if need.tenant in self._limited else domains

    def choose(self, ask: Ask, scene: Scene) -> Choice | None:
        """The key for a ticket: one that may go, by affinity or with the most room; else the first that will.

        None: it is too large for what was dealt of every key.
        """
        best: Choice | None = None
        self._turn += 1
        for number, (key, domains) in enumerate(self._in_turn(ask.need)):
            if number >= LOOKED_AT and best is not None and best.wait_ms == 0:
                break
            choice = self._weigh(key, domains, ask, scene)
            if not choice.fits:
                continue
            if number == 0 and ask.need.affinity and choice.wait_ms == 0:
                return choice
            if best is None or (choice.wait_ms, -choice.room) < (best.wait_ms, -best.room):
                best = choice
        return best

    def _in_turn(self, need: Need) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The keys, beginning with the preferred one, else each time with another."""
        keys, turn = self._keys, self._turn * LOOKED_AT
        first = (crc32(need.affinity.encode()) if need.affinity else turn) % len(keys) if keys else 0
        yield from keys[first:]
        yield from keys[:first]

    def _weigh(self, key: str, domains: tuple[str, ...], ask: Ask, scene: Scene) -> Choice:
        need = ask.need
        choice = Choice(key, self.with_tenant(need, domains))
        for record in self._dealt.records_of(choice.domains, need.lane):
            choice.fits = choice.fits and not record.is_empty
            for bucket in record.buckets:
                bucket.refill(scene.now)
                units = bucket.need_of(need.input_tokens, need.max_output_tokens, ask.predicted, ask.is_cold)
                choice.needs.append((bucket, units))
                choice.fits = choice.fits and (self._is_open or bucket.fits(units))
        pauses = [self._paused.get(domain, 0) for domain in choice.domains]
        choice.wait_ms = max(0, max([self._outages.get(key, 0), *pauses]) - scene.now)
        self._weigh_slots(choice, scene)
        self._weigh_buckets(choice, scene, ask.is_cold)
        return choice

    def _weigh_slots(self, choice: Choice, scene: Scene) -> None:
        for domain in choice.domains:
            slots = self._dealt.slots_of(domain)
            if slots:
                told = slots if self._slots_told is None else min(slots, self._slots_told[domain])
                free = told - scene.in_flight[domain]
                choice.room = min(choice.room, (free - 1) / slots)
                if free < 1 and not self._is_open:
                    choice.wait_ms = NEVER

    def _weigh_buckets(self, choice: Choice, scene: Scene, is_cold: bool) -> None:
        for bucket, units in choice.needs:
            reserved = scene.ahead[bucket] + bucket.stake(units, is_cold)
            left = bucket.level - bucket.held - reserved - units
            choice.room = min(choice.room, left / bucket.shape.capacity)
            if left < 0 and not self._is_open:
                choice.wait_ms = max(choice.wait_ms, bucket.wait_ms(units, reserved, scene.now))

    # -- taking and giving back ----------------------------------------------------------------

    def grant(self, choice: Choice, ask: Ask) -> Charges:
        """Take what the choice needs."""
        taken = [(bucket, bucket.take(units)) for bucket, units in choice.needs]
        spacings = [
            -(-units // bucket.shape.rate)
            for bucket, units in choice.needs
            if bucket.shape.tick == 1 and bucket.shape.rule != "as_produced"
        ]
        return Charges(ask, choice.domains, taken, max(spacings, default=0))

    def settle(self, charges: Charges, settlement: Settlement, now: int) -> None:
        """End a lease with what was consumed."""
        for bucket, taken in charges.taken:
            bucket.refill(now)
            bucket.settle(taken, _units(bucket, settlement))

    def give_back(self, charges: Charges, now: int) -> None:
        """Undo a grant: it was not sent."""
        for bucket, taken in charges.taken:
            bucket.refill(now)
            bucket.give_back(taken)

    def move(self, charges: Charges) -> None:
        """Redis counts this lease from now on."""
        for bucket, taken in charges.taken:
            bucket.move(taken)

    def pause(self, domains: Iterable[str], until: float) -> None:
        """A 429: no grant in these domains before `until` (ms); tenants' own are no provider's."""
        for domain in domains:
            if not domain.startswith(TENANT_DOMAIN):
                self._paused[domain] = max(self._paused.get(domain, 0), until)

    def empty(self, charges: Charges, resource: str | None) -> None:
        """A 429 named this resource: nothing is left of it."""
        for bucket, _ in charges.taken:
            if bucket.shape.resource == resource:
                bucket.level = min(bucket.level, 0)

    def take_out(self, key_id: str, until: float) -> None:
        """A key is out of service until then (ms; NEVER: until it is resumed)."""
        self._outages[key_id] = until

    def keep_slots(self, in_flight: Counter[str]) -> None:
        """No more leases at once from now on than Redis knows of: these, by domain."""
        self._slots_told = in_flight

    def tell(self, now: int, ahead_ms: int, *, is_lost: bool = False) -> list[list[int | str]]:
        """For Redis, per limit: [field, kind, lack, debt, unit], what it was not told yet.

        `is_lost`: its state is another one than before; no level is above 0, only debts lack.
        """
        found: list[list[int | str]] = []
        for record in self._dealt.used():
            for bucket in record.buckets:
                bucket.refill(now)
                lack, debt = bucket.tell(ahead_ms)
                if self._is_open:
                    lack, debt = min(lack, bucket.shape.capacity), 0
                lack = debt if is_lost else lack
                if lack or debt:
                    found.append([record.field, bucket.shape.kind, lack, debt, bucket.shape.unit])
        return found


def _units(bucket: LocalBucket, settlement: Settlement) -> int | None:
    """What was consumed of a bucket's resource, in units; None where that is not known."""
    shape, tokens_in, tokens_out = bucket.shape, settlement.input_tokens, settlement.output_tokens
    needs_input = shape.resource in ("input_tokens", "tokens")
    needs_output = shape.resource in ("output_tokens", "tokens")
    if (needs_input and tokens_in is None) or (needs_output and tokens_out is None):
        return None
    return amount_of(shape.resource, tokens_in or 0, tokens_out or 0) * shape.unit
