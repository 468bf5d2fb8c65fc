"""Random stories in which much waits: tenants with weights and limits in all bands, for longer than the aging time."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits
from llm_fleet.models import BANDS
from tests.oracle_books import Books
from tests.oracle_stories import LIMITS, Act, perform, wire_of
from tests.pool_rig import settle

__all__ = ["busy_pool", "busy_story", "limit_of", "play_busily"]

OFTEN = {
    "burst": 6, "drain": 12, "finish": 10, "settle": 4, "settle unknown": 2, "cancel": 2, "batch": 2,
    "wake": 4, "advance": 2, "throttle": 0.5, "beat": 2, "again": 1,
}  # fmt: skip
DEPTHS_MS, AGING_MS, MILLI = (2_000, 10_000, 60_000), (50, 300, 2_000), (500, 1_000, 3_000)
TOKENS = (0, 1, 7, 20, 40, 60, 90, 200)


def busy_pool(random: Random, *, fastness: int = 1) -> PoolLimits:
    """Two keys, of one account or two, with limits that fit the needs; one to three tenants are known."""
    names = random.sample(sorted(LIMITS), random.randint(1, 3))
    shared = LaneLimits(
        "*", tuple(limit_of(random, name, fastness) for name in names), random.choice((0, 0, 0, 6))
    )
    lanes = (
        shared,
        LaneLimits(
            "big", tuple(limit_of(random, name, fastness) for name in LIMITS if name not in names)[:1]
        ),
    )
    return PoolLimits(
        "p",
        (("k0", ("d0",)), ("k1", (random.choice(("d0", "d1")),))),
        (DomainLimits("d0", lanes), DomainLimits("d1", lanes)),
        tenants=tuple(_tenant(random, name, fastness) for name in "xyz"[: random.randint(1, 3)]),
        aging_ms=random.choice(AGING_MS) // fastness,
    )


def limit_of(random: Random, resource: str, fastness: int = 1) -> Bucket:
    """A limit of this resource."""
    amounts = (90, 600, 1_200) if resource == "requests" else (5_000, 20_000)
    return Bucket(
        resource, random.choice(amounts) * fastness, burst_ms=random.choice(DEPTHS_MS) // fastness,
        jitter_ms=random.choice((0, 500)) // fastness, rule=random.choice(LIMITS[resource]),
    )  # fmt: skip


def _tenant(random: Random, name: str, fastness: int) -> TenantLimits:
    """One in three has limits of its own."""
    lane = None
    if random.random() < 0.33:
        buckets = (limit_of(random, random.choice(sorted(LIMITS)), fastness),)
        lane = LaneLimits("*", buckets[: random.randint(0, 1)], random.choice((0, 1, 2)))
    return TenantLimits(name, random.choice(MILLI), lane)


def busy_story(random: Random, length: int) -> list[Act]:
    """So many acts."""
    kinds = random.choices([*OFTEN], [*OFTEN.values()], k=length)
    return [_act(random, kind, random.choice("AB")) for kind in kinds]


def _act(random: Random, kind: str, process: str) -> Act:
    """One act with random numbers."""
    lane, tokens = random.choice(("*", "*", "big")), (random.choice(TOKENS), random.choice(TOKENS))
    band = random.choice(("interactive", "interactive", "interactive", *BANDS))
    return Act(
        kind, process, random.randint(0, 11), lane, tokens, random.choice("x "), band, random.randint(0, 3)
    )


def play_busily(books: Books, random: Random, act: Act) -> None:
    """Let an act happen; beside those of other stories: tickets in bursts, and time from wake to wake."""
    if act.kind == "drain":
        for _ in range(random.randint(1, 8)):
            books.advance(min(1_000, books.next_wake()), first=act.process)
    elif act.kind == "finish":
        held = books.held_by(act.process)[: random.randint(1, 20)]
        books.step(act.process, *(settle(h.id, *(random.randint(0, t) for t in h.wire[4:6])) for h in held))
    elif act.kind == "burst":
        books.step(act.process, *(wire_of(books, each) for each in _burst(random, act)))
    else:
        perform(books, act)


def _burst(random: Random, act: Act) -> Sequence[Act]:
    """Some tickets at once, of unlike tenants, bands and sizes."""
    kind = random.choice(("enqueue", "enqueue", "enqueue", "enqueue now"))
    return [_act(random, kind, act.process) for _ in range(random.randint(4, 16))]
