"""Why a ticket is where it is, in one sentence: each cause, on the pool scripts; and asking changes nothing."""

from __future__ import annotations

import dataclasses

import pytest

from llm_fleet.engine.values import Bucket, LaneLimits, TenantLimits
from tests.pool_rig import Rig, beat, cancel, enqueue, fake_rig, pool_of, settle
from tests.projections import explain

REQUESTS = Bucket("requests", 60, burst_ms=2_000, jitter_ms=0)


def rig_with(count: int, *buckets: Bucket, tokens: tuple[int, int] = (0, 0), **options) -> Rig:
    """A pool, and so many tickets t0, t1 … of process A."""
    limits = pool_of(*buckets, **options)
    rig = fake_rig(limits, "A", "B")
    rig.taken("A", *[enqueue(f"t{at}", limits, tokens=tokens) for at in range(count)])
    return rig


def test_the_head_says_what_it_needs_and_when_it_goes():
    """Exact: need, what is there, and seconds."""
    found = explain(rig_with(4, REQUESTS), "t2")
    assert found.why == (
        "it is the head of its queue and waits for requests_per_minute of account d0:"
        " it needs 1, 0 are there; starts in 1 s"
    )
    assert (found.position, found.is_exact, found.starts_in_s) == (0, True, 1.0)


def test_a_later_one_says_behind_whom():
    """Position, whose tickets, resource, account and about when."""
    found = explain(rig_with(24, REQUESTS), "t23")
    assert found.why == (
        "it waits behind 21 tickets of its tenant for requests_per_minute of account d0; starts in about 22 s"
    )
    assert (found.lane, found.keys, found.band, found.tenant) == ("*", ("k0",), "normal", "default")
    assert found.binding is not None
    assert dataclasses.astuple(found.binding) == ("requests_per_minute", ("d0",), False, 1, 21, 0, 60)


def test_tenants_and_bands_before_it_are_told_apart():
    """Of its tenant, of others, of a higher band."""
    rig = rig_with(4, REQUESTS)
    limits = rig.members["A"].limits
    rig.taken("A", enqueue("x", limits, tenant="x"), enqueue("hi", limits, band="interactive"))
    rig.taken("A", enqueue("last", limits))
    assert (
        "behind 4 tickets (2 of its tenant, 1 of other tenants, 1 of a higher band) for"
        in explain(rig, "last").why
    )


def test_a_small_one_behind_larger_ones_may_overtake():
    """What a blocked head leaves over may go to others: that is not projected, but told."""
    rig = rig_with(4, Bucket("input_tokens", 6_000, burst_ms=10_000, jitter_ms=0), tokens=(900, 0))
    rig.taken("B", enqueue("hi", rig.members["B"].limits, tokens=(900, 0), band="interactive"))
    rig.taken("B", enqueue("small", rig.members["B"].limits, tokens=(150, 0), tenant="x", band="batch"))
    assert explain(rig, "small").why.endswith(" s, or earlier beside larger ones")
    assert "beside" not in explain(rig, "t3").why


def test_a_deadline_that_comes_before_the_start_is_told():
    """It will time out, and says so now."""
    rig = rig_with(5, REQUESTS)
    rig.taken("B", enqueue("late", rig.members["B"].limits, wait_ms=2_000))
    assert explain(rig, "late").why.endswith("; starts in about 4 s, but its deadline is in 2 s")


def test_keys_out_of_service():
    """All for good; all for a time, of which the first to come back counts."""
    rig = rig_with(5, REQUESTS, keys=2)
    rig.switch("k0", "pause")
    rig.switch("k1", "pause", 5_000)
    assert "which is out" not in explain(rig, "t4").why
    assert explain(rig, "t4").why.endswith("whose key is out of service for a time; starts in 5 s")
    rig.switch("k1", "pause")
    assert explain(rig, "t4").why == "no key of its queue is in service: 2 of 2 are out"
    assert explain(rig, "t4").starts_in_s is None


def test_a_paused_account():
    """The provider answered 429: nothing before it opens."""
    rig = rig_with(4, REQUESTS)
    rig.taken("A", settle("t0", 0, 0, pause_ms=7_000))
    assert explain(rig, "t2").why == (
        "it is the head of its queue and waits for account d0, which the provider has paused; starts in 7 s"
    )
    assert (
        "while every account is paused by the provider for 7 s more; starts in about"
        in explain(rig, "t3").why
    )


