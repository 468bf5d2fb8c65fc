"""Whose limits hold, and what becomes of levels, leases and records when they change (ENGINE.md §6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from llm_fleet.engine.registration import keyset_hash
from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits
from tests.pool_rig import Rig, beat, enqueue, fake_rig, mini_rig, open_rig, pool_of, settle

OUTPUT = Bucket("output_tokens", 8_000, jitter_ms=0, rule="as_produced")


def of(amount: int, **more: Any) -> PoolLimits:
    """One key with so many requests a minute."""
    return replace(pool_of(Bucket("requests", amount, jitter_ms=0)), **more)


def outcome(reply: list[Any]) -> str:
    """What became of the only domain's limits."""
    return str(reply[4][1])


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An empty rig, on the fake server and on a real one."""
    with open_rig(request) as opened:
        yield opened


# -- which limits hold ---------------------------------------------------------------------------


def test_an_old_process_cannot_roll_back_what_replaced_its_limits(rig: Rig) -> None:
    """Without versions only limits that were never superseded replace; `same` and `kept` tell so."""
    said = [outcome(rig.register("A", of(amount))) for amount in (60, 60, 90, 60, 30, 90, 60)]
    assert said == ["applied", "same", "applied", "kept", "applied", "kept", "kept"]
    assert rig.bucket()["limit"] == 30


@pytest.mark.parametrize(
    ("stored", "offered", "said"),
    [(None, 1, "applied"), (1, 2, "applied"), (2, 2, "kept"), (2, 1, "kept"), (2, None, "kept")],
)
def test_a_version_orders_limits(rig: Rig, stored: int | None, offered: int | None, said: str) -> None:
    """A higher config_version replaces, a lower one or none does not; neither do others of the same."""
    rig.register("A", of(60, version=stored))
    assert outcome(rig.register("B", of(90, version=offered))) == said


def test_forced_limits_replace_any(rig: Rig) -> None:
    """`config apply` replaces newer and superseded limits alike."""
    rig.register("A", of(60, version=7))
    rig.register("A", of(90, version=8))
    assert outcome(rig.register("B", of(60, version=3, force=True))) == "applied"


def test_registering_again_changes_nothing() -> None:
    """The same process, limits and leases once more: levels, leases and limits are what they were."""
    rig = fake_rig(of(60), "A", "B")
    grant = rig.enqueue("A", "lease")
    before = (rig.units(), rig.snapshot())
    rig.register("A", of(60), leases=[rig.lease("lease", grant[1:])])
    assert (rig.units(), rig.snapshot()) == before


# -- what becomes of levels and leases -----------------------------------------------------------


@pytest.mark.parametrize(("taken", "level"), [(0, 120), (30, 60), (60, 0)])
def test_levels_carry_over_in_proportion(taken: int, level: int) -> None:
    """A bucket that was half full is half full under other limits."""
    rig = fake_rig(of(60))
    rig.taken("A", *(enqueue(f"t{i}", of(60)) for i in range(taken)))
    rig.register("A", of(120))
    assert rig.bucket()["level"] == level


def test_a_debt_stays_what_it_is() -> None:
    """Higher limits forgive nothing."""
    rig = fake_rig(pool_of(Bucket("input_tokens", 600, jitter_ms=0, rule="at_start_adjust")))
    rig.enqueue("A", "t", tokens=(600, 0))
    rig.taken("A", settle("t", 700, 0))
    rig.register("A", pool_of(Bucket("input_tokens", 6_000, jitter_ms=0, rule="at_start_adjust")))
    assert rig.bucket()["level"] == -100


def test_holds_outlive_a_lane_that_was_taken_out() -> None:
    """A lane that comes back holds what its leases in flight hold, and after them nothing."""
    with_lane, without = pool_of(lanes=[LaneLimits("big", (OUTPUT,))]), pool_of()
    rig = fake_rig(with_lane)
    rig.enqueue("A", "first", lane="big", tokens=(0, 100))
    rig.enqueue("A", "second", lane="big", tokens=(0, 100))
    rig.register("A", without)
    rig.taken("A", settle("first", 0, 10))
    rig.register("A", replace(with_lane, force=True))
    assert rig.bucket(lane="big")["held"] == 100
    rig.taken("A", settle("second", 0, 10))
    assert rig.bucket(lane="big")["held"] == 0


def test_a_key_that_moves_charges_its_new_account() -> None:
    """After a key was given to another account its calls count there; leases end where they began."""
    before = pool_of(OUTPUT, keys=2)
    after = PoolLimits("p", (("k0", ("d1",)), ("k1", ("d1",))), before.domains)
    rig = fake_rig(before)
    rig.enqueue("A", "old", preferred="k0", tokens=(0, 100))
    rig.register("A", after)
    rig.enqueue("A", "new", preferred="k0", tokens=(0, 100))
    assert [rig.bucket(domain=name)["held"] for name in ("d0", "d1")] == [100, 100]
    rig.taken("A", settle("old", 0, 1))
    assert [rig.bucket(domain=name)["held"] for name in ("d0", "d1")] == [0, 100]


def test_a_cut_ends_tickets_that_can_no_longer_fit() -> None:
    """Who waits for more than the new limit is told at the next step that it is too large."""
    def tokens(amount: int) -> PoolLimits:
        return pool_of(Bucket("tokens", amount, jitter_ms=0))

    rig = fake_rig(tokens(600))
    rig.enqueue("A", "all", tokens=(600, 0))
    rig.enqueue("A", "waits", tokens=(500, 0))
    rig.register("A", tokens(400))
    assert rig.taken("A").refusals == [["waits", "too_large"]]


def test_an_expired_lease_is_not_asserted_again() -> None:
    """Where nothing was lost, a process that registers after a long stop restores no lease of its own."""
    rig = fake_rig(pool_of(slots=1), "A", "B")
    grant = rig.enqueue("A", "slept")
    for _ in range(60):
        rig.advance(4_000)
        rig.taken("B")
    rig.register("A", pool_of(slots=1), leases=[rig.lease("slept", grant[1:])])
    assert rig.snapshot()["leases"] == 0
    assert rig.taken("A", beat(("slept", 0))).result == ["h", [["slept", ""]], []]


# -- what those who are gone have left -----------------------------------------------------------


def stay_away(rig: Rig, seconds: int, *, present: str = "B") -> None:
    """So long only one process calls."""
    for _ in range(seconds):
        rig.advance(1_000)
        rig.taken(present)


def test_a_killed_process_is_forgotten_after_a_minute() -> None:
    """Sixty seconds after its last call the next registration removes what names it, and its key set."""
    rig = fake_rig(pool_of(keys=2), "B")
    rig.register("killed", pool_of(keys=1))
    stay_away(rig, 60)
    rig.register("B", pool_of(keys=2))
    assert set(rig.snapshot()["processes"]) == {"B", "killed"}
    stay_away(rig, 1)
    rig.register("B", pool_of(keys=2))
    fields = rig.timed(lambda: rig.client.hkeys(rig.keys.all()[0]))
    assert [name for name in fields if "killed" in name] == []
    assert f"keyset|{keyset_hash(pool_of(keys=1))}" not in fields
    assert f"keyset|{keyset_hash(pool_of(keys=2))}" in fields


def test_a_process_that_was_forgotten_registers_again() -> None:
    """It is answered `register`, and goes on."""
    rig = fake_rig(of(60), "A", "B")
    stay_away(rig, 61)
    rig.register("B", of(60))
    assert rig.step("A", enqueue("t", of(60))) is None
    rig.register("A", of(60))
    assert rig.enqueue("A", "t")[0] == "g"


def test_a_process_that_still_holds_is_remembered() -> None:
    """Whose lease is alive is not forgotten, however long it was silent."""
    rig = fake_rig(of(60), "A", "B", ttl_s=300.0)
    rig.enqueue("A", "long")
    stay_away(rig, 70)
    rig.register("B", of(60), ttl_s=300.0)
    assert rig.snapshot()["processes"]["A"]["leases"] == 1


# -- what is learned and how long is waited ------------------------------------------------------


def test_outputs_of_one_step_predict_in_the_same_step() -> None:
    """Twenty outputs that come with an enqueue are known to it."""
    rig = fake_rig(pool_of(OUTPUT))
    limits = rig.members["A"].limits
    rig.taken("A", *(enqueue(f"t{i}", limits, tokens=(0, 10)) for i in range(20)))
    rig.taken("A", *(settle(f"t{i}", 0, 300) for i in range(20)), enqueue("next", limits, tokens=(0, 4_096)))
    assert rig.bucket()["held"] == 300


@pytest.mark.parametrize("usage", [(0, -1), (-1, 300), (-1, -1), (0, 0)])
def test_what_was_cut_off_is_not_learned(usage: tuple[int, int]) -> None:
    """An outcome that nobody knows whole, and an empty answer, say nothing of how long answers are."""
    rig = fake_rig(pool_of(OUTPUT))
    for i in range(25):
        rig.enqueue("A", f"t{i}", tokens=(0, 10))
        rig.taken("A", settle(f"t{i}", *usage))
        rig.advance(60_000)
    rig.enqueue("A", "next", tokens=(0, 4_096))
    assert rig.bucket()["held"] == 256


def test_a_jump_of_the_clock_ends_no_wait() -> None:
    """Deadlines run on the lease clock: who waits 30 s is not denied because the clock jumped an hour."""
    rig = fake_rig(pool_of(slots=1))
    rig.enqueue("A", "holds")
    rig.enqueue("A", "waits", wait_ms=30_000)
    rig.advance(3_600_000)
    assert rig.taken("A", beat(("holds", 0))).refusals == []
    told = []
    for _ in range(26):
        rig.advance(1_000)
        told += rig.taken("A", beat(("holds", 0))).refusals
    assert told == [["waits", "timeout"]]


def test_a_clock_that_jumps_further_than_tickets_live_ends_no_pool() -> None:
    """More than an hour on tickets and queues have run out: all register again, and who waited can ask again."""
    limits = pool_of(Bucket("requests", 60, burst_ms=2_000))
    rig = mini_rig(limits, "A", "B")
    rig.taken("A", *(enqueue(f"t{i}", limits) for i in range(3)))
    rig.advance(3_600_001)
    assert (rig.step("B", enqueue("n", limits)), rig.step("A")) == (None, None)
    fields = rig.client.hgetall(rig.keys.all()[0])
    assert [name for name in fields if name.startswith(("flow|", "line|"))] == []
    for process in "AB":
        rig.register(process, limits)
    assert rig.enqueue("A", "t2")[0] in "gq"
    rig.advance(5_000)
    rig.taken("A")
    rig.advance(5_000)
    assert rig.enqueue("B", "n")[0] == "g"


def test_a_pool_that_slept_for_an_hour_goes_on_at_once() -> None:
    """Nobody waited, so nothing was lost: the next call is served, and its lease runs out if nobody renews it."""
    limits = pool_of(Bucket("requests", 60, burst_ms=2_000), slots=1)
    rig = mini_rig(limits, "A")
    rig.enqueue("A", "t1")
    rig.taken("A", settle("t1"))
    rig.advance(3_600_001)
    assert rig.enqueue("A", "t2")[0] == "g"
    for _ in range(4):
        rig.advance(5_000)
        rig.taken("A")
    assert rig.snapshot()["domains"]["d0"]["in_flight"] == 0


@pytest.mark.parametrize("meta", [
    b'["e","",0,0,0,0,0,0,15000,0,0,0]',
    b"6f1d0c2b9a88\0\0" + struct.pack("<11q", 7, 7, 0, 1, 1, 1, 15_000, 1, 1, 0, 1),
    struct.pack("<11q", 7, 7, 1, 1, 1, 0, 15_000, 1, 1, 0, 1) + b"6f1d0c2b9a88\0\0",
    struct.pack("<11q", 7, 7, 1, 1, 1, 0, 15_000, 1, 1, 0, 1) + b"6f1d0c2b9a88\0\0\xff",
], ids=["JSON", "epoch first", "without a number", "a later one"])  # fmt: skip
def test_pool_of_another_version_is_refused_by_name(meta: bytes) -> None:
    """What another version has stored is not read: the error says what to do."""
    rig = fake_rig(pool_of(keys=1))
    rig.timed(lambda: rig.client.hset(rig.keys.all()[0], "meta", meta))
    with pytest.raises(redis.ResponseError, match="another version .* namespace"):
        rig.register("B", rig.members["A"].limits)
