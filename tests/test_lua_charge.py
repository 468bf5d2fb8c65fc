"""lib/charge: what is charged when (ENGINE.md §3), compared with Python's integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lua_library import Library, examples

LIBRARY = Library("bucket", "charge")
NEED_OF, IS_TOO_LARGE, TAKE_UNITS, PROGRESS, SETTLE, RETURN = LIBRARY.several(
    "need_of", "is_too_large", "take", "charge_progress", "settle_charge", "return_charge"
)
REQUESTS, INPUT, OUTPUT, TOKENS = 1, 2, 3, 4
AT_START, AT_START_ADJUST, AS_PRODUCED = 0, 1, 2
RULES = st.sampled_from([AT_START, AT_START_ADJUST, AS_PRODUCED])
CAPACITY = 10_000
amounts = st.integers(0, 3_000)


def bucket(rule: int, code: int = OUTPUT, *, level: int = CAPACITY, unit: int = 1, most: int = 5_000):
    shape = {"rule": rule, "code": code, "kind": 100 * rule + code, "unit": unit, "capacity": CAPACITY}
    return LIBRARY.table({"shape": LIBRARY.table(shape | {"most": most}), "level": level, "held": 0})


def take(it, need: int):
    """Take units from a bucket; the charge."""
    charged, hold = TAKE_UNITS(it, need)
    return LIBRARY.table({"field": "d|*", "kind": it.shape.kind, "charged": charged, "hold": hold})


def ticket(input_tokens: int = 100, output: int = 1_000, predicted: int = 200, *, cold: int = 0):
    return LIBRARY.table({"input": input_tokens, "output": output, "predicted": predicted, "cold": cold})


@pytest.mark.parametrize(
    ("code", "rule", "cold", "need"),
    [
        (REQUESTS, AT_START, 0, 1),
        (INPUT, AT_START_ADJUST, 0, 100),
        (OUTPUT, AT_START, 0, 1_000),
        (TOKENS, AT_START, 0, 1_100),
        (TOKENS, AT_START_ADJUST, 1, 1_100),
        (OUTPUT, AS_PRODUCED, 0, 200),
        (TOKENS, AS_PRODUCED, 0, 300),
        (OUTPUT, AS_PRODUCED, 1, 200),
    ],
)
def test_need_table(code, rule, cold, need) -> None:
    """Requests count 1; tokens are input and max output; as produced only what is predicted is held."""
    assert NEED_OF(bucket(rule, code).shape, ticket(cold=cold)) == need


@pytest.mark.parametrize(
    ("predicted", "cold", "hold"), [(9_000, 0, 9_000), (90_000, 0, CAPACITY), (9_000, 1, CAPACITY // 8)]
)
def test_predictions_are_clamped_to_the_capacity(predicted, cold, hold) -> None:
    """A prediction never makes a ticket too large; as long as nothing is known an eighth is held."""
    it = ticket(predicted=predicted, cold=cold)
    assert NEED_OF(bucket(AS_PRODUCED).shape, it) == hold
    assert not IS_TOO_LARGE(bucket(AS_PRODUCED, most=10).shape, it)


@pytest.mark.parametrize(
    ("code", "is_too_large"), [(REQUESTS, False), (INPUT, False), (OUTPUT, True), (TOKENS, True)]
)
def test_too_large_is_above_the_limit(code, is_too_large) -> None:
    """A need above the limit itself can never go; one that equals it can."""
    assert IS_TOO_LARGE(bucket(AT_START, code, most=100).shape, ticket(100, 101)) is is_too_large


def test_taking_holds_what_is_produced_and_charges_the_rest() -> None:
    """A hold lowers what is available, but it is no consumption."""
    produced, started = bucket(AS_PRODUCED), bucket(AT_START)
    take(produced, 700)
    take(started, 700)
    assert (produced.level, produced.held) == (CAPACITY, 700)
    assert (started.level, started.held) == (CAPACITY - 700, 0)


@examples
@given(amounts, st.lists(amounts, max_size=6), st.one_of(st.none(), amounts), st.booleans())
def test_as_produced_charges_what_was_produced(predicted, reports, actual, is_repeated) -> None:
    """However progress is reported, and repeated: in the end the level fell by the most that was said."""
    it = bucket(AS_PRODUCED)
    charge = take(it, predicted)
    for report in reports + reports[:2] * is_repeated:
        PROGRESS(it, charge, report)
        assert 0 <= it.held == charge.hold <= predicted
    seen = max([0, *reports])
    SETTLE(it, charge, actual, False)
    consumed = max(seen, actual) if actual is not None else seen + max(0, predicted - seen)
    assert (CAPACITY - it.level, it.held, charge.hold) == (consumed, 0, 0)


@examples
@given(amounts, st.one_of(st.none(), amounts), st.integers(0, 500))
def test_at_start_adjust_ends_at_the_usage(estimate, actual, refilled) -> None:
    """At the settle the estimate makes way for the usage; a level stops at the capacity."""
    it = bucket(AT_START_ADJUST, INPUT, level=1_000)
    charge = take(it, estimate)
    it.level += refilled
    SETTLE(it, charge, actual, False)
    assert it.level == min(CAPACITY, 1_000 + refilled - (estimate if actual is None else actual))


@examples
@given(amounts, amounts)
def test_at_start_never_adjusts(reserved, actual) -> None:
    """What was reserved is consumed, whatever the usage."""
    it = bucket(AT_START, TOKENS)
    SETTLE(it, take(it, reserved), actual, False)
    assert it.level == CAPACITY - reserved


@examples
@given(RULES, amounts, amounts, st.one_of(st.none(), amounts))
def test_a_late_settle_gives_nothing_back(rule, need, late, later) -> None:
    """After the expiry only what exceeds the charge is added, once, however often it is said."""
    it = bucket(rule, INPUT if rule == AT_START_ADJUST else OUTPUT)
    charge = take(it, need)
    SETTLE(it, charge, None, False)
    expired = it.level
    for actual in (late, late, later):
        SETTLE(it, charge, actual, True)
    most = max(0, late - need, (later or 0) - need)
    assert it.level == (expired if rule == AT_START else expired - most)
    assert it.held == 0


@examples
@given(RULES, amounts)
def test_a_cancelled_grant_leaves_no_trace(rule, need) -> None:
    """What was not sent is returned whole; a hold is released and raises no level."""
    it = bucket(rule, OUTPUT, level=4_000)
    RETURN(it, take(it, need))
    assert (it.level, it.held) == (4_000, 0)