def test_slots_are_not_projected():
    """Nobody knows when calls end: of the head no time is told, of a later one a lower bound."""
    rig = rig_with(4, REQUESTS, slots=1)
    first, later = explain(rig, "t1"), explain(rig, "t3")
    assert first.why.endswith("waits for a slot of account d0; slots free up when calls end: not projected")
    assert later.why.endswith("; slots free up when calls end: not projected, so not before 2 s")
    assert (first.starts_in_s, first.waits_for_calls, later.waits_for_calls) == (None, True, True)


def test_what_running_calls_hold_is_not_projected():
    """Predicted output that is held comes back when the calls end."""
    held = Bucket("output_tokens", 600, jitter_ms=0, rule="as_produced")
    rig = rig_with(8, held, tokens=(0, 300))
    assert explain(rig, "t4").why.endswith(
        "; what running calls hold comes back when they end: not projected"
    )
    assert "not projected, so not before" in explain(rig, "t7").why


def test_its_tenants_own_limit():
    """The account has enough, the tenant may not."""
    own = TenantLimits("x", lane=LaneLimits("*", (Bucket("requests", 30, burst_ms=2_000, jitter_ms=0),)))
    rig = fake_rig(pool_of(Bucket("requests", 6_000), tenants=[own]))
    rig.taken("A", *[enqueue(f"t{at}", rig.members["A"].limits, tenant="x") for at in range(4)])
    assert (
        explain(rig, "t1").why
        == "it waits for its tenant's own limit of requests_per_minute; starts in about 2 s"
    )
    assert "behind 2 tickets of its tenant for its tenant's own limit" in explain(rig, "t3").why


def test_a_process_that_does_not_read_its_mailbox():
    """A push that lies unread; then it is not seen any more."""
    rig = rig_with(4, REQUESTS)
    rig.advance(1_000)
    rig.taken("B")
    rig.advance(300)
    assert explain(rig, "t3").why == (
        "its process A does not read its mailbox: nothing is granted to it until it calls"
    )
    for _ in range(3):
        rig.advance(1_000)
        rig.register("B", rig.members["B"].limits)
    assert explain(rig, "t3").why.startswith("its process A is not seen any more")


def test_a_lease_says_what_it_took_and_holds():
    """Key, process, since when, and its charges."""
    output = Bucket("output_tokens", 600, jitter_ms=0, rule="as_produced")
    rig = rig_with(1, REQUESTS, output, tokens=(0, 300))
    rig.advance(3_000)
    rig.taken("A", beat(("t0", 20)))
    found = explain(rig, "t0")
    assert found.why == (
        "process A has held key k0 for 3 s; it charged 1 requests_per_minute, 20 output_tokens_per_minute"
        " and holds 55 output_tokens_per_minute"
    )
    assert [charge.account for charge in found.charges] == ["d0", "d0"]


def test_how_a_ticket_ended():
    """Settled, cancelled, expired, or not known."""
    rig = rig_with(3, REQUESTS)
    rig.taken("A", settle("t0", 0, 0), cancel("t2"))
    for _ in range(4):
        rig.advance(5_000)
        rig.taken("B", beat())
    found = {ticket: explain(rig, ticket) for ticket in ("t0", "t1", "t2", "nobody")}
    assert {ticket: each.state for ticket, each in found.items()} == {
        "t0": "settled", "t1": "expired", "t2": "cancelled", "nobody": "unknown",
    }  # fmt: skip
    assert "process A did not renew it" in found["t1"].why
    assert found["nobody"].why == "it was never asked for, or ended more than a minute or two ago"


def test_a_pool_that_is_not_there():
    """Nobody registered: unknown, no error."""
    rig = fake_rig(pool_of(REQUESTS))
    rig.client.flushall()
    assert explain(rig, "t0").state == "unknown"


@pytest.mark.parametrize("keys", [2, 20])
@pytest.mark.parametrize("ticket", ["t0", "t48", "t59", "nobody"])
def test_asking_changes_nothing(ticket, keys):
    """Every key of the pool is as it was, and so is its time to live."""
    rig = rig_with(60, REQUESTS, keys=keys)
    rig.advance(400)
    before = rig.contents(), rig.lifetimes()
    explain(rig, ticket)
    assert (rig.contents(), rig.lifetimes()) == before
