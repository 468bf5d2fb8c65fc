"""lib/express: it does to the letter what the whole script does, and it is what a calm pool's steps take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import RULES, Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits
from tests.express_twins import Twins
from tests.lua_redis import numbers_in
from tests.oracle_books import Books
from tests.oracle_stories import MODEST, Act, acts, members, perform, pools
from tests.pool_rig import beat, cancel, enqueue, leave, per_day, pool_of, settle

TOKENS = (
    Bucket("input_tokens", 9_000, rule="at_start_adjust"),
    Bucket("output_tokens", 9_000, rule="as_produced"),
)
LIMITS = pool_of(Bucket("requests", 600), *TOKENS, keys=3)
ASK = {"tokens": (90, 300)}


@settings(MODEST, max_examples=20)
@given(pools(), st.booleans(), st.lists(acts(), min_size=15, max_size=40))
def test_both_ways_are_one_in_any_story(pool: PoolLimits, fewer: bool, story: list[Act]) -> None:
    """Whatever is called, the express way answers and stores what the whole script does."""
    books = Books(Twins(), members(pool, fewer))
    for act in story:
        perform(books, act)


def calm_pool(random: Random) -> PoolLimits:
    """One to five keys with room for some tickets at a time, seldom with what only the whole script knows."""
    rule = random.choice
    shared = [
        Bucket("requests", rule((60, 600)), burst_ms=rule((5_000, 60_000))),
        Bucket("input_tokens", rule((5_000, 50_000)), rule=rule(("at_start", "at_start_adjust"))),
        Bucket("output_tokens", rule((4_000, 40_000)), rule=rule(RULES)),
        Bucket("tokens", rule((9_000, 60_000)), rule=rule(("at_start", "at_start_adjust"))),
        per_day(rule((50, 5_000))),
    ]
    own = (
        Bucket("requests", 90, window_ms=rule((0, 0, 0, 60_000))),
        Bucket("output_tokens", 9_000, rule=rule(RULES)),
    )
    lanes = [LaneLimits("big", own[: random.randrange(3)])] if random.random() < 0.7 else []
    tenants = [TenantLimits("x", 3_000, rule((None, None, None, LaneLimits("*", own[:1], 2))))]
    return pool_of(
        *random.sample(shared, random.randint(0, 4)), keys=rule((1, 2, 3, 4, 5, 9, 20)), slots=rule((0, 0, 3, 30)),
        lanes=lanes, tenants=random.sample(tenants, random.randint(0, 1)),
    )  # fmt: skip


def calm_step(books: Books, random: Random) -> None:
    """Time passes, and a process ends some leases and asks for some more: mostly with what the express way takes."""
    books.rig.advance(random.choice((0, 1, 30, 200, 900)))
    process, wires = random.choice("AB"), []
    held = [lease.id for lease in books.held_by(process)]
    for id in random.sample(held, min(len(held), random.choice((0, 1, 3, 9)))):
        usage = (random.choice((0, 1, 40, 300)), random.choice((0, 7, 90, 700)))
        odd = random.random()
        wires.append(
            settle(id, *usage)
            if odd > 0.03
            else settle(id)
            if odd > 0.01
            else settle(id, *usage, pause_ms=300)
        )
    for _ in range(random.choice((0, 1, 1, 4))):
        wires.append(books.enqueue(
            process, lane=random.choice(("*", "*", "big")), tokens=(random.choice((0, 9, 80)), random.choice((1, 90, 600))),
            tag=random.choice(("", "t")), preferred=random.choice(("", "", "k0", "k1")), tenant=random.choice(("default", "x")),
            wait_ms=random.choice((0, 5_000)),
        ))  # fmt: skip
    wires += random.sample(wires, int(len(wires) > 0 and random.random() < 0.03))
    books.step(process, *wires)


@pytest.mark.parametrize("seeds", [range(at, at + 4) for at in range(0, 12, 4)], ids=str)
def test_both_ways_are_one_where_little_waits(seeds: range) -> None:
    """In calm pools of any shape they are one too; this is what the express way is for."""
    express = 0
    for seed in seeds:
        random = Random(seed)
        pool = calm_pool(random)
        books = Books(Twins(), members(pool, random.random() < 0.3))
        for _ in range(80):
            calm_step(books, random)
            if books.waiting:
                books.step("A", *(books.cancel_one("A", at) for at in range(2)))
                books.advance(min(5_000, books.next_wake()))
        express += books.rig.express_steps
    assert express > 20


def opened(limits: PoolLimits = LIMITS) -> Twins:
    """Twins on which A and B are known, and A's leases are watched: it has one already, A-1."""
    twins = Twins()
    for process in "AB":
        twins.register(process, limits)
    twins.enqueue("A", "A-1", **ASK)
    twins.enqueue("B", "B-1", **ASK)
    return twins


