"""What registering leaves behind: key sets and crowds, lanes, superseded limits, slots that are counted anew."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from llm_fleet.engine.registration import keyset_hash
from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits
from tests.pool_rig import Rig, mini_rig, pool_of, settle

MINUTE = Bucket("requests", 600, jitter_ms=0)


def fields(rig: Rig) -> dict[str, str]:
    """The small records of the pool."""
    return dict(rig.client.hgetall(rig.keys.all()[0]))


def keyset_of(limits: PoolLimits) -> list[object]:
    """What stands for the key set of a process that registered first."""
    rig = mini_rig(limits, "A")
    text = fields(rig)[f"keyset|{keyset_hash(limits)}"]
    if text.startswith("["):
        return list(json.loads(text))
    count, *texts = text[:1], *text[1:].split("\0")[:-1]
    assert len(texts) == ord(count)
    return [*texts]


def sharing(count: int, *pairs: tuple[str, tuple[str, ...]]) -> PoolLimits:
    """So many keys of one account each, but for these."""
    limits = pool_of(MINUTE, keys=count)
    return replace(limits, keys=tuple({**dict(limits.keys), **dict(pairs)}.items()))


def uneven(count: int, lanes: tuple[LaneLimits, ...]) -> PoolLimits:
    """So many keys, of which the account of the third has other lanes."""
    limits = pool_of(MINUTE, keys=count, lanes=[LaneLimits("big", (Bucket("tokens", 100),))])
    domains = list(limits.domains)
    domains[2] = DomainLimits("d2", lanes)
    return replace(limits, domains=tuple(domains))


def test_few_keys_are_named_one_by_one() -> None:
    """The key set of up to eight accounts is a list: key, accounts, key, accounts ..."""
    assert keyset_of(sharing(3, ("k1", ("d0", "d1")))) == ["k0", "d0", "k1", "d0|d1", "k2", "d2"]
    assert len(keyset_of(pool_of(MINUTE, keys=8))) == 16
    assert len(keyset_of(sharing(9, ("k8", ("d0",))))) == 18


def test_crowd_is_more_than_eight_accounts() -> None:
    """A crowd is counted; it tells whether its accounts are all alike, and whether each has one key."""
    assert keyset_of(pool_of(MINUTE, keys=9)) == ["#", 9, 1, 1]
    assert keyset_of(sharing(10, ("k9", ("d0",)))) == ["#", 10, 1, 0]
    assert keyset_of(sharing(9, ("k1", ("d0", "d1")))) == ["#", 9, 0, 1]


@pytest.mark.parametrize("lanes", [
        (LaneLimits("*", (MINUTE,)), LaneLimits("huge", (Bucket("tokens", 100),))),
    (LaneLimits("*", (MINUTE,)),),
    (LaneLimits("*", (MINUTE,)), LaneLimits("big", (Bucket("tokens", 101),))),
    (LaneLimits("*", (MINUTE,), 1), LaneLimits("big", (Bucket("tokens", 100),))),
])  # fmt: skip
def test_crowd_of_unlike_accounts_says_so(lanes: tuple[LaneLimits, ...]) -> None:
    """One account with another lane, limit or number of slots makes a crowd uneven."""
    assert keyset_of(
        uneven(9, (LaneLimits("*", (MINUTE,)), LaneLimits("big", (Bucket("tokens", 100),))))
    ) == ["#", 9, 1, 1]
    assert keyset_of(uneven(9, lanes)) == ["#", 9, 0, 1]


def test_crowd_is_kept_key_by_key() -> None:
    """Each key of a crowd is found by its number and its name, each account by one of its keys."""
    limits = sharing(10, ("k9", ("d0",)))
    prefix = f"entry|{keyset_hash(limits)}|"
    found = {
        name.removeprefix(prefix): text
        for name, text in fields(mini_rig(limits, "A")).items()
        if name.startswith("entry|")
    }
    owners = [f"d{i}" for i in range(9)] + ["d0"]
    expected = {str(i + 1): f"k{i}|{owner}" for i, owner in enumerate(owners)}
    expected |= {f"@k{i}": f"k{i}|{owner}" for i, owner in enumerate(owners)}
    assert found == expected | {f"d|d{i}": f"k{i}|d{i}" for i in range(9)}


def test_crowd_becomes_uneven_when_one_account_changes() -> None:
    """New limits of one account are known to every key set that has it, also to those of others."""
    even, rest = pool_of(MINUTE, keys=10), pool_of(MINUTE, keys=9)
    rig = mini_rig(even, "A")
    other = PoolLimits(
        "p", even.keys[:1], (DomainLimits("d0", (LaneLimits("*", (Bucket("requests", 60),)),)),)
    )
    rig.register("B", rest)
    rig.register("C", other)
    stored = fields(rig)
    assert [json.loads(stored[f"keyset|{keyset_hash(limits)}"])[2] for limits in (even, rest)] == [0, 0]


def test_key_sets_that_nobody_has_are_forgotten() -> None:
    """A minute after the last process with a key set is gone, nothing of it is left; the others stay."""
    crowd, few = pool_of(MINUTE, keys=10), pool_of(MINUTE, keys=2)
    rig = mini_rig(crowd, "A")
    rig.register("B", few)
    for _ in range(61):
        rig.advance(1_000)
        rig.taken("B")
    rig.register("B", few)
    left = [name for name in fields(rig) if name.startswith(("entry|", "keyset|", "info|", "process|"))]
    assert sorted(left) == ["info|B", f"keyset|{keyset_hash(few)}", "process|B"]


def test_process_is_forgotten_after_a_minute_and_not_before() -> None:
    """At a minute of presence a silent process is still known, a moment later it is not."""
    rig = mini_rig(pool_of(MINUTE), "A", "B")
    for _ in range(60):
        rig.advance(1_000)
        rig.taken("B")
    rig.register("B", pool_of(MINUTE))
    assert "process|A" in fields(rig)
    rig.advance(1)
    rig.register("B", pool_of(MINUTE))
    assert "process|A" not in fields(rig)


def test_lanes_that_are_gone_leave_nothing() -> None:
    """New limits without a lane take its records out, and leave those of other lanes."""
    rig = mini_rig(pool_of(MINUTE, lanes=[LaneLimits("big", (MINUTE,)), LaneLimits("small", (MINUTE,))]), "A")
    rig.register("A", pool_of(MINUTE, lanes=[LaneLimits("small", (MINUTE,))]))
    names = {name for name in fields(rig) if name.startswith(("limits|", "buckets|"))}
    assert names == {f"{kind}|d0|{lane}" for kind in ("limits", "buckets") for lane in ("*", "small")}


def test_thirty_two_superseded_limits_are_remembered() -> None:
    """Without versions the last 32 that were replaced cannot come back; what was before them can."""
    rig = mini_rig(pool_of(Bucket("requests", 1)), "A")
    for amount in range(2, 35):
        assert rig.register("A", pool_of(Bucket("requests", amount)))[4] == ["d0", "applied"]
    assert rig.register("A", pool_of(Bucket("requests", 2)))[4] == ["d0", "kept"]
    assert rig.register("A", pool_of(Bucket("requests", 1)))[4] == ["d0", "applied"]


def test_weights_of_tenants_obey_versions() -> None:
    """Weights and aging time are replaced by a higher version only, or by force."""

    def weighed(weight: int, version: int, *, force: bool = False) -> PoolLimits:
        tenants = (TenantLimits("t", weight),)
        return replace(pool_of(MINUTE), tenants=tenants, version=version, force=force, aging_ms=weight)

    rig = mini_rig(weighed(2_000, 5), "A")
    seen = []
    for limits in (weighed(3_000, 4), weighed(3_000, 5), weighed(3_000, 6), weighed(1_500, 2, force=True)):
        rig.register("A", limits)
        shown = rig.snapshot()
        seen.append((shown["weights"]["t"], shown["aging_ms"]))
    assert seen == [(2_000, 2_000), (2_000, 2_000), (3_000, 3_000), (1_500, 1_500)]


def test_slots_that_are_limited_later_count_who_is_in_flight() -> None:
    """Leases from before slots were limited fill them, each in its own account."""
    rig = mini_rig(pool_of(MINUTE, keys=2), "A")
    for ticket in ("t1", "t2", "t3"):
        rig.enqueue("A", ticket)
    before = {name: domain["in_flight"] for name, domain in rig.snapshot()["domains"].items()}
    assert sorted(before.values()) == [1, 2]
    rig.register("A", pool_of(MINUTE, keys=2, slots=2))
    assert rig.enqueue("A", "t4")[0] == "g"
    assert rig.enqueue("A", "t5") == ["q"]
    rig.taken("A", settle("t1", 0, 0))
    assert rig.snapshot()["leases"] == 4
