"""Where nothing waits keys take turns while half of their tightest resource is free; then the most room decides."""

from __future__ import annotations

from collections import Counter

import pytest

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits
from tests.express_twins import Twins
from tests.pool_rig import Rig, enqueue, mini_rig, pool_of, settle
from tests.pool_views import explain

FEW = pool_of(Bucket("requests", 60, jitter_ms=0), keys=4)


def keys_used(rig: Rig, first: int, count: int, **need: object) -> list[str]:
    """The keys of so many grants, one after the other."""
    return [rig.enqueue("A", f"A-{first + i:x}", **need)[1] for i in range(count)]


def unlike(*amounts: int) -> PoolLimits:
    """Keys with other limits of requests each."""
    domains = tuple(
        DomainLimits(f"d{i}", (LaneLimits("*", (Bucket("requests", amount, jitter_ms=0),)),))
        for i, amount in enumerate(amounts)
    )
    return PoolLimits("p", tuple((f"k{i}", (f"d{i}",)) for i in range(len(amounts))), domains)


def test_keys_take_turns_while_half_of_them_is_free() -> None:
    """The grants go round: each key is used as often as any."""
    used = keys_used(mini_rig(FEW, "A"), 1, 40)
    assert used[:8] == ["k0", "k1", "k2", "k3"] * 2
    assert set(Counter(used).values()) == {10}


@pytest.mark.parametrize(("spent", "chosen"), [(29, "k0"), (30, "k1")])
def test_turn_ends_where_less_than_half_would_be_left(spent: int, chosen: str) -> None:
    """With 30 of 60 left after it the key goes, with 29 the key with the most room does: a 120th more or less."""
    rig = mini_rig(FEW, "A")
    keys_used(rig, 1, spent, preferred="k0")
    rest = (-spent) % 4
    assert set(keys_used(rig, 90, rest, preferred="k3")) <= {"k3"}
    assert keys_used(rig, 100, 1) == [chosen]


def test_turn_of_a_key_without_room_leaves_nothing_unused() -> None:
    """A burst takes all that all keys have, whatever their sizes; one more has to wait."""
    rig = mini_rig(unlike(3, 40, 7, 11), "A")
    used = Counter(keys_used(rig, 1, 61))
    assert used == {"k0": 3, "k1": 40, "k2": 7, "k3": 11}
    assert rig.enqueue("A", "A-99")[0] == "q"


def test_preferred_key_and_two_keys_know_no_turns() -> None:
    """A conversation stays where it is; of two keys the one with more room goes."""
    rig = mini_rig(FEW, "A")
    assert set(keys_used(rig, 1, 20, preferred="k2")) == {"k2"}
    rig = mini_rig(pool_of(Bucket("requests", 60, jitter_ms=0), keys=2), "A")
    assert set(keys_used(rig, 1, 5, preferred="k0")) == {"k0"}
    assert set(keys_used(rig, 6, 5)) == {"k1"}


def test_key_out_of_service_is_passed_over() -> None:
    """Its turns are the others': of them the one with the most room goes."""
    rig = mini_rig(FEW, "A")
    rig.switch("k1", "pause")
    used = Counter(keys_used(rig, 1, 24))
    assert used["k1"] == 0
    assert min(used[key] for key in ("k0", "k2", "k3")) >= 6


def test_what_was_not_read_at_first_is_read_where_it_is_wanted() -> None:
    """The express way goes on to the other keys, in steps of one ticket and of several, with settles between."""
    twins = Twins()
    limits = unlike(3, 600, 7, 600, 5)
    twins.register("A", limits)
    twins.enqueue("A", "A-1")
    went, number = 0, 1
    for count in (1, 1, 1, 2, 1, 1, 3, 1, 1, 1, 4, 1, 1, 1):
        asks = [enqueue(f"A-{number + i:x}", limits) for i in range(1, count + 1)]
        before = twins.express_steps
        twins.taken("A", settle(f"A-{number:x}", 0, 0), *asks)
        went, number = went + twins.express_steps - before, number + count
    assert went == 14


def test_keys_of_a_crowd_take_turns_too() -> None:
    """Each call has another key; where little of it is free two are met by chance, and what is free is found."""
    twins = Twins()
    limits = pool_of(Bucket("requests", 10, jitter_ms=0), keys=12)
    twins.register("A", limits)
    used = [twins.enqueue("A", f"A-{i:x}")[1] for i in range(1, 61)]
    assert set(Counter(used[:60]).values()) == {5}
    went = twins.express_steps
    for first in (61, 64, 68, 73, 79):
        twins.taken("A", *(enqueue(f"A-{first + i:x}", limits) for i in range(3 + (first - 61) // 4)))
    twins.enqueue("A", "A-5a")
    assert twins.express_steps > went + 3
    while twins.enqueue("A", f"A-{100 + len(used):x}")[0] == "g":
        used.append("")
    assert twins.snapshot()["leases"] == 120


def test_where_slots_alone_are_short_tenants_take_turns_too() -> None:
    """Tickets that no bucket limits cost alike: what is explained of two tenants is what comes."""
    limits = pool_of(slots=1)
    rig = mini_rig(limits, "A")
    rig.enqueue("A", "A-1")
    for at in range(4):
        rig.enqueue("A", f"A-x{at}", tenant="x")
    for at in range(2):
        rig.enqueue("A", f"A-y{at}", tenant="y")
    ahead = {id: explain(rig, id)["position"] for id in ("A-x0", "A-x3", "A-y0", "A-y1")}
    assert ahead["A-y0"] < ahead["A-x3"]
    order, last = [], "A-1"
    while last:
        last = next(iter(grant[0] for grant in rig.taken("A", settle(last)).grants), "")
        order.append(last)
    assert order[:-1] == ["A-x0", "A-y0", "A-x1", "A-y1", "A-x2", "A-x3"]
