"""What the scripts leave behind and refuse, and processes that fall silent (ENGINE.md §4 to §6)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_fleet.engine.values import Bucket, LaneLimits, PoolLimits
from tests.oracle_books import Books
from tests.oracle_stories import CALLS, MODEST, Act, acts, members, perform, pools
from tests.pool_rig import (
    FAKE,
    Rig,
    beat,
    cancel,
    enqueue,
    fake_rig,
    leave,
    open_rig,
    per_day,
    pool_of,
    settle,
)  # fmt: skip

SLOW = pool_of(Bucket("requests", 60, burst_ms=1_000, jitter_ms=0))
TTL_FOR_ALL = st.lists(acts(*CALLS, "switch", "advance", "quiet"), min_size=10, max_size=30)


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An empty rig, on the fake server and on a real one."""
    with open_rig(request) as opened:
        yield opened


# -- what is left behind -------------------------------------------------------------------------


@settings(MODEST, max_examples=15)
@given(pools(), TTL_FOR_ALL)
def test_every_redis_key_has_a_ttl_after_every_call(pool: PoolLimits, story: list[Act]) -> None:
    """After every call every Redis key of the pool has a TTL."""
    FAKE.flushall()
    books = Books(Rig(FAKE), members(pool, False))
    for act in story:
        perform(books, act)
        assert min(books.rig.lifetimes().values()) > 0


def test_every_redis_key_has_a_ttl_whatever_comes_first(rig: Rig) -> None:
    """A key that one operation makes alone has a TTL at once: a switch, a tombstone, a late grant, mail."""
    rig.switch("k0", "pause", 1_000)
    assert min(rig.lifetimes().values()) > 0
    rig.switch("k0", "resume")
    for process in ("A", "B"):
        rig.register(process, SLOW)
    rig.taken("A", cancel("unknown"))
    assert min(rig.lifetimes().values()) > 0
    rig.enqueue("A", "first")
    rig.enqueue("A", "second")
    assert min(rig.lifetimes().values()) > 0
    rig.taken("B", cancel("first"))
    assert min(rig.lifetimes().values()) > 0
    assert rig.snapshot()["processes"]["A"]["mailbox"] == 1


def test_two_pools_do_not_touch_each_other(rig: Rig) -> None:
    """Nothing that happens in one pool changes anything of another on the same server."""
    other = Rig(rig.client, pool="other", is_fake=rig.is_fake)
    other.time_ms = rig.time_ms
    for one in (rig, other):
        one.register("A", SLOW)
    other.enqueue("A", "same id")
    other.enqueue("A", "waits", wait_ms=10**9)
    before = {name: other.client.dump(name) for name in other.every_key()}
    assert rig.enqueue("A", "same id")[0] == "g"
    rig.taken("A", settle("same id", pause_ms=1_000), cancel("waits"), beat(("same id", 5)))
    rig.switch("k0", "pause")
    assert {name: other.client.dump(name) for name in other.every_key()} == before


def test_a_process_that_left_is_forgotten(rig: Rig) -> None:
    """A process that leaves, and one whose tickets were dropped, leave nothing behind that names them."""
    for process in ("A", "leaves"):
        rig.register(process, SLOW)
    rig.enqueue("leaves", "gone")
    rig.taken("leaves", settle("gone"))
    rig.enqueue("leaves", "dropped")
    rig.taken("leaves", leave())
    rig.mailbox("leaves")
    assert rig.snapshot()["waiting"] == 0
    texts = str(rig.client.hgetall(rig.keys.all()[0])) + str(rig.client.zrange(rig.keys.all()[2], 0, -1))
    assert "leaves" not in texts


# -- what is refused -----------------------------------------------------------------------------


def test_unknown_key_set_is_answered_register_and_changes_nothing(rig: Rig) -> None:
    """An enqueue for a key set that the pool does not know is answered `register`, and nothing happens."""
    rig.register("A", SLOW)
    rig.enqueue("A", "lease")
    before = rig.contents()
    unknown = pool_of(per_day(5), keys=3)
    assert rig.step("A", settle("lease"), enqueue("t", unknown)) is None
    assert rig.contents() == before


@pytest.mark.parametrize("epoch", ["", "another"])
def test_another_epoch_is_answered_register_and_changes_nothing(rig: Rig, epoch: str) -> None:
    """A call with another epoch, or of a process that nobody knows, is answered `register`."""
    rig.register("A", SLOW)
    before = rig.contents()
    rig.members["A"].known.epoch = epoch
    rig.members["stranger"] = rig.members["A"]
    assert rig.step("A", enqueue("t", SLOW)) is None
    assert rig.step("stranger", enqueue("t", SLOW)) is None
    assert rig.contents() == before


def test_more_than_128_operations_are_an_error_that_changes_nothing(rig: Rig) -> None:
    """129 operations are the caller's mistake: an error, and nothing has changed."""
    rig.register("A", SLOW)
    before = rig.contents()
    with pytest.raises(redis.ResponseError, match="128"):
        rig.step("A", *(enqueue(f"t{i}", SLOW) for i in range(129)))
    assert rig.contents() == before


