"""The share's buckets are those of Redis: every operation of lua/lib/limit, bucket and charge, side by side."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.engine.share.bucket import DAY_MS, LocalBucket, Taken, shape_of
from llm_fleet.engine.values import RESOURCES, RULES, Bucket
from tests.lua_library import Library, examples

LIBRARY = Library("bucket", "charge", "limit")
DEFINE, REFILL, WAIT_FOR, NEED_OF, STAKE_OF, TOO_LARGE, TAKE, SETTLE, RETURN = LIBRARY.several(
    "define", "refill", "wait_for", "need_of", "stake_of", "is_too_large", "take", "settle_charge", "return_charge"
)  # fmt: skip

limits = st.builds(
    lambda resource, amount, burst, jitter, window, rule: Bucket(
        resource,
        amount,
        burst_ms=burst,
        jitter_ms=jitter,
        window_ms=window,
        rule="at_start" if resource == "requests" else rule,
    ),
    st.sampled_from(RESOURCES),
    st.one_of(st.integers(1, 300), st.integers(1, 10**9)),
    st.sampled_from([1_000, 10_000, 60_000]),
    st.sampled_from([0, 500]),
    st.sampled_from([0, 0, 10_000, 60_000]),
    st.sampled_from(RULES),
)
days = st.builds(
    lambda amount: Bucket("requests", amount, period_ms=DAY_MS, burst_ms=DAY_MS), st.integers(1, 10**6)
)
any_limit = st.one_of(limits, limits, days)


def wire(limit: Bucket) -> list[int]:
    return limit.wire()[:6]


@examples
@given(any_limit)
def test_a_share_is_shaped_as_a_limit_is(limit: Bucket) -> None:
    """Rate, capacity, unit and most are what lib/limit makes of the same amount."""
    shape = shape_of(limit, limit.amount)
    expected = DEFINE(LIBRARY.table(wire(limit)))
    assert (shape.rate, shape.capacity, shape.unit, shape.most) == expected


class Twins:
    """The same bucket twice."""

    def __init__(self, limit: Bucket, start: int) -> None:
        self.shape = shape_of(limit, limit.amount)
        self.ours, self.now = LocalBucket(self.shape, start), start
        numbers = {name: getattr(self.shape, name) for name in ("rate", "capacity", "unit", "most", "tick")}
        code, rule = RESOURCES.index(limit.resource) + 1, RULES.index(limit.rule)
        self.kind = self.shape.kind + 100 * rule + (1000 if self.shape.is_window else 0)
        names = {"code": code, "rule": rule, "kind": self.kind, "is_window": self.shape.is_window}
        self.theirs = LIBRARY.table(
            {"shape": LIBRARY.table(numbers | names), "level": 0, "held": 0, "idle": 0}
        )
        self.charges: list[tuple[Taken, object]] = []

    def check(self) -> None:
        assert (self.ours.level, self.ours.held) == (self.theirs.level, self.theirs.held)

    def wait(self, ms: int) -> None:
        later = self.now + ms
        if ms > 0:
            self.theirs.level, self.theirs.idle = REFILL(
                self.theirs.shape, self.theirs.level, self.now, later
            )
        self.ours.refill(later)
        self.now = later

    def ask(self, tokens: tuple[int, int, int], is_cold: bool, ahead: int) -> None:
        """Needs, stakes and waits are equal; then it is taken."""
        ticket = LIBRARY.table(dict(zip(("input", "output", "predicted"), tokens, strict=True)))
        ticket.cold = int(is_cold)
        need, bucket = self.ours.need_of(*tokens, is_cold), self.theirs
        assert need == NEED_OF(bucket.shape, ticket)
        is_staked = bool(STAKE_OF(bucket.shape, ticket))
        assert self.ours.stake(need, is_cold) == (need if is_staked else 0)
        assert self.ours.fits(need) is not bool(TOO_LARGE(bucket.shape, ticket))
        wait = self.ours.wait_ms(need, ahead, self.now)
        assert wait == WAIT_FOR(bucket, need, ahead, self.now)
        charged, hold = TAKE(bucket, need)
        taken = self.ours.take(need)
        assert (taken.charged, taken.hold) == (charged, hold)
        charge = LIBRARY.table({"kind": self.kind, "charged": charged, "hold": hold})
        self.charges.append((taken, charge))

    def end(self, amount: int | None, is_cancel: bool) -> None:
        if not self.charges:
            return
        taken, charge = self.charges.pop(0)
        if is_cancel:
            RETURN(self.theirs, charge)
            self.ours.give_back(taken)
        else:
            units = None if amount is None else amount * self.shape.unit
            SETTLE(self.theirs, charge, units, False)
            self.ours.settle(taken, units)


small = st.integers(0, 400)
stories = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 90_000)),
        st.tuples(st.just("ask"), st.tuples(small, small, small), st.booleans(), st.integers(0, 10**6)),
        st.tuples(st.just("end"), st.one_of(st.none(), small), st.booleans()),
    ),
    max_size=25,
)


@examples
@given(any_limit, st.integers(0, 10**10), stories)
def test_any_story_of_a_bucket_ends_alike(limit: Bucket, start: int, story: list[tuple]) -> None:
    """Refills, needs, waits, charges, holds, settles and cancels agree bit for bit after every operation."""
    twins = Twins(limit, start)
    for name, *arguments in story:
        getattr(twins, name)(*arguments)
        twins.check()


@examples
@given(any_limit, st.integers(0, 10**10), stories)
def test_charged_is_what_left_the_bucket_net_of_what_came_back(limit, start, story) -> None:
    """What lacks is never more than all charges together, nor than the capacity and the debt; it is told once."""
    twins = Twins(limit, start)
    for name, *arguments in story:
        getattr(twins, name)(*arguments)
    ours = twins.ours
    charged, is_full = ours.charged, ours.level == ours.shape.capacity
    lack, debt = ours.tell(0)
    assert 0 <= lack <= ours.shape.capacity + debt
    assert lack <= max(0, charged)
    assert not (is_full and lack)
    assert ours.tell(0) == (0, 0)


@examples
@given(any_limit, st.integers(0, 10**10), stories, stories)
def test_what_is_told_in_advance_and_not_spent_comes_back(limit, start, story, later) -> None:
    """All tells together are what the first would have been, and what was charged after it."""
    told, plain = Twins(limit, start), Twins(limit, start)
    for twins in (told, plain):
        for name, *arguments in story:
            getattr(twins, name)(*arguments)
    first, debt = told.ours.tell(1_000)
    expected, expected_debt = plain.ours.tell(0)
    assert first - expected == debt - expected_debt == told.ours.advance
    for name, *arguments in later:
        getattr(told, name)(*arguments)
    charged, lost = told.ours.charged, told.ours.lost
    assert first + told.ours.tell(0)[0] == expected + charged + lost
