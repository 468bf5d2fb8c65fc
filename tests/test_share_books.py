"""The books of an absence: which key a ticket gets of this process's share, and what comes back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from llm_fleet.engine.share.books import Ask, Books, Scene
from llm_fleet.engine.share.bucket import NEVER
from llm_fleet.engine.share.outputs import RecentOutputs
from llm_fleet.engine.share.place import Place
from llm_fleet.engine.values import Bucket, LaneLimits, Need, PoolLimits, Settlement, TenantLimits
from tests.fleets import limits, requests

ALONE = Place(1, 0, {})
INPUT = Bucket("input_tokens", 60_000, jitter_ms=0, rule="at_start_adjust")
OUTPUT = Bucket("output_tokens", 60_000, jitter_ms=0, rule="as_produced")


def ask(input_tokens: int = 1_000, output: int = 100, *, is_cold: bool = False, **more: str) -> Ask:
    return Ask(Need("*", input_tokens, output, **more), output, is_cold)


def scene(now: int, **in_flight: int) -> Scene:
    return Scene(now, Counter({name.replace("_", "-"): count for name, count in in_flight.items()}))


def books(pool: PoolLimits, place: Place = ALONE, **more: bool) -> Books:
    return Books(pool, place, 0, **more)


def test_starts_empty_and_refills_at_the_share() -> None:
    """One of two processes: half of the limit, and nothing at the beginning."""
    half = books(limits(INPUT), Place(2, 0, {}))
    assert half.choose(ask(), scene(0)).wait_ms == 2_000
    assert half.choose(ask(), scene(1_999)).wait_ms == 1
    assert half.choose(ask(), scene(2_000)).wait_ms == 0


def test_a_settle_gives_back_what_was_not_consumed() -> None:
    """The estimate was 1,000, the usage 400: 600 may go at once."""
    own = books(limits(INPUT))
    taken = own.grant(own.choose(ask(), scene(1_000)), ask())
    assert own.choose(ask(600), scene(1_000)).wait_ms == 600
    own.settle(taken, Settlement(400, 50), 1_000)
    assert own.choose(ask(600), scene(1_000)).wait_ms == 0
    assert own.tell(1_000, 0) == [["d-k0|*", 2, 400 * 60_000, 0, 60_000]]


def test_a_cancelled_grant_leaves_nothing_to_tell() -> None:
    """What was never sent is as if it had not been."""
    own = books(limits(requests(60), INPUT, OUTPUT, slots=2))
    own.give_back(own.grant(own.choose(ask(), scene(60_000)), ask()), 60_000)
    assert own.tell(60_000, 0) == []


@pytest.mark.parametrize(("output", "lack"), [(30, 30), (None, 100), (250, 250)])
def test_output_is_held_and_charged_as_produced(output, lack) -> None:
    """Held while it is predicted; charged is what was produced, all that was held where nobody knows."""
    own = books(limits(OUTPUT))
    taken = own.grant(own.choose(ask(), scene(1_000)), ask())
    assert own.choose(ask(0, 1_000), scene(1_000)).wait_ms == 100
    own.settle(taken, Settlement(0, output), 1_000)
    assert own.tell(1_000, 0) == [["d-k0|*", 3, lack * 60_000, 0, 60_000]]


def test_of_an_output_of_which_nothing_is_known_as_much_again_stays() -> None:
    """An eighth of the bucket is held at most, and that twice must be there."""
    own = books(limits(OUTPUT))
    cold = ask(0, 256, is_cold=True)
    assert own.choose(cold, scene(0)).wait_ms == 512
    own.grant(own.choose(cold, scene(512)), cold)
    assert own.choose(cold, scene(512)).wait_ms == 256


def test_debts_are_told_apart() -> None:
    """More was produced than the level had: what lacks is all of it, the debt what is below zero."""
    own = books(limits(OUTPUT))
    own.settle(own.grant(own.choose(ask(), scene(200)), ask()), Settlement(0, 300), 200)
    assert own.tell(200, 0) == [["d-k0|*", 3, 300 * 60_000, 100 * 60_000, 60_000]]


def test_the_key_with_the_most_room_is_chosen_and_affinity_keeps_its_key() -> None:
    """Ten tickets go to four keys in turn; one with affinity always to the same, unless it would wait."""
    pool, got = limits(requests(600), keys=4), Counter()
    own = books(pool)
    for _ in range(8):
        choice = own.choose(ask(), scene(10_000))
        own.grant(choice, ask())
        got[choice.key_id] += 1
    assert set(got.values()) == {2}
    same = {own.choose(ask(affinity="talk"), scene(10_000)).key_id for _ in range(5)}
    assert len(same) == 1
    full = Counter({f"d-{key}": 600 for key in same})
    limited = books(limits(requests(600), keys=4, slots=600))
    assert limited.choose(ask(affinity="talk"), Scene(10_000, full)).key_id not in same


def test_of_a_crowd_of_keys_one_that_may_go_is_found() -> None:
    """A hundred keys of which one has a slot: it is found, however far it is."""
    pool = limits(requests(600), keys=100, slots=1)
    taken = Counter({f"d-k{i}": 1 for i in range(100) if i != 57})
    assert {books(pool).choose(ask(), Scene(60_000, taken)).key_id for _ in range(3)} == {"k57"}


def test_slots_are_dealt_and_count_all_leases_of_the_process() -> None:
    """One of two slots is ours; a lease from before Redis went away fills it."""
    own = books(limits(slots=2), Place(2, 0, {}))
    assert own.choose(ask(), scene(0)).wait_ms == 0
    assert own.choose(ask(), scene(0, d_k0=1)).wait_ms == NEVER


def test_a_key_out_of_service_is_not_used() -> None:
    """As the last heartbeat said, or as this process found out itself."""
    own = books(limits(requests(600), keys=2), Place(1, 0, {"k0": NEVER}))
    assert own.choose(ask(), scene(10_000)).key_id == "k1"
    own.take_out("k1", 15_000)
    choice = own.choose(ask(), scene(10_000))
    assert (choice.key_id, choice.wait_ms) == ("k1", 5_000)


def test_a_429_pauses_its_domain_and_empties_what_it_named() -> None:
    """No grant before its end, and then only what has refilled since."""
    own = books(limits(INPUT))
    taken = own.grant(own.choose(ask(), scene(60_000)), ask())
    own.pause(["d-k0", "tenant:a"], 61_000)
    own.empty(taken, "input_tokens")
    assert own.choose(ask(), scene(60_000)).wait_ms == 1_000
    assert own.choose(ask(2_000), scene(61_000)).wait_ms == 1_000


def test_what_is_larger_than_the_share_has_no_key() -> None:
    """A quarter of 60,000 tokens a minute: 15,001 can never go."""
    own = books(limits(INPUT), Place(4, 0, {}))
    assert own.choose(ask(15_000), scene(60_000)).wait_ms == 0
    assert own.choose(ask(15_001), scene(60_000)) is None
    nothing = [
        books(limits(requests(3)), Place(4, rank, {})).choose(ask(), scene(10**6)) for rank in range(4)
    ]
    assert nothing.count(None) == 1


def test_a_tenants_limit_is_one_more() -> None:
    """A tenant with limits of its own is bound by its share of these too, and only it."""
    lane = LaneLimits("*", (requests(6),))
    pool = replace(limits(requests(600)), tenants=(TenantLimits("small", lane=lane),))
    own = books(pool)
    assert own.tenant_of(ask(tenant="small").need) == "small"
    assert own.tenant_of(ask(tenant="other").need) == ""
    small = ask(tenant="small")
    own.grant(own.choose(small, scene(10_000)), small)
    assert own.choose(small, scene(10_000)).wait_ms == 10_000
    assert own.choose(ask(), scene(10_000)).wait_ms == 0
    assert [entry[0] for entry in own.tell(10_000, 0)] == ["d-k0|*", "tenant:small|*"]


def test_open_blocks_nothing_but_pauses() -> None:
    """`open`: no limits, but a key out of service stays so; what was sent is told, a full bucket at most."""
    own = books(limits(requests(6), INPUT, slots=1), is_open=True)
    for _ in range(20):
        choice = own.choose(ask(70_000), scene(0, d_k0=5))
        assert choice.wait_ms == 0
        own.grant(choice, ask(70_000))
    assert own.tell(0, 0) == [["d-k0|*", 1, 360_000, 0, 60_000], ["d-k0|*", 2, 60_000 * 60_000, 0, 60_000]]
    own.pause(["d-k0"], 500)
    assert own.choose(ask(), scene(0)).wait_ms == 500


def test_predictions_are_a_quantile_of_this_processs_own_answers() -> None:
    """Nothing is known of fewer than twenty; then nine in ten are below what is predicted."""
    outputs = RecentOutputs()
    assert outputs.predict("*", "", 1_000) == (256, True)
    for tokens in range(1, 101):
        outputs.add("*", "", tokens)
    assert outputs.predict("*", "", 1_000) == (96, False)
    assert outputs.predict("*", "", 50) == (50, False)
    assert outputs.predict("*", "other", 1_000) == (96, False)
    assert outputs.predict("fast", "other", 100) == (100, True)