def goes_express(twins: Twins, process: str, *wires: list[object]) -> bool:
    """Whether a step was taken the express way."""
    before = twins.express_steps
    twins.taken(process, *wires)
    return twins.express_steps > before


LANE = LaneLimits("big", (Bucket("output_tokens", 9_000, rule="at_start"),))
SHAPES = {
    "one limit": pool_of(Bucket("requests", 600)),
    "three limits": LIMITS,
    "tokens together": pool_of(Bucket("tokens", 9_000, rule="at_start_adjust")),
    "little output": pool_of(Bucket("output_tokens", 900, rule="as_produced"), keys=8),
    "eight keys": pool_of(Bucket("requests", 600), keys=8),
    "a crowd": pool_of(Bucket("requests", 600), *TOKENS, per_day(6_000), keys=12),
    "a crowd with slots": pool_of(Bucket("requests", 600), keys=9, slots=9),
    "a crowd with limits of a lane": pool_of(Bucket("requests", 600), keys=12, lanes=[LANE]),
    "a day": pool_of(per_day(600), Bucket("requests", 600)),
    "slots": pool_of(Bucket("requests", 600), slots=9),
    "limits of a lane": pool_of(Bucket("requests", 600), lanes=[LANE]),
    "limits of a lane alone": pool_of(lanes=[LANE]),
    "weights of tenants": pool_of(Bucket("requests", 600), tenants=[TenantLimits("x", 3_000)]),
}
UNLIKE = {
    "windows": pool_of(Bucket("requests", 600, window_ms=60_000)),
    "no limits": pool_of(),
    "slots alone": pool_of(slots=5),
    "limits of a tenant": pool_of(Bucket("requests", 600), tenants=[TenantLimits("x", 1_000, LaneLimits("*", (), 9))]),
    "a key without limits": PoolLimits("p", (("k0", ("d0",)), ("k1", ("d1",))), (
        DomainLimits("d0", (LaneLimits("*", (Bucket("requests", 600),)),)), DomainLimits("d1", (LaneLimits("*", ()),)),
    )),
    "a key of two accounts with slots alone": PoolLimits("p", (("k0", ("d0", "d1")),), tuple(
        DomainLimits(f"d{i}", (LaneLimits("*", (), 9),)) for i in range(2)
    )),
    "a key of two accounts": PoolLimits("p", (("k0", ("d0", "d1")),), tuple(
        DomainLimits(f"d{i}", (LaneLimits("*", (Bucket("requests", 600),)),)) for i in range(2)
    )),
}  # fmt: skip


@pytest.mark.parametrize("shape", [*SHAPES, *UNLIKE])
def test_limits_of_common_shapes_go_express(shape: str) -> None:
    """New tickets, settles, and both in one step, in a lane with limits of its own too."""
    limits = {**SHAPES, **UNLIKE}[shape]
    lane = "big" if "lane" in shape else "*"
    twins = opened(limits)
    asks = [
        [enqueue(f"A-{number}{at}", limits, lane=lane, **ASK) for at in range(3)] for number in range(2, 5)
    ]
    went = {goes_express(twins, "A", *asks[0])}
    settled = goes_express(twins, "A", settle("A-20", 80, 200), settle("A-21", 99, 400))
    went.add(goes_express(twins, "A", settle("A-22", 0, 0), *asks[1], asks[2][0]))
    assert went == {shape in SHAPES}
    assert settled or shape in UNLIKE


