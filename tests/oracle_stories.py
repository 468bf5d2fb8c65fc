"""Random pools and random stories about them, for the property tests of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import RULES, Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits
from llm_fleet.models import BANDS
from tests.oracle_books import Books
from tests.pool_rig import Wire, cancel

__all__ = ["CALLS", "MODEST", "Act", "acts", "members", "perform", "play", "pools"]

MODEST = settings(
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes: add it to look into a failure
)
LANES, TENANTS = ("*", "big"), ("x", "y", "z")
BURSTS_MS, JITTERS_MS = (2_000, 5_000, 10_000, 60_000), (0, 500)
TOKENS = st.sampled_from((0, 1, 7, 40, 90, 200, 400))
WEIGHTS_MILLI, AGING_MS = (500, 1_000, 3_000), (300, 5_000, 30_000)
PAUSES_MS = (1, 300, 1_000, 4_000)
TICKS_MS = (1, 7, 49, 51, 300, 1_000, 4_999, 5_000, 16_000)
AT_START, AT_START_ADJUST, AS_PRODUCED = RULES

REQUESTS, TOKEN_LIMITS, DAYS = (1, 7, 30, 90), (200, 333, 600, 2_000), (5, 40)
LIMITS = {
    "requests": (AT_START,),
    "input_tokens": (AT_START, AT_START_ADJUST),
    "output_tokens": RULES,
    "tokens": (AT_START, AT_START_ADJUST),
}


@st.composite
def limits(
    draw: st.DrawFn,
    resource: str,
    fastness: int,
    amounts_of: Sequence[Sequence[int]] = (REQUESTS, TOKEN_LIMITS),
) -> Bucket:
    """One limit. A greater `fastness` makes the same depth refill so many times faster."""
    if resource == "requests per day":
        return Bucket("requests", draw(st.sampled_from(DAYS)), period_ms=86_400_000)
    amounts, rules = REQUESTS if resource == "requests" else TOKEN_LIMITS, LIMITS[resource]
    return Bucket(
        resource,
        draw(st.sampled_from(amounts)) * fastness,
        burst_ms=draw(st.sampled_from(BURSTS_MS)) // fastness,
        jitter_ms=draw(st.sampled_from(JITTERS_MS)) // fastness,
        rule=draw(st.sampled_from(rules)),
    )


@st.composite
def pools(draw: st.DrawFn, *, fastness: int = 1) -> PoolLimits:
    """One to three keys, sometimes of one account; one or two lanes; one to three limits."""
    names = sorted([*LIMITS, "requests per day"])
    shared = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    apart = draw(st.lists(st.sampled_from(sorted({*names} - {*shared})), max_size=1))
    slots = draw(st.sampled_from((0, 0, 1, 3)))
    lanes = (
        LaneLimits("*", tuple(draw(limits(name, fastness)) for name in shared), slots),
        LaneLimits("big", tuple(draw(limits(name, fastness)) for name in apart)),
    )
    count, is_shared = draw(st.integers(1, 3)), draw(st.booleans())
    owners = [f"d{0 if is_shared and i < 2 else i}" for i in range(count)]
    keys = [(f"k{i}", (owner,)) for i, owner in enumerate(owners)]
    if count == 3 and draw(st.booleans()):
        keys[2] = ("k2", ("d0", "d2"))  # a key may draw from several
    return PoolLimits(
        "p",
        tuple(keys),
        tuple(DomainLimits(name, lanes) for name in sorted({*owners})),
        tenants=tuple(draw(st.lists(tenants(fastness), max_size=3, unique_by=lambda tenant: tenant.name))),
        aging_ms=draw(st.sampled_from(AGING_MS)) // fastness,
    )


@st.composite
def tenants(draw: st.DrawFn, fastness: int) -> TenantLimits:
    """A tenant with its weight; one in four has limits of its own."""
    name, lane = draw(st.sampled_from(TENANTS)), None
    if draw(st.integers(0, 3)) == 0:
        own = draw(st.lists(st.sampled_from(sorted(LIMITS)), max_size=2, unique=True))
        buckets = tuple(draw(limits(resource, fastness)) for resource in own)
        lane = LaneLimits("*", buckets, draw(st.sampled_from((0, 1, 2))))
    return TenantLimits(name, draw(st.sampled_from(WEIGHTS_MILLI)), lane)


def members(pool: PoolLimits, fewer: bool) -> dict[str, PoolLimits]:
    """Two processes; B may hold all keys but the last."""
    return {"A": pool, "B": replace(pool, keys=pool.keys[: len(pool.keys) - fewer] or pool.keys)}


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens; the numbers choose among what is there when it is its turn."""

    kind: str
    process: str
    at: int = 0
    lane: str = "*"
    tokens: tuple[int, int] = (0, 0)
    tag: str = ""
    band: str = "normal"
    tenant: int = 0


