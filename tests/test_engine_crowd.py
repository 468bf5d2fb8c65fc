"""Keys of more than eight accounts: one is found by chance or by an index, and nothing else is different."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits
from tests.lua_redis import MiniRedis
from tests.oracle_books import Books
from tests.oracle_buckets import OracleBucket
from tests.oracle_crowd import FOREVER_S, CrowdPair, crowd_of, index_of, play_in_crowd
from tests.pool_rig import Rig, enqueue, mini_rig, per_day, pool_of, settle

OFTEN = {
    "burst": 5,
    "drain": 8,
    "settle": 6,
    "settle unknown": 3,
    "cancel": 2,
    "throttle": 4,
    "switch": 3,
    "wake": 4,
}
SECOND = Bucket("requests", 60, burst_ms=1_000, jitter_ms=0)


def kinds(random: Random, count: int) -> list[str]:
    """What happens in a story."""
    return random.choices([*OFTEN], [*OFTEN.values()], k=count)


def holders(random: Random, pool: PoolLimits) -> dict[str, PoolLimits]:
    """A holds all keys; B perhaps only some, few or many."""
    some = tuple(random.sample(pool.keys, random.randint(1, len(pool.keys))))
    return {"A": pool, "B": random.choice((pool, replace(pool, keys=some)))}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("is_uniform", [True, False])
def test_2_oracle_agrees_with_a_crowd_but_for_the_key(seed: int, is_uniform: bool) -> None:
    """A ticket goes if and only if some key could take it; else its wake is the first moment at which one can."""
    random = Random(seed)
    pair = CrowdPair(Rig(MiniRedis()), holders(random, crowd_of(random, is_uniform=is_uniform)))
    for kind in kinds(random, 50):
        play_in_crowd(pair, random, kind)


def assert_index(books: Books) -> None:
    """Each bucket, and each account's gate, has one member in the index, and none promises too little."""
    domains, units, shown = books.members["A"].domains, books.rig.units(), books.rig.snapshot()["domains"]
    found = {member.place: member for member in index_of(books.rig)}
    assert len(found) == len(index_of(books.rig))
    expected = {(domain.name, "*", 0) for domain in domains}
    for domain in domains:
        for lane in domain.lanes:
            stored = units.get(f"{domain.name}|{lane.lane}", [])
            lines = shown[domain.name]["lanes"][lane.lane] or ()
            for limit, (level, held, ms), line in zip(lane.buckets, stored, lines, strict=True):
                bucket = OracleBucket(limit, ms)
                bucket.level, bucket.held, bucket.rate = level, held, line.get("cut", bucket.rate)
                bucket.refill(books.now)
                [place] = [p for p in found if p[:2] == (domain.name, lane.lane) and p[2] == kind_of(limit)]
                expected.add(place)
                assert found[place].is_lower_bound(bucket, books.now), f"{limit} of {domain.name}"
    assert {*found} == expected


def kind_of(limit: Bucket) -> int:
    """How the index names the resource and the period of a limit."""
    return limit.wire()[0] + (10 if limit.period_ms > 60_000 else 0)


@pytest.mark.parametrize("seed", range(8))
def test_index_of_a_crowd_has_one_lower_bound_for_each_bucket(seed: int) -> None:
    """After every call of a story with several lanes each bucket has one member, and it is a lower bound."""
    random = Random(seed)
    pool = crowd_of(random)
    books = Books(Rig(MiniRedis()), holders(random, pool), FOREVER_S)
    for kind in kinds(random, 30):
        play_in_crowd(books, random, kind, ("*", "big"))
        assert_index(books)


@pytest.mark.parametrize("seed", range(6))
def test_16_work_conservation_in_a_crowd_of_several_lanes(seed: int) -> None:
    """A step that asks nothing grants nothing, and slots and pauses of every account are kept."""
    random = Random(seed)
    books = Books(Rig(MiniRedis()), holders(random, crowd_of(random)), FOREVER_S)
    slots = books.members["A"].domains[0].lanes[0].concurrency
    for kind in kinds(random, 40):
        play_in_crowd(books, random, kind, ("*", "big"))
        assert not books.step(random.choice("AB")).grants
        if slots:
            shown = books.rig.snapshot()["domains"].values()
            assert max(domain["in_flight"] for domain in shown) <= slots


def test_every_key_of_a_crowd_is_used_before_anybody_waits() -> None:
    """Of 40 keys with one request each, 40 requests go at once and the next waits for the first key."""
    limits = pool_of(SECOND, keys=40)
    rig = mini_rig(limits)
    results = rig.taken("A", *(enqueue(f"t{i}", limits) for i in range(41))).results
    assert len({result[1] for result in results[:40]}) == 40
    assert results[40] == ["q"]
    assert [wake[2] for wake in rig.taken("A").wakes] == [1_000]


