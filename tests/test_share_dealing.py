"""Dealing: all parts together are the limit, whoever is away; and what is told afterwards is enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.engine.share.bucket import LocalBucket, shape_of
from llm_fleet.engine.share.dealt import Dealt
from llm_fleet.engine.share.place import Place
from llm_fleet.engine.values import Bucket
from tests.fleets import limits, requests
from tests.lua_library import examples

TOKENS = "input_tokens"


def places(processes: int) -> list[Place]:
    return [Place(processes, rank, {}) for rank in range(processes)]


@examples
@given(st.integers(0, 10**6), st.integers(1, 300), st.text(max_size=8))
def test_parts_add_up_to_the_limit(amount: int, processes: int, domain: str) -> None:
    """No part is lost and none is dealt twice; two parts differ by one at most."""
    parts = [place.part_of(amount, domain) for place in places(processes)]
    assert sum(parts) == amount
    assert max(parts) - min(parts) <= 1


@examples
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 60))
def test_who_has_a_request_of_a_domain_has_a_slot_there(amount: int, slots: int, processes: int) -> None:
    """All limits of a domain are dealt from the same process on: remainders fall together."""
    for place in places(processes):
        parts = place.part_of(min(amount, slots), "d"), place.part_of(max(amount, slots), "d")
        assert parts[0] <= parts[1]


def test_remainders_of_many_domains_do_not_fall_to_the_same() -> None:
    """Twenty keys of 5 a minute among twenty processes: everybody can send something."""
    domains = [f"d-k{i}" for i in range(20)]
    got = [sum(place.part_of(5, domain) for domain in domains) for place in places(20)]
    assert sum(got) == 100
    assert min(got) >= 1


def test_the_first_requests_of_a_fleet_leave_one_by_one() -> None:
    """Ten processes, 60 requests a minute, all buckets empty at the same moment: one a second, as the limit says."""
    pool = limits(requests(60, burst_ms=10_000))
    waits = []
    for place in places(10):
        [record] = Dealt(pool, place, 0).records_of(("d-k0",), "*")
        waits.append(record.buckets[0].wait_ms(60_000, 0, 0))
    assert sorted(waits) == [1_000 * number for number in range(1, 11)]


@pytest.mark.parametrize("slots", [0, 3])
def test_a_limit_too_small_for_all_leaves_some_without(slots: int) -> None:
    """Of 3 requests (or slots) five processes get one, one, one, nothing and nothing."""
    pool = limits(requests(600 if slots else 3), slots=slots)
    records = [next(Dealt(pool, place, 0).records_of(("d-k0",), "*")) for place in places(5)]
    assert sorted(record.is_empty for record in records) == [False, False, False, True, True]


charges = st.tuples(st.integers(0, 7), st.integers(1, 3_000), st.integers(0, 20_000))


class Absence:
    """All processes of a fleet go on by themselves; the provider counts, and Redis refills."""

    def __init__(self, limit: Bucket, processes: int, filled: float) -> None:
        whole, self.now = shape_of(limit, limit.amount), 0
        self.provider, self.redis = LocalBucket(whole, 0), LocalBucket(whole, 0)
        self.provider.level = self.redis.level = int(filled * whole.capacity)
        pool = limits(limit)
        records = [next(Dealt(pool, place, 0).records_of(("d-k0",), "*")) for place in places(processes)]
        self.locals = [record.buckets[0] for record in records]

    def wait(self, ms: int) -> None:
        self.now += ms
        for bucket in (self.provider, self.redis, *self.locals):
            bucket.refill(self.now)

    def ask(self, who: int, need: int) -> None:
        local = self.locals[who % len(self.locals)]
        if local.wait_ms(need, 0, self.now) == 0 and need <= local.shape.capacity:
            local.take(need)
            self.provider.take(need)

    def ask_redis(self, need: int) -> None:
        """Somebody who was not away, or is back, uses what is there."""
        if self.redis.wait_ms(need, 0, self.now) == 0:
            self.redis.take(need)
            self.provider.take(need)

    def tell(self, ahead_ms: int = 0) -> int:
        """Everybody tells what lacks; what is in Redis then."""
        for local in self.locals:
            self.redis.level = min(self.redis.shape.capacity, self.redis.level - local.tell(ahead_ms)[0])
        return self.redis.level


@examples
@given(
    st.integers(500, 100_000),
    st.integers(1, 8),
    st.sampled_from([2_000, 10_000, 60_000]),
    st.floats(0, 1),
    st.lists(charges, max_size=60),
)
def test_after_an_absence_of_all_redis_has_no_more_than_is_left(
    amount, processes, burst, filled, story
) -> None:
    """Never more than the limit is sent; and what Redis has then is at most the provider's own level."""
    absence = Absence(Bucket(TOKENS, amount, burst_ms=burst, jitter_ms=0), processes, filled)
    for who, tokens, passed in story:
        absence.wait(passed)
        absence.ask(who, tokens * 60_000)
        assert absence.provider.level >= 0, "more than the limit was sent"
    spent, before = any(local.charged for local in absence.locals), absence.redis.level
    assert absence.tell() <= absence.provider.level
    assert spent or absence.redis.level == before