def test_queue_never_holds_more_than_max_queued(rig: Rig) -> None:
    """`max_queued` bounds a queue, also against one call; what is granted at once does not count."""
    rig.register("A", pool_of(per_day(3)))
    limits = rig.members["A"].limits
    results = rig.taken(
        "A", *(enqueue(f"t{i}", limits, max_queued=2, wait_ms=10**9) for i in range(8))
    ).results
    assert [result[0] for result in results] == ["g"] * 3 + ["q"] * 2 + ["d"] * 3
    assert {result[1] for result in results[5:]} == {"queue_full"}
    assert rig.enqueue("A", "one more", max_queued=2, wait_ms=10**9)[:2] == ["d", "queue_full"]
    assert rig.snapshot()["waiting"] == 2


def test_queue_full_and_cancelled_in_one_step(rig: Rig) -> None:
    """A ticket that is refused for a full queue may be cancelled in the same step."""
    rig.register("A", SLOW)
    rig.taken("A", enqueue("lease", SLOW), enqueue("waits", SLOW))
    results = rig.taken("A", enqueue("full", SLOW, max_queued=1), cancel("full")).results
    assert results[1][0] == "c"
    assert rig.snapshot()["waiting"] == 1


def test_cancelling_twice_in_one_step_answers_twice(rig: Rig) -> None:
    """Each cancel of a waiting ticket is answered as a cancel."""
    rig.register("A", SLOW)
    rig.taken("A", enqueue("lease", SLOW), enqueue("waits", SLOW))
    assert [result[0] for result in rig.taken("A", cancel("waits"), cancel("waits")).results] == ["c", "c"]


def test_repeated_enqueue_is_given_its_first_answer(rig: Rig) -> None:
    """The same id again gives the first answer: key, fence and spacing."""
    rig.register("A", SLOW)
    first = rig.enqueue("A", "lease")
    assert rig.enqueue("A", "lease") == first


def test_lost_grant_is_delivered_again_as_it_was(rig: Rig) -> None:
    """A heartbeat that does not report a lease is told its whole grant again, spacing included."""
    rig.register("A", SLOW)
    _, key, fence, spacing_ms = rig.enqueue("A", "lease")
    assert rig.taken("A", beat()).result == ["h", [], [["lease", key, fence, spacing_ms]]]


def test_cancelled_unknown_id_refuses_an_enqueue_on_its_way(rig: Rig) -> None:
    """A tombstone: who cancels before the enqueue arrives is not granted anything."""
    rig.register("A", SLOW)
    rig.taken("A", cancel("late"))
    assert rig.enqueue("A", "late") == ["e", "c"]
    assert rig.snapshot()["leases"] == 0


def test_denial_never_shows_more_than_is_left() -> None:
    """What a denial shows as left is rounded down, and what it says to wait is enough."""
    rig = fake_rig(pool_of(Bucket("tokens", 60, jitter_ms=0)))
    rig.enqueue("A", "all", tokens=(60, 0))
    rig.advance(1_900)
    _, _, wait_ms, _, _, need, level, *_ = rig.enqueue("A", "denied", tokens=(2, 0), wait_ms=0)
    assert (wait_ms, need, level) == (100, 2, 1)


def test_cancelled_ticket_tells_its_position() -> None:
    """Who gives up is told how many waited before it, whichever process they belong to."""
    rig = fake_rig(SLOW, "A", "B")
    rig.enqueue("A", "lease")
    for at in range(4):
        rig.enqueue("AB"[at % 2], f"t{at}")
    assert rig.taken("B", cancel("t3")).result[2][-1] == 3


def test_keys_out_of_service_deny_or_wait() -> None:
    """With all keys out for good a ticket is denied at once; with one out for a time it waits that long."""
    rig = fake_rig(pool_of(per_day(50), keys=2))
    rig.switch("k0", "pause")
    assert rig.enqueue("A", "other")[1] == "k1"
    rig.switch("k1", "pause", 2_000)
    assert rig.enqueue("A", "waits") == ["q"]
    assert rig.taken("A").wakes[0][2] == 2_000
    rig.switch("k1", "pause")
    assert rig.enqueue("A", "denied")[:2] == ["d", "no_key"]


def test_blocked_lane_does_not_block_another() -> None:
    """A lane that waits for its own limit does not keep another lane waiting."""
    limits = pool_of(Bucket("requests", 600, jitter_ms=0), lanes=[LaneLimits("big", (per_day(1),))])
    rig = fake_rig(limits)
    rig.enqueue("A", "big1", lane="big")
    assert rig.enqueue("A", "big2", lane="big", wait_ms=10**9) == ["q"]
    assert rig.enqueue("A", "free")[0] == "g"


