"""Random pools and random stories about them, for the property tests of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits
from tests.oracle_pair import Pair
from tests.pool_rig import Wire, cancel, settle

__all__ = ["Act", "acts", "members", "play", "pools"]

LANES = ("*", "big")
BURSTS = st.sampled_from((2_000, 5_000, 10_000, 60_000))
JITTERS = st.sampled_from((0, 500))
TOKENS = st.sampled_from((0, 1, 7, 40, 90, 200, 400))
PAUSES_MS = (1, 300, 1_000, 4_000)
TICKS_MS = (1, 7, 49, 51, 300, 1_000, 4_999, 5_000, 16_000)


def _token_limit(resource: str, *rules: str) -> st.SearchStrategy[Bucket]:
    amounts = st.sampled_from((200, 333, 600, 2_000))
    return st.builds(
        Bucket, st.just(resource), amounts, burst_ms=BURSTS, jitter_ms=JITTERS, rule=st.sampled_from(rules)
    )


LIMITS = {
    "requests": st.builds(
        Bucket, st.just("requests"), st.sampled_from((1, 7, 30, 90)), burst_ms=BURSTS, jitter_ms=JITTERS
    ),
    "requests per day": st.builds(
        Bucket, st.just("requests"), st.sampled_from((5, 40)), period_ms=st.just(86_400_000)
    ),
    "input_tokens": _token_limit("input_tokens", "at_start", "at_start_adjust"),
    "output_tokens": _token_limit("output_tokens", "at_start", "at_start_adjust", "as_produced"),
    "tokens": _token_limit("tokens", "at_start", "at_start_adjust"),
}


@st.composite
def pools(draw: st.DrawFn) -> PoolLimits:
    """One to three keys, sometimes of one account; one or two lanes; one to three limits."""
    shared = draw(st.lists(st.sampled_from(sorted(LIMITS)), min_size=1, max_size=3, unique=True))
    apart = draw(st.lists(st.sampled_from(sorted(set(LIMITS) - set(shared))), max_size=1, unique=True))
    lanes = (
        LaneLimits("*", tuple(draw(LIMITS[name]) for name in shared), draw(st.sampled_from((0, 0, 1, 3)))),
        LaneLimits("big", tuple(draw(LIMITS[name]) for name in apart)),
    )
    count, is_shared = draw(st.integers(1, 3)), draw(st.booleans())
    owners = [f"d{0 if is_shared and i < 2 else i}" for i in range(count)]
    keys = [(f"k{i}", (owner,)) for i, owner in enumerate(owners)]
    if count == 3 and draw(st.booleans()):
        keys[2] = ("k2", ("d0", "d2"))  # a key may draw from several
    return PoolLimits("p", tuple(keys), tuple(DomainLimits(name, lanes) for name in sorted({*owners})))


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


ENQUEUES, TIMES = ("enqueue", "enqueue", "enqueue", "enqueue now"), ("advance", "wake", "wake", "quiet")
CALLS = (*ENQUEUES, *TIMES, "settle", "settle unknown", "cancel", "beat", "throttle", "batch", "again", "late")
ALL = (*CALLS, "switch")


def acts(*kinds: str) -> st.SearchStrategy[Act]:
    """Any act of these kinds."""
    return st.builds(
        Act, st.sampled_from(kinds or ALL), st.sampled_from("AB"), st.integers(0, 11), st.sampled_from(LANES),
        st.tuples(TOKENS, TOKENS), st.sampled_from(("", "x")),
    )  # fmt: skip


def play(pair: Pair, story: Sequence[Act]) -> None:
    """Let it happen, one call after another."""
    for act in story:
        perform(pair, act)


def perform(pair: Pair, act: Act) -> None:
    """Let one thing happen."""
    if act.kind == "advance":
        pair.advance(TICKS_MS[act.at % len(TICKS_MS)], first=act.process)
    elif act.kind == "wake":
        pair.advance(next_wake(pair), first=act.process)
    elif act.kind == "quiet":
        for _ in range(3):  # the lease clock takes a third of the TTL at a time
            pair.advance(5_000, first=act.process)
    elif act.kind == "switch":
        pair.switch(f"k{act.at % 2}", (1_000, 0, None)[act.at % 3])
    elif act.kind == "batch":
        kinds = ("settle", "enqueue", "enqueue now", "cancel")
        pair.step(act.process, *(wire_of(pair, replace(act, kind=kind)) for kind in kinds))
    else:
        pair.step(act.process, wire_of(pair, act))


def next_wake(pair: Pair) -> int:
    """Ms until the first timer that anybody was told to arm; half an hour at most: heartbeats go on."""
    times = [timer.at for timer in pair.oracle.timers.values()]
    return min(1_800_000, max(1, min(times, default=0) - pair.oracle.now))


def wire_of(pair: Pair, act: Act) -> Wire:
    """The operation that an act stands for."""
    process, options = act.process, dict[str, Any](lane=act.lane, tokens=act.tokens, tag=act.tag)
    match act.kind:
        case "enqueue":
            preferred = ("", "", "k0", "k1")[act.at % 4]
            return pair.enqueue(process, **options, preferred=preferred, wait_ms=(600_000, 2_000)[act.at % 3 == 0])
        case "enqueue now":
            return pair.enqueue(process, **options, wait_ms=0)
        case "settle":
            return pair.settle_one(process, act.at, act.tokens)
        case "settle unknown":
            return pair.settle_one(process, act.at, (None, None))
        case "throttle":
            pause_ms, code = PAUSES_MS[act.at % 4], act.at % 5
            return pair.settle_one(process, act.at, (None, None), pause_ms=pause_ms, code=code)
        case "cancel":
            return pair.cancel_one(process, act.at)
        case "beat":
            return pair.beat_some(process, act.at % 3, act.tokens[1])
        case "again":
            sent = pair.sent_by(process)
            return sent[-1 - act.at % len(sent)] if sent else cancel(pair.unknown())
        case "late":
            expired = pair.expired(process)
            return settle(expired[act.at % len(expired)].id if expired else pair.unknown(), *act.tokens)
    raise ValueError(act.kind)