@examples
@given(
    st.integers(500, 100_000),
    st.integers(1, 8),
    st.floats(0, 1),
    st.lists(charges, max_size=40),
    st.lists(st.tuples(st.integers(-1, 7), st.integers(1, 3_000), st.integers(0, 100)), max_size=20),
)
def test_between_the_first_and_the_last_word_redis_is_used_and_nothing_is_sent_twice(
    amount, processes, filled, story, meanwhile
) -> None:
    """All have told, and go on with their parts for a moment, beside those whom Redis grants again."""
    absence = Absence(Bucket(TOKENS, amount, burst_ms=10_000, jitter_ms=0), processes, filled)
    for who, tokens, passed in story:
        absence.wait(passed)
        absence.ask(who, tokens * 60_000)
    absence.tell(1_000)
    absence.provider.lost = passed_ms = 0
    for who, tokens, passed in meanwhile:
        passed_ms += passed
        if passed_ms > 1_000:
            break
        absence.wait(passed)
        if who < 0:
            absence.ask_redis(tokens * 60_000)
        else:
            absence.ask(who, tokens * 60_000)
        assert absence.provider.level >= 0, "more than the limit was sent"
    # what the provider lost because it was full, Redis may have refilled instead: a second's worth at most
    assert absence.tell() <= absence.provider.level + absence.provider.lost


@examples
@given(
    st.integers(1, 100),
    st.integers(1, 8),
    st.sampled_from([10_000, 60_000]),
    st.floats(0, 1),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3_000)), max_size=100),
)
def test_the_same_of_requests_which_are_whole(per_process, processes, burst, filled, story) -> None:
    """The parts of a request with which processes begin let none leave before the limit permits it."""
    amount = per_process * processes * 6
    absence = Absence(requests(amount, burst_ms=burst), processes, filled)
    for who, passed in story:
        absence.wait(passed)
        absence.ask(who, 60_000)
        assert absence.provider.level >= 0, "more than the limit was sent"
    assert absence.tell() <= absence.provider.level


@examples
@given(st.integers(60, 6_000), st.integers(1, 10), st.data())
def test_window_k_of_n_cut_off_use_their_parts_beside_the_limit(amount, processes, data) -> None:
    """In any minute the cut off k of n charge at most k/n of the limit (and what their depth allows at once)."""
    cut_off = data.draw(st.integers(1, processes))
    limit = Bucket(TOKENS, amount, burst_ms=1_000, jitter_ms=0)
    spent = 0
    for place in places(processes)[:cut_off]:
        bucket = LocalBucket(shape_of(limit, place.part_of(amount, "d")), 0)
        for now in range(0, 60_000, data.draw(st.integers(200, 2_000))):
            bucket.refill(now)
            while bucket.wait_ms(bucket.shape.unit, 0, now) == 0:
                bucket.take(bucket.shape.unit)
                spent += 1
    assert spent <= amount * cut_off / processes + cut_off
