"""What a 429 does to the limit that it names: cut once, and back slowly (ENGINE.md §6)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits, TenantLimits
from tests.pool_rig import Rig, beat, enqueue, mini_rig, per_day, pool_of, settle

REQUESTS, INPUT, OUTPUT = 1, 2, 3
LIMITS = pool_of(Bucket("requests", 600, jitter_ms=0), Bucket("input_tokens", 80_000, jitter_ms=0), keys=1)


def granted(rig: Rig, *ids: str, lane: str = "*", tenant: str = "default") -> None:
    """Leases under these ids."""
    limits = rig.members["A"].limits
    results = rig.taken("A", *(enqueue(id, limits, lane=lane, tenant=tenant, tokens=(10, 10)) for id in ids)).results
    assert {result[0] for result in results} == {"g"}


def throttled(rig: Rig, id: str, code: int = REQUESTS) -> None:
    """The provider answers a lease with a 429 that names a resource, and with no pause."""
    rig.taken("A", settle(id, 0, 0, pause_ms=0, code=code))


def rates(rig: Rig, domain: str = "d0", lane: str = "*") -> list[int]:
    """What its limits refill in a period."""
    buckets = rig.snapshot()["domains"][domain]["lanes"][lane]
    return [bucket.get("cut", bucket["limit"]) for bucket in buckets]


def test_one_of_a_cohort_cuts() -> None:
    """Of all that was granted before the cut the first 429 cuts by an eighth; what is granted later cuts again."""
    rig = mini_rig(LIMITS, "A")
    granted(rig, "A-1", "A-2", "A-3")
    seen = []
    for id in ("A-1", "A-2", "A-4", "A-3", "A-5"):
        if id > "A-3":
            granted_after_refill(rig, id)
        throttled(rig, id)
        seen.append(rates(rig)[0])
    assert seen == [525, 525, 459, 459, 401]


def granted_after_refill(rig: Rig, id: str) -> None:
    """A lease, once the bucket that a 429 has emptied has something again."""
    rig.advance(1_000)
    granted(rig, id)


def test_a_429_again_cuts_nothing_again() -> None:
    """The same settle repeated is answered, and changes nothing."""
    rig = mini_rig(LIMITS, "A")
    granted(rig, "A-1")
    for _ in range(3):
        throttled(rig, "A-1")
    assert rates(rig) == [525, 80_000]


@pytest.mark.parametrize(("code", "expected"), [(REQUESTS, [525, 80_000]), (INPUT, [600, 70_000]), (OUTPUT, [600, 80_000]),
                                                (0, [525, 80_000])])  # fmt: skip
def test_only_what_is_named_is_cut(code: int, expected: list[int]) -> None:
    """A 429 that names what is not limited pauses only; one that names nothing cuts what least is left of."""
    rig = mini_rig(LIMITS, "A")
    granted(rig, "A-1")
    throttled(rig, "A-1", code)
    assert rates(rig) == expected


def test_what_least_is_left_of_is_cut_where_nothing_is_named() -> None:
    """By the share of what it can hold, holds counted; a day does not count; the level stays."""
    buckets = (
        per_day(90),
        Bucket("requests", 100, jitter_ms=0),
        Bucket("output_tokens", 4_000, jitter_ms=0, rule="as_produced"),
    )
    rig = mini_rig(pool_of(*buckets, keys=1), "A")
    for number, output, expected in ((1, 1, [90, 87, 4_000]), (2, 400, [90, 87, 3_500])):
        for place in range(2):
            rig.enqueue("A", f"A-{number}{place}", tokens=(0, output))
        level = rig.bucket(1)["level"]
        throttled(rig, f"A-{number}0", 0)
        assert rates(rig) == expected
        assert rig.bucket(1)["level"] == level


def test_rate_is_cut_and_not_depth() -> None:
    """What the bucket can hold stays; it takes longer to fill, to the tick."""
    rig = mini_rig(LIMITS, "A")
    granted(rig, "A-1")
    before = rig.bucket()["capacity"]
    throttled(rig, "A-1")
    assert (rig.bucket()["capacity"], rig.bucket()["level"]) == (before, 0)
    result = rig.enqueue("A", "A-2")
    assert result[0] == "q"
    rig.advance(114)  # 60,000 / 525 is 114.3 ticks
    assert rig.taken("A").grants == []
    rig.advance(1)
    assert [grant[0] for grant in rig.taken("A").grants] == ["A-2"]


def test_never_below_an_eighth() -> None:
    """However many cohorts: a fleet always goes on."""
    rig = mini_rig(LIMITS, "A")
    for number in range(1, 30):
        granted_after_refill(rig, f"A-{number:x}")
        throttled(rig, f"A-{number:x}")
    assert rates(rig) == [75, 80_000]


@pytest.mark.parametrize(("amount", "expected"), [(1, 1), (5, 4), (8, 7), (9, 7)])
def test_small_limits_are_cut_by_whole_requests(amount: int, expected: int) -> None:
    """At least by one, and never to nothing."""
    rig = mini_rig(pool_of(Bucket("requests", amount, jitter_ms=0), keys=1), "A")
    granted(rig, "A-1")
    throttled(rig, "A-1")
    assert rates(rig) == [expected]


def test_limits_of_a_day_and_of_a_tenant_stay() -> None:
    """One 429 tells nothing of a day, and a tenant's own limit is no provider's."""
    own = TenantLimits("t", 1_000, LaneLimits("*", (Bucket("requests", 60, jitter_ms=0),)))
    rig = mini_rig(pool_of(Bucket("requests", 600, jitter_ms=0), per_day(9_000), keys=1, tenants=[own]), "A")
    granted(rig, "A-1", tenant="t")
    throttled(rig, "A-1")
    assert rates(rig) == [525, 9_000]
    assert rates(rig, "tenant:t") == [60]


def test_limits_of_a_lane_are_cut_beside_the_shared_one() -> None:
    """A 429 does not say which of both it was; another lane keeps its own."""
    lanes = [LaneLimits(name, (Bucket("requests", 80, jitter_ms=0),)) for name in ("big", "small")]
    rig = mini_rig(pool_of(Bucket("requests", 600, jitter_ms=0), keys=2, lanes=lanes), "A")
    granted(rig, "A-1", lane="big")
    throttled(rig, "A-1")
    found = {(domain, lane): rates(rig, domain, lane)[0] for domain in ("d0", "d1") for lane in ("*", "big", "small")}
    cut = {place: rate for place, rate in found.items() if rate not in (600, 80)}
    assert sorted(cut.values()) == [70, 525]
    assert len({domain for domain, _ in cut}) == 1
    assert {lane for _, lane in cut} == {"*", "big"}


def beaten(rig: Rig, *pauses_ms: int) -> list[int]:
    """The rate of requests after each heartbeat of another process, after so many ms each."""
    seen = []
    for ms in pauses_ms:
        rig.advance(ms)
        rig.taken("B", beat())
        seen.append(rates(rig)[0])
    return seen


def remembered(rig: Rig) -> dict[str, list[int]]:
    """What is stored of cuts."""
    return dict(json.loads(rig.client.hgetall(rig.keys.all()[0])["cuts"]))


def test_it_comes_back_within_seconds() -> None:
    """With the heartbeats of any process, however they fall: all of a limit in a minute, an eighth in 7.5 s."""
    rig = mini_rig(LIMITS, "A", "B")
    granted(rig, "A-1")
    throttled(rig, "A-1")
    seen = beaten(rig, 99, 1, 50, 50, 1_000, 4_700, 1_499, 100, 1, 60_000)
    assert seen == [525, 526, 526, 527, 537, 584, 598, 599, 600, 600]


def test_each_further_cut_comes_back_at_half_the_pace() -> None:
    """Until that is so slow that an eighth takes two minutes."""
    rig = mini_rig(LIMITS, "A", "B")
    paces = []
    for number in range(1, 8):
        granted_after_refill(rig, f"A-{number:x}")
        throttled(rig, f"A-{number:x}")
        paces.append(remembered(rig)["d0|*|1"][3])
        beaten(rig, *[5_000] * 30)
        assert rates(rig)[0] == 600
    assert paces == [60_000, 120_000, 240_000, 480_000, 960_000, 960_000, 960_000]


def test_many_accounts_come_back_in_parts() -> None:
    """A heartbeat raises sixteen limits at most, the next ones the others: none is long because all were cut."""
    limits = pool_of(Bucket("requests", 600, jitter_ms=0), keys=40)
    rig = mini_rig(limits, "A", "B")
    ids = [f"A-{number:x}" for number in range(1, 41)]
    for id in ids:
        granted(rig, id)
    rig.taken("A", *(settle(id, 0, 0, pause_ms=0, code=REQUESTS) for id in ids))
    cut = len(remembered(rig))
    assert cut > 32
    rig.advance(7_500)
    left = []
    for _ in range(4):
        rig.taken("B", beat())
        left.append(sum(entry[4] < entry[2] for entry in remembered(rig).values()))
    assert left == [cut - 16, cut - 32, 0, 0]


def test_what_was_back_for_long_is_forgotten() -> None:
    """Sixteen minutes after it is back nothing is remembered; a second less, and the next cut is one of several."""
    rig = mini_rig(LIMITS, "A", "B")
    granted(rig, "A-1")
    throttled(rig, "A-1")
    assert beaten(rig, 7_500, 959_999) == [600, 600]
    assert remembered(rig)["d0|*|1"][2:] == [600, 60_000, 600]
    beaten(rig, 1)
    assert remembered(rig) == {}


def test_a_long_silence_brings_back_all() -> None:
    """It never passes what is configured."""
    rig = mini_rig(LIMITS, "A", "B")
    granted(rig, "A-1")
    throttled(rig, "A-1")
    assert beaten(rig, 1_800_000) == [600]


def test_a_new_limit_is_not_cut() -> None:
    """What somebody has configured since is believed; the limits that it leaves as they are come back too."""
    rig = mini_rig(LIMITS, "A")
    granted(rig, "A-1")
    throttled(rig, "A-1")
    fewer = pool_of(Bucket("requests", 500, jitter_ms=0), Bucket("input_tokens", 80_000, jitter_ms=0), keys=1)
    rig.register("A", LIMITS)
    assert rates(rig) == [525, 80_000]
    rig.register("B", replace(fewer, version=2))
    rig.advance(5_000)
    rig.taken("B", beat())
    assert rates(rig) == [500, 80_000]


def test_a_limit_that_is_gone_is_forgotten() -> None:
    """The lane whose limit was cut is not configured any more."""
    lanes = [LaneLimits("big", (Bucket("requests", 80, jitter_ms=0),))]
    limits = pool_of(Bucket("input_tokens", 80_000, jitter_ms=0), keys=1, lanes=lanes)
    rig = mini_rig(limits, "A")
    granted(rig, "A-1", lane="big")
    throttled(rig, "A-1")
    rig.register("A", replace(pool_of(Bucket("input_tokens", 80_000, jitter_ms=0), keys=1), version=2))
    rig.advance(1_000)
    rig.taken("A", beat())
    assert remembered(rig) == {}


@pytest.mark.parametrize(("keys", "window_ms"), [(1, 0), (9, 0), (1, 10_000), (1, 60_000)])
def test_nobody_is_denied_who_could_go_once_it_is_back(keys: int, window_ms: int) -> None:
    """The bound of a start is that of the limits as they are configured: what was cut may come back meanwhile."""
    limit = Bucket("requests", 60, burst_ms=2_000, jitter_ms=0, window_ms=window_ms)
    limits: PoolLimits = pool_of(limit, keys=keys)
    rig = mini_rig(limits, "A")
    number = 0
    for _ in range(keys):
        for _ in range(6):
            number += 1
            if rig.enqueue("A", f"A-{number:x}", wait_ms=0)[0] == "g":
                throttled(rig, f"A-{number:x}")
            rig.advance(300)
    patience_ms = [1_250 * (more // keys) + 3_000 for more in range(1, 40)]
    results = [
        rig.enqueue("A", f"A-{number + more:x}", wait_ms=ms)[0] for more, ms in enumerate(patience_ms, 1)
    ]
    assert set(results) <= {"q", "g"}