ENQUEUES, ENDS = (
    ("enqueue", "enqueue", "enqueue", "enqueue now", "batch"),
    ("settle", "settle unknown", "cancel"),
)
CALLS = (*ENQUEUES, *ENDS, "beat", "throttle", "again")
ALL = (*CALLS, "switch", "advance", "wake", "wake", "quiet")


def acts(*kinds: str) -> st.SearchStrategy[Act]:
    """Any act of these kinds."""
    return st.builds(
        Act, st.sampled_from(kinds or ALL), st.sampled_from("AB"), st.integers(0, 11), st.sampled_from(LANES),
        st.tuples(TOKENS, TOKENS), st.sampled_from(("", "x")), st.sampled_from(BANDS), st.integers(0, 3),
    )  # fmt: skip


def play(books: Books, story: Sequence[Act]) -> None:
    """Let it happen, one call after another."""
    for act in story:
        perform(books, act)


def perform(books: Books, act: Act) -> None:
    """Let one thing happen."""
    if act.kind == "advance":
        books.advance(TICKS_MS[act.at % len(TICKS_MS)], first=act.process)
    elif act.kind == "nap":
        books.advance(1 + act.at // 4, first=act.process)
    elif act.kind == "wake":
        books.advance(books.next_wake(), first=act.process)
    elif act.kind == "quiet":
        for _ in range(3):  # the lease clock takes a third of the TTL at a time
            books.advance(5_000, first=act.process)
    elif act.kind == "switch":
        books.switch(f"k{act.at % 2}", (1_000, 0, None)[act.at % 3])
    elif act.kind == "batch":
        kinds = ("settle", "enqueue", "enqueue now", "cancel")
        books.step(act.process, *(wire_of(books, replace(act, kind=kind)) for kind in kinds))
    else:
        books.step(act.process, wire_of(books, act))


def wire_of(books: Books, act: Act) -> Wire:
    """The operation that an act stands for."""
    process, options = (
        act.process,
        dict[str, Any](lane=act.lane, tokens=act.tokens, tag=act.tag, band=act.band),
    )
    names = ["default", *(tenant.name for tenant in books.members[process].tenants)]
    options["tenant"] = names[act.tenant % len(names)]
    match act.kind:
        case "enqueue":
            wait_ms, preferred = books.patience_ms[act.at % 3], ("", "", "k0", "k1")[act.at % 4]
            most = 3 if act.at == 11 else 100_000
            return books.enqueue(process, **options, preferred=preferred, wait_ms=wait_ms, max_queued=most)
        case "enqueue now":
            return books.enqueue(process, **options, wait_ms=0)
        case "settle":
            return books.settle_one(process, act.at, act.tokens)
        case "settle unknown":
            return books.settle_one(process, act.at, (None, None))
        case "throttle":
            pause_ms, code = PAUSES_MS[act.at % 4], act.at % 5
            return books.settle_one(process, act.at, (None, None), pause_ms=pause_ms, code=code)
        case "cancel":
            return books.cancel_one(process, act.at)
        case "beat":
            return books.beat_some(process, act.at % 3, act.tokens[1])
        case "again":
            sent = books.sent_by(process)
            return sent[-1 - act.at % len(sent)] if sent else cancel(books.unknown())
    raise ValueError(act.kind)