def test_pump_that_stops_at_its_bound_asks_for_another_call() -> None:
    """What one call cannot look at is left to the next, at once."""
    limits = pool_of(Bucket("requests", 100_000, jitter_ms=0))
    rig = fake_rig(limits)
    rig.switch("k0", "pause", 1_000)
    for first in range(0, 640, 128):
        rig.taken("A", *(enqueue(f"t{first + i}", limits) for i in range(128)))
    rig.advance(1_000)
    answer = rig.taken("A")
    assert 0 < len(answer.grants) < 640
    assert [wake[2] for wake in answer.wakes] == [0]
    assert len(answer.grants) + len(rig.taken("A").grants) == 640


# -- processes that fall silent --------------------------------------------------------------------


def silent_rig() -> Rig:
    """B was granted b0 by mail and does not read; b1 and b2 wait, and behind them a1. A has the other slot."""
    limits = pool_of(Bucket("requests", 60_000, jitter_ms=0), slots=2)
    rig = fake_rig(limits, "A", "B")
    rig.taken("A", enqueue("l1", limits), enqueue("l2", limits))
    rig.taken("B", *(enqueue(f"b{i}", limits) for i in range(3)))
    rig.enqueue("A", "a1")
    rig.advance(1)
    rig.taken("A", settle("l1"))
    return rig


def test_silent_process_is_in_doubt_after_50_ms() -> None:
    """While its mailbox has an unread entry for more than 50 ms, the next grant to a process waits for that."""
    rig = silent_rig()
    rig.advance(100)
    answer = rig.taken("A", settle("l2"))
    assert (answer.fence, answer.grants) == (3, [])
    assert [wake[1:] for wake in answer.wakes] == [["b1", 151]]
    assert [grant[0] for grant in rig.mailbox("B").grants] == ["b0"]
    rig.taken("A")
    assert [grant[0] for grant in rig.mailbox("B").grants] == ["b1"]


def test_silent_process_is_passed_over_after_250_ms() -> None:
    """After 250 ms its tickets keep their places but others go first, and the unread grant goes back."""
    rig = silent_rig()
    rig.advance(100)
    rig.taken("A", settle("l2"))
    rig.advance(151)
    assert [grant[0] for grant in rig.taken("A").grants] == ["a1"]
    shown = rig.snapshot()["processes"]["B"]
    assert (shown["queued"], shown["leases"], shown["mailbox"]) == (2, 0, 0)


def test_silent_process_that_calls_again_is_served_in_its_old_place() -> None:
    """Who was passed over registers, as it lost a grant, and its older tickets go before newer ones."""
    rig = silent_rig()
    rig.advance(300)
    rig.taken("A", settle("l2"))
    rig.enqueue("A", "a2")
    rig.enqueue("A", "a3")
    assert rig.step("B") is None
    rig.register("B", rig.members["B"].limits)
    assert rig.enqueue("B", "b0") == ["e", "c"]
    rig.taken("A", settle("a1"))
    assert [grant[0] for grant in rig.mailbox("B").grants] == ["b1"]


def test_silent_process_blocks_nobody_for_a_second_however_much_it_queued() -> None:
    """A process that dies with 900 tickets queued costs the others one grant, and less than a second."""
    rig = fake_rig(SLOW, "A", "B")
    rig.enqueue("A", "lease")
    for first in range(0, 900, 100):
        rig.taken("B", *(enqueue(f"b{first + i}", SLOW) for i in range(100)))
    rig.enqueue("A", "a1")
    waited = 0
    while not rig.taken("A", beat(("lease", 0))).grants:
        rig.advance(100)
        waited += 100
    assert waited <= 3_000  # two grants' time, and less than a second


def test_absent_process_loses_its_tickets_a_hundred_at_a_time() -> None:
    """After 3 s without presence its queued tickets are dropped, at most 100 per step."""
    rig = fake_rig(SLOW, "A", "B")
    rig.enqueue("A", "lease")
    for first in range(0, 300, 100):
        rig.taken("B", *(enqueue(f"b{first + i}", SLOW) for i in range(100)))
    queued = []
    for _ in range(9):
        rig.advance(900)
        rig.taken("A", beat(("lease", 0)))
        queued.append(rig.snapshot()["waiting"])
    drops = [early - late for early, late in itertools.pairwise(queued)]
    assert queued[0] >= 298
    assert max(drops) <= 101
    assert queued[-1] == 0


def test_dropped_process_is_told_to_register() -> None:
    """Who was dropped and calls again is told to register; its dropped tickets have ended."""
    rig = fake_rig(SLOW, "A", "B")
    rig.enqueue("A", "lease")
    rig.taken("B", *(enqueue(f"b{i}", SLOW) for i in range(5)))
    for _ in range(8):
        rig.advance(900)
        rig.taken("A", beat(("lease", 0)))
    assert rig.snapshot()["waiting"] == 0
    assert rig.step("B") is None
    rig.register("B", SLOW)
    assert rig.enqueue("B", "b4") == ["e", "c"]
    assert rig.enqueue("B", "new") == ["g", "k0", rig.members["B"].known.fence, 1_000]