@pytest.mark.parametrize("at_once", [1, 128])
def test_keys_without_a_free_slot_hide_none_that_has_one(at_once: int) -> None:
    """With 200 keys of one slot each, however many of them are taken, the next ticket finds one that is not."""
    limits = pool_of(Bucket("requests", 100_000, jitter_ms=0), Bucket("tokens", 10**9), keys=200, slots=1)
    rig = mini_rig(limits)
    tickets = [f"A-{number:x}" for number in range(1, 201)]
    for first in range(0, 200, at_once):
        asked = tickets[first : first + at_once]
        results = rig.taken("A", *(enqueue(id, limits, tokens=(10, 10)) for id in asked)).results
        assert {result[0] for result in results} == {"g"}
    assert rig.enqueue("A", "A-c9", tokens=(10, 10)) == ["q"]
    assert len(rig.taken("A", settle("A-5", 10, 10)).grants) == 1


def test_what_is_too_large_for_a_busy_crowd_is_refused_at_once() -> None:
    """With 200 keys none of which is free, a need above the limit is still told so, behind a head or not."""
    limits = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0), Bucket("tokens", 600), keys=200)
    rig = mini_rig(limits)
    for first in range(0, 200, 100):
        rig.taken("A", *(enqueue(f"t{first + i}", limits, tokens=(10, 0)) for i in range(100)))
    assert rig.enqueue("A", "alone", tokens=(601, 0))[:2] == ["d", "too_large"]
    assert rig.enqueue("A", "head", tokens=(10, 0)) == ["q"]
    assert rig.enqueue("A", "behind", tokens=(601, 0))[:2] == ["d", "too_large"]
    rig.advance(1_000)
    assert [grant[0] for grant in rig.taken("A").grants] == ["head"]


def test_preferred_key_of_a_crowd_is_taken_while_it_is_free() -> None:
    """A conversation stays on its key, among however many, and leaves it only where it would have to wait."""
    limits = pool_of(Bucket("requests", 120, burst_ms=1_000, jitter_ms=0), keys=30)
    rig = mini_rig(limits)
    taken = [rig.enqueue("A", f"t{i}", preferred="k17")[1] for i in range(3)]
    assert taken[:2] == ["k17", "k17"]
    assert taken[2] != "k17"


def test_only_key_of_a_crowd_that_is_free_is_found() -> None:
    """Whichever of 200 keys is the only one left, the next request goes by it."""
    limits = pool_of(per_day(1), keys=200)
    rig = mini_rig(limits)
    for first in (0, 100):
        rig.taken("A", *(enqueue(f"t{first + i}", limits, preferred=f"k{first + i}") for i in range(100)))
    for last in (0, 77, 199):
        rig.taken("A", ["c", f"t{last}"])
        assert rig.enqueue("A", f"again{last}")[:2] == ["g", f"k{last}"]
    assert rig.enqueue("A", "none left", wait_ms=0)[:2] == ["d", "timeout"]


def test_changed_limits_of_a_crowd_count_at_once() -> None:
    """After a newer config cut the limits of every key, the index and the grants follow the new ones."""
    old = replace(pool_of(Bucket("requests", 600, burst_ms=1_000, jitter_ms=0), keys=12), version=1)
    new = replace(pool_of(SECOND, keys=12), version=2)
    books = Books(Rig(MiniRedis()), {"A": old}, FOREVER_S)
    books.step("A", *(books.enqueue("A") for _ in range(60)))
    books.members["A"] = new
    books.rig.register("A", new, ttl_s=FOREVER_S)
    assert_index(books)
    books.rig.advance(1_000)
    granted = books.step("A", *(books.enqueue("A") for _ in range(40))).results
    assert sum(result[0] == "g" for result in granted) == 12
    assert_index(books)


def test_accounts_with_unlike_limits_are_all_looked_at() -> None:
    """Where accounts have unlike limits a large request goes by the one key that has enough."""
    small = (LaneLimits("*", (Bucket("input_tokens", 600, burst_ms=10_000, jitter_ms=0),)),)
    large = (LaneLimits("*", (Bucket("input_tokens", 6_000, burst_ms=10_000, jitter_ms=0),)),)
    pool = pool_of(keys=20)
    pool = replace(
        pool, domains=tuple(DomainLimits(d.name, large if d.name == "d13" else small) for d in pool.domains)
    )
    assert mini_rig(pool).enqueue("A", "t", tokens=(700, 0))[:2] == ["g", "k13"]


def commands_of_lives(url: str, keys: int, lives: int) -> float:
    """Redis commands per request life in a pool with so many keys, half of which are empty."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.flushall()
        rig = Rig(client, is_fake=False)
        limits = pool_of(
            Bucket("requests", 600, jitter_ms=0), Bucket("input_tokens", 60_000, jitter_ms=0), keys=keys
        )
        rig.register("A", limits)
        for at in range(0, keys, 2):
            rig.enqueue("A", f"eater{at}", preferred=f"k{at}", tokens=(60_000, 0))
        client.config_resetstat()
        for at in range(lives):
            assert rig.enqueue("A", f"t{at}", tokens=(10, 0))[0] == "g"
            rig.taken("A", settle(f"t{at}", 10, 0))
        stats = client.info("commandstats")
        return sum(stat["calls"] for stat in stats.values()) / lives


def test_commands_do_not_grow_with_the_number_of_keys(server: PrivateServer) -> None:
    """A request life takes no more Redis commands among 1,000 keys than among 16."""
    few, many = (commands_of_lives(server.url, keys, 60) for keys in (16, 1_000))
    assert many <= 1.1 * few
