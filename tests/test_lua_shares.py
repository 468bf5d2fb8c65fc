"""What a heartbeat that asks is told of its share: how many take part, its place among them, keys out of service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llm_fleet.engine.values import Bucket
from tests.pool_rig import Rig, beat, enqueue, leave, mini_rig, open_rig, pool_of

LIMITS = pool_of(Bucket("requests", 600, jitter_ms=0), keys=3)
TTL_MS = 15_000
HOUR_MS = 3_600_000


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An empty rig, on the fake server and on a real one."""
    with open_rig(request) as opened:
        yield opened


def share(rig: Rig, process: str) -> list[Any]:
    """What a process is told of its share."""
    return list(rig.taken(process, beat(asks=True)).result[3])


def counted(rig: Rig, *processes: str) -> list[tuple[int, int]]:
    """How many take part, and the place, as each of these processes is told it."""
    return [tuple(share(rig, process)[:2]) for process in processes]


def pass_time(rig: Rig, ms: int, *present: str, each_ms: int = TTL_MS // 3) -> None:
    """Time passes in which these processes beat, and ask."""
    for _ in range(ms // each_ms):
        rig.advance(each_ms)
        counted(rig, *present)


# -- who takes part ------------------------------------------------------------------------------


def test_share_is_told_to_who_asks_for_it(rig: Rig) -> None:
    """The answer has a fourth part then, and no more than three parts without the 1."""
    rig.register("A", LIMITS)
    assert rig.taken("A", beat(asks=True)).result == ["h", [], [], [1, 0, {}]]
    for wire in (beat(), ["h", [], "", ""], ["h", [], "", "", 0]):
        assert rig.taken("A", wire).result == ["h", [], []]


def test_every_process_is_counted_in_the_order_of_ids(rig: Rig) -> None:
    """Whoever asks is told the same number, and each its own place."""
    names = ["b", "A", "a-1", "a", "0f", "B"]
    for name in names:
        rig.register(name, LIMITS)
    told = dict(zip(names, counted(rig, *names), strict=True))
    assert told == {name: (6, place) for place, name in enumerate(sorted(names))}


def test_registering_again_counts_once(rig: Rig) -> None:
    """A process that was told to register stands for one, as before."""
    for name in "ABAB":
        rig.register(name, LIMITS)
    assert counted(rig, "A", "B") == [(2, 0), (2, 1)]


def test_who_leaves_is_out_at_once(rig: Rig) -> None:
    """Also when it asks in the same step, before or after."""
    for name in "ABCD":
        rig.register(name, LIMITS)
    rig.taken("B", beat(asks=True), leave())
    rig.taken("C", leave(), beat(asks=True))
    assert counted(rig, "A", "D") == [(2, 0), (2, 1)]


def test_who_leaves_with_much_queued_is_out_at_once() -> None:
    """However many steps it takes until its tickets are gone."""
    limits = pool_of(slots=1)
    rig = mini_rig(limits, "A", "B")
    rig.taken("B", *(enqueue(f"B-{i:x}", limits) for i in range(1, 128)))
    rig.taken("B", *(enqueue(f"B-{i:x}", limits) for i in range(128, 255)))
    rig.taken("B", leave())
    assert rig.snapshot()["waiting"] > 0
    assert counted(rig, "A") == [(1, 0)]


# -- who was killed, or stopped ------------------------------------------------------------------


@pytest.mark.parametrize("survivor", ["A", "C"])
def test_killed_process_is_counted_for_a_ttl_and_a_third(survivor: str) -> None:
    """Until its last call is more than a TTL ago, and one asks that has nobody alive between: whatever their order."""
    rig = mini_rig(LIMITS, survivor, "B")
    pass_time(rig, TTL_MS, survivor)
    assert share(rig, survivor)[0] == 2
    pass_time(rig, TTL_MS // 3, survivor)
    assert share(rig, survivor) == [1, 0, {}]


def test_many_killed_in_a_row_are_taken_out_by_eights() -> None:
    """Of twenty the first heartbeat finds eight, each further one as many."""
    rig = mini_rig(LIMITS, "M", *(f"{'KX'[i % 2]}{i:02}" for i in range(20)))
    pass_time(rig, TTL_MS, "M")
    rig.advance(TTL_MS // 3)
    assert [share(rig, "M")[:2] for _ in range(4)] == [[13, 10], [5, 4], [1, 0], [1, 0]]


def test_heartbeat_looks_no_further_than_the_first_who_lives() -> None:
    """Each takes out those right behind itself: with two alive all four are gone after one heartbeat of each."""
    rig = mini_rig(LIMITS, *"ABCDEF")
    pass_time(rig, TTL_MS, "A", "D")
    rig.advance(TTL_MS // 3)
    rig.taken("D")
    assert counted(rig, "A", "D", "A") == [(4, 0), (2, 1), (2, 0)]


def test_who_was_stopped_is_in_again_when_it_asks(rig: Rig) -> None:
    """A process that was taken out while it stood still is counted again with its next heartbeat that asks."""
    for name in "AB":
        rig.register(name, LIMITS, ttl_s=0.06)
    for _ in range(6):
        rig.advance(20)
        rig.taken("A", beat(asks=True))
    assert share(rig, "A") == [1, 0, {}]
    rig.taken("B", beat())
    assert counted(rig, "B", "A") == [(2, 1), (2, 0)]


def test_frozen_server_and_jumping_clock_take_nobody_out() -> None:
    """The lease clock advances by a third of the TTL at most: who calls after it is counted as before."""
    rig = mini_rig(LIMITS, *"ABC")
    pass_time(rig, TTL_MS, *"ABC")
    rig.advance(HOUR_MS // 2)
    assert counted(rig, *"ABC") == [(3, 0), (3, 1), (3, 2)]
    rig.advance(-HOUR_MS)
    assert counted(rig, *"ABC") == [(3, 0), (3, 1), (3, 2)]


def test_after_an_hour_of_rest_all_are_back_with_their_heartbeats() -> None:
    """What has run out by then is written anew, in the call that finds it so too."""
    rig = mini_rig(LIMITS, *"ABC")
    rig.advance(HOUR_MS + 1)
    counted(rig, "B")
    assert counted(rig, *"AC", *"ABC") == [(2, 0), (3, 2), (3, 0), (3, 1), (3, 2)]


def test_who_was_dropped_with_its_queue_is_out() -> None:
    """A process that stays away with tickets queued is forgotten after three seconds."""
    limits = pool_of(slots=1)
    rig = mini_rig(limits, "A", "B")
    rig.enqueue("A", "A-1")
    rig.enqueue("B", "B-1")
    pass_time(rig, 6_000, "A", each_ms=750)
    assert counted(rig, "A") == [(1, 0)]


def test_who_is_forgotten_by_a_registration_is_out() -> None:
    """A minute after its last call, though nobody has asked."""
    rig = mini_rig(LIMITS, "A", "B")
    for _ in range(61):
        rig.advance(1_000)
        rig.taken("A")
    rig.register("A", LIMITS)
    members = rig.client.zrange(rig.keys.all()[2], 0, -1)
    assert [name for name in members if name.startswith("n|")] == ["n|A"]


def test_member_without_a_record_is_taken_out() -> None:
    """Nobody has forgotten it where its process was: the one before it does."""
    rig = mini_rig(LIMITS, "A", "C")
    rig.client.zadd(rig.keys.all()[2], {"n|B": 0})
    assert counted(rig, "C", "A", "C") == [(3, 2), (2, 0), (2, 1)]


def test_after_lost_writes_all_who_registered_again_are_counted(rig: Rig) -> None:
    """Each anew as it registers."""
    for name in "ABC":
        rig.register(name, LIMITS)
    rig.client.flushall()
    for name in "CA":
        rig.register(name, LIMITS)
    assert counted(rig, "A", "C") == [(2, 0), (2, 1)]


# -- keys out of service, and what it costs ------------------------------------------------------


def test_keys_out_of_service_are_told_with_the_time_left() -> None:
    """In ms; 0 is until somebody puts it back. What is over is not told."""
    rig = mini_rig(LIMITS)
    for key, pause_ms in (("k0", 0), ("k1", 9_000), ("k2", 500)):
        rig.switch(key, "pause", pause_ms)
    rig.advance(400)
    assert share(rig, "A")[2] == {"k0": 0, "k1": 8_600, "k2": 100}
    rig.advance(100)
    assert share(rig, "A")[2] == {"k0": 0, "k1": 8_500}
    rig.switch("k0", "resume")
    assert share(rig, "A")[2] == {"k1": 8_500}


def crowded(processes: int, keys: int) -> Rig:
    """A rig with so many keys, and with so many processes, whose records are all as that of the first."""
    rig = mini_rig(pool_of(Bucket("requests", 600, jitter_ms=0), keys=keys), "A", "B")
    pool, _, index, *_ = rig.keys.all()
    record = rig.client.hmget(pool, ["process|B"])[0].encode(errors="surrogateescape")
    for i in range(processes - 2):
        rig.client.hset(pool, f"process|C{i:04}", record)
        rig.client.zadd(index, {f"n|C{i:04}": 0})
    return rig


def words_of_a_share(processes: int, keys: int, at: int) -> int:
    """What a heartbeat of the one at a place asks for, beyond one that does not ask for its share."""
    rig = crowded(processes, keys)
    name = ["A", "B", *(f"C{i:04}" for i in range(processes - 2))][at]
    rig.register(name, rig.members["A"].limits)
    assert share(rig, name)[:2] == [processes, at % processes]
    rig.taken(name, beat())
    rig.client.work()
    rig.taken(name, beat())
    plain = rig.client.work()
    share(rig, name)
    return int(rig.client.work()) - plain


@pytest.mark.parametrize("at", [0, 1, -1])
def test_share_is_flat_in_processes_and_keys(at: int) -> None:
    """Among 1,000 processes and with 1,000 keys it asks for no more than among three: some thirty words."""
    few, many, crowd = (words_of_a_share(*size, at) for size in ((3, 9), (1_000, 9), (1_000, 1_000)))
    assert crowd == many <= few <= 32


def test_heartbeat_that_finds_eight_dead_asks_for_little() -> None:
    """Eight records to read, and eight members to remove."""
    rig = crowded(1_000, 9)
    for _ in range(4):
        rig.advance(5_000)
        rig.taken("A")
    rig.client.work()
    assert share(rig, "A")[0] == 1_000 - 8
    assert rig.client.work() <= 120