TAKEN: dict[str, Callable[[Twins], list[object]]] = {
    "an enqueue": lambda twins: [enqueue("A-2", LIMITS, **ASK)],
    "a settle": lambda twins: [settle("A-1", 90, 100)],
    "a settle of what another process had": lambda twins: [settle("B-1", 90, 100)],
    "one of the highest number": lambda twins: [enqueue(f"A-{2**50 - 1:x}", LIMITS, **ASK)],
    "a topic of its own": lambda twins: [enqueue("A-2", LIMITS, tag="t", **ASK), enqueue("A-3", LIMITS, **ASK)],
    "two lanes": lambda twins: [enqueue("A-2", LIMITS, lane="small", **ASK), enqueue("A-3", LIMITS, **ASK)],
    "a lane without limits of its own": lambda twins: [enqueue("A-2", LIMITS, lane="small", **ASK)],
    "all that fits": lambda twins: [enqueue("A-2", LIMITS, tokens=(8_925, 300))],
    "a moment before lifetimes are due": lambda twins: twins.advance(999) or [settle("A-1", 90, 100)],
    "a settle of what was reported": lambda twins: twins.taken("A", beat(("A-1", 70))) and [settle("A-1", 90, 100)],
    "a clock that goes back": lambda twins: twins.advance(-30) or [settle("A-1", 90, 100)],
    "another key while one is paused": lambda twins: twins.taken("A", settle("A-1", 9, 9, pause_ms=9_000)) and [
        enqueue("A-2", LIMITS, preferred="k0", **ASK)
    ],
    "a pause that is over": lambda twins: (twins.taken("A", settle("A-1", 9, 9, pause_ms=9)) and twins.advance(9)) or [
        enqueue("A-2", LIMITS, preferred="k0", **ASK)
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_common_steps_go_express(kind: str) -> None:
    """What a calm fleet does all day."""
    twins = opened()
    assert goes_express(twins, "A", *TAKEN[kind](twins))


def waiting(twins: Twins) -> list[object]:
    """A ticket waits for more than there is."""
    twins.taken("B", enqueue("B-2", LIMITS, tokens=(8_900, 0)), enqueue("B-3", LIMITS, tokens=(8_900, 0)))
    twins.taken("B", enqueue("B-4", LIMITS, tokens=(8_900, 0)), enqueue("B-5", LIMITS, tokens=(8_900, 0)))
    return [enqueue("A-2", LIMITS)]


LEFT: dict[str, Callable[[Twins], list[object]]] = {
    "nothing": lambda twins: [],
    "a cancel": lambda twins: [cancel("A-1")],
    "a heartbeat": lambda twins: [beat(("A-1", 0))],
    "the end of the process": lambda twins: [leave()],
    "usage that nobody knows": lambda twins: [settle("A-1")],
    "input that nobody knows": lambda twins: [settle("A-1", None, 9)],
    "output that nobody knows": lambda twins: [settle("A-1", 9)],
    "a 429": lambda twins: [settle("A-1", 9, 9, pause_ms=0)],
    "a settle of nothing": lambda twins: [settle("A-7", 9, 9)],
    "a settle again": lambda twins: twins.taken("A", settle("A-1", 9, 9)) and [settle("A-1", 9, 9)],
    "a settle twice": lambda twins: [settle("A-1", 9, 9), settle("A-1", 9, 9)],
    "an enqueue again": lambda twins: [enqueue("A-1", LIMITS, **ASK)],
    "an enqueue twice": lambda twins: [enqueue("A-2", LIMITS, **ASK), enqueue("A-2", LIMITS, **ASK)],
    "an older number": lambda twins: twins.enqueue("A", "A-5", **ASK) and [enqueue("A-4", LIMITS, **ASK)],
    "a number too large": lambda twins: [enqueue(f"A-{2**50:x}", LIMITS, **ASK)],
    "no number": lambda twins: [enqueue("A-x", LIMITS, **ASK)],
    "the number of another": lambda twins: [enqueue("B-2", LIMITS, **ASK)],
    "something that waits": waiting,
    "more than there is": lambda twins: twins.enqueue("B", "B-2", tokens=(8_000, 0)) and [
        enqueue(f"A-{at}", LIMITS, tokens=(8_000, 0)) for at in range(2, 5)
    ],
    "more than a bucket holds": lambda twins: [enqueue("A-2", LIMITS, tokens=(8_926, 300))],
    "more than the limit": lambda twins: [enqueue("A-2", LIMITS, tokens=(9_001, 300))],
    "a key out of service": lambda twins: twins.switch("k1", "pause") or [enqueue("A-2", LIMITS, **ASK)],
    "lifetimes": lambda twins: twins.advance(1_000) or [settle("A-1", 90, 100)],
    "a new minute": lambda twins: [twins.advance(999) or twins.taken("A", beat()) for _ in range(60)] and [
        settle("A-1", 90, 100)
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", LEFT)
def test_what_is_out_of_the_ordinary_does_not(kind: str) -> None:
    """It is left to the whole script."""
    twins = opened()
    assert not goes_express(twins, "A", *LEFT[kind](twins))


def watched(twins: Twins) -> set[str]:
    """The leases whose expiry is known."""
    members = twins.client.zrangebyscore(twins.keys.all()[3], "-inf", "inf")
    return {member for member in members if member and not member.startswith("@")}


def test_expiry_of_a_lease_goes_with_it() -> None:
    """Of one that was reported, whoever settles it; of one that never was there is none."""
    twins = opened()
    twins.advance(20)
    twins.taken("A", enqueue("A-2", LIMITS, **ASK))
    twins.advance(20)
    twins.taken("A", beat(("A-1", 0), ("A-2", 0)))
    twins.advance(20)
    twins.taken("A", enqueue("A-3", LIMITS, **ASK))
    twins.taken("B", enqueue("B-2", LIMITS, **ASK), enqueue("B-3", LIMITS, **ASK))
    twins.advance(20)
    twins.taken("B", beat(("B-2", 0), ("B-3", 0)))
    assert watched(twins) == {"A-1", "A-2", "B-2", "B-3"}
    assert goes_express(twins, "A", settle("A-2", 9, 9))
    assert goes_express(twins, "A", settle("A-3", 9, 9), settle("A-1", 9, 9))
    assert goes_express(twins, "A", settle("B-2", 9, 9))
    assert goes_express(twins, "B", settle("B-3", 9, 9))
    assert watched(twins) == set()


def test_a_beat_without_leases_changes_nothing_of_that() -> None:
    """What a process reported before it has nothing to report is still known."""
    twins = opened()
    twins.advance(20)
    twins.taken("A", enqueue("A-2", LIMITS, **ASK))
    twins.advance(20)
    twins.taken("A", beat(("A-2", 0)))
    twins.advance(20)
    twins.taken("A", beat())
    assert goes_express(twins, "A", settle("A-2", 9, 9))
    assert watched(twins) == set()


@pytest.mark.parametrize("buckets", [(per_day(600),), (Bucket("requests", 600), per_day(600, "tokens"))])
def test_limits_of_a_day_refill_by_their_ticks_express(buckets: tuple[Bucket, ...]) -> None:
    """A day has other ticks than a minute: what was taken is back when both ways say so."""
    limits = pool_of(*buckets, keys=3)
    twins, went = opened(limits), 0
    for number in range(2, 12):
        twins.advance(700)
        went += goes_express(twins, "A", enqueue(f"A-{number:x}", limits, tokens=(40, 9)))
    assert went > 2


def test_an_outage_that_is_over_is_forgotten() -> None:
    """The first step after a key's pause finds that; from the next on the pool is as calm as before."""
    twins = opened()
    twins.switch("k0", "pause", 500)
    twins.switch("k1", "pause", 700)
    assert not goes_express(twins, "A", enqueue("A-2", LIMITS, **ASK))
    twins.advance(600)
    assert not goes_express(twins, "A", enqueue("A-3", LIMITS, **ASK))
    assert "k0" not in twins.client.hgetall(twins.keys.all()[0])["outages"]
    twins.advance(100)
    assert not goes_express(twins, "A", enqueue("A-4", LIMITS, **ASK))
    assert goes_express(twins, "A", enqueue("A-5", LIMITS, **ASK))


def test_a_slot_is_free_in_the_step_that_frees_it() -> None:
    """The only slot goes from one ticket to the next within one step."""
    limits = pool_of(Bucket("requests", 600), slots=1)
    twins = Twins()
    twins.register("A", limits)
    twins.enqueue("A", "A-1")
    assert goes_express(twins, "A", settle("A-1", 0, 0), enqueue("A-2", limits))
    assert not goes_express(twins, "A", enqueue("A-3", limits))


def test_slots_of_a_crowd_are_indexed_express() -> None:
    """Where the last slot of an account is taken, and where it is free again, the index says so at once."""
    limits = pool_of(Bucket("requests", 6_000), keys=9, slots=2)
    twins, went, held = opened(limits), 0, []
    for number in range(2, 40):
        ticket = f"A-{number:x}"
        went += goes_express(twins, "A", enqueue(ticket, limits))
        held.append(ticket)
        twins.advance(20)
        if len(held) > 9:
            went += goes_express(twins, "A", settle(held.pop(number % 5), 0, 0))
    assert went > 40


@pytest.mark.parametrize("lane", ["*", "big"])
def test_what_settled_leases_teach_is_learned_express(lane: str) -> None:
    """Predictions and ratios are one, also once enough is known, and of answers longer than what a bucket holds."""
    limits = pool_of(
        Bucket("input_tokens", 90_000, rule="at_start_adjust"),
        Bucket("output_tokens", 900_000, burst_ms=600, rule="as_produced"),
        lanes=[LaneLimits("big", (Bucket("output_tokens", 99_000_000, rule="at_start"),))],
    )
    twins, went = opened(limits), 0
    twins.taken("A", settle("A-1", 80, 1_500), settle("B-1", 80, 1_500))
    twins.advance(400)
    for number in range(2, 80):
        went += goes_express(twins, "A", enqueue(f"A-{number:x}", limits, lane=lane, tokens=(90, 99_000)))
        twins.advance(300)
        went += goes_express(twins, "A", settle(f"A-{number:x}", 80, 1_500 + 70 * (number % 9)))
        twins.advance(200)
    assert went > 80
    known = numbers_in(twins.client.hgetall(twins.keys.all()[0])[f"output|{lane}|"])
    assert known == [2_060, 50, 51, 20]


def test_a_limit_that_is_gone_is_left_to_the_whole_script() -> None:
    """A lease that was charged by it ends there."""
    twins = opened(replace(LIMITS, version=1))
    fewer = replace(pool_of(Bucket("requests", 600), keys=3), version=2)
    twins.register("A", fewer)
    twins.advance(20)
    assert not goes_express(twins, "A", settle("A-1", 9, 9))
    assert twins.snapshot()["leases"] == 1


def test_more_than_a_limit_is_left_to_the_whole_script() -> None:
    """Where two minutes' worth is saved up, too."""
    limits = pool_of(Bucket("input_tokens", 600, burst_ms=120_000))
    twins = opened(limits)
    assert not goes_express(twins, "A", enqueue("A-2", limits, tokens=(601, 9)))
    assert goes_express(twins, "A", enqueue("A-3", limits, tokens=(600, 9)))


def test_a_crowd_without_its_entries_is_left_to_the_whole_script() -> None:
    """A key that a set should have and has not ends no step."""
    limits = pool_of(Bucket("requests", 600), keys=9)
    twins = opened(limits)
    for rig in (twins, twins.whole):
        pool = rig.keys.all()[0]
        names = [name for name in rig.client.hgetall(pool) if name.startswith("entry|") and "|@" not in name]
        rig.client.execute_command("HDEL", pool, *(name for name in names if "|d|" not in name))
    assert not goes_express(twins, "A", enqueue("A-2", limits))


def test_a_crowd_whose_key_in_turn_alone_is_there_is_left_to_the_whole_script() -> None:
    """It has too little free, and of those that are met by chance there is none."""
    limits = pool_of(Bucket("requests", 1, jitter_ms=0), keys=9)
    twins = opened(limits)
    for rig in (twins, twins.whole):
        pool, kept = rig.keys.all()[0], f"|{2 % 9 + 1}"
        names = [name for name in rig.client.hgetall(pool) if name.startswith("entry|") and "|d|" not in name]
        rig.client.execute_command("HDEL", pool, *(name for name in names if not name.endswith(kept)))
    assert not goes_express(twins, "A", enqueue("A-2", limits))


def test_the_first_lease_of_a_process_does_not() -> None:
    """Somebody has to watch it from then on; the second goes express."""
    twins = Twins()
    twins.register("A", LIMITS)
    assert not goes_express(twins, "A", enqueue("A-1", LIMITS, **ASK))
    assert goes_express(twins, "A", enqueue("A-2", LIMITS, **ASK))


def test_a_stranger_is_told_to_register_by_the_whole_script() -> None:
    """So is one that knows another epoch, or a fence that the pool has not given."""
    twins = opened()
    twins.members["C"] = twins.members["A"]
    assert twins.step("C", enqueue("C-1", LIMITS)) is None
    twins.members["A"].known.epoch = "another"
    assert twins.step("A", enqueue("A-2", LIMITS)) is None
    twins.members["B"].known.fence = 99
    assert twins.step("B", enqueue("B-2", LIMITS)) is None
