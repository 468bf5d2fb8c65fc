"""Bounds by learned ratios, repeated numbers, silent processes that return, and the order of what goes beside heads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits
from tests.oracle_crowd import index_of
from tests.pool_rig import Rig, beat, cancel, enqueue, mini_rig, pool_of, settle
from tests.pool_views import AMPLE, SECOND, explain, granted, grants_in_turn


def fields(rig: Rig) -> dict[str, str]:
    """The small records of the pool."""
    return dict(rig.client.hgetall(rig.keys.all()[0]))


def taught(*buckets: Bucket) -> tuple[Rig, PoolLimits]:
    """A rig in which 20 leases have used 128 of 256 tokens, a minute ago."""
    limits = pool_of(*buckets)
    rig, tickets = mini_rig(limits), [f"l{i}" for i in range(20)]
    rig.taken("A", *(enqueue(ticket, limits, tokens=(0, 256)) for ticket in tickets))
    rig.taken("A", *(settle(ticket, 0, 128) for ticket in tickets))
    rig.advance(60_000)
    return rig, limits


def test_bound_counts_on_holds_and_needs_as_learned() -> None:
    """As produced half of a hold of 128 may come back, and of 128 more half is needed: 64 - (78 - 64) ms."""
    rig, limits = taught(Bucket("output_tokens", 60_000, jitter_ms=0, rule="as_produced"))
    rig.taken("A", enqueue("long", limits, tokens=(0, 256)), enqueue("new", limits, tokens=(0, 256)))
    rig.taken("A", beat(("long", 59_922), ("new", 0)))
    assert rig.enqueue("A", "x", tokens=(0, 256), wait_ms=49)[:2] == ["d", "timeout"]
    assert rig.enqueue("A", "y", tokens=(0, 256), wait_ms=50) == ["q"]


def test_bound_counts_on_what_adjusts() -> None:
    """Of 59,900 charged at the start half may come back: 30,050 are there for the 30,100 that are needed."""
    rig, _ = taught(Bucket("tokens", 60_000, jitter_ms=0, rule="at_start_adjust"))
    assert rig.enqueue("A", "eater", tokens=(0, 59_900))[0] == "g"
    assert rig.enqueue("A", "before", tokens=(0, 200)) == ["q"]
    assert rig.enqueue("A", "x", tokens=(0, 60_000), wait_ms=49)[:2] == ["d", "timeout"]
    assert rig.enqueue("A", "y", tokens=(0, 60_000), wait_ms=50) == ["q"]


def test_bound_looks_only_at_limits_of_every_key() -> None:
    """Tokens that only one of two keys limits keep nobody from starting by the other."""
    tokens = Bucket("input_tokens", 60, jitter_ms=0)
    lanes = [LaneLimits("*", buckets) for buckets in ((tokens, SECOND), (SECOND,))]
    domains = tuple(DomainLimits(f"d{i}", (lane,)) for i, lane in enumerate(lanes))
    rig = mini_rig(PoolLimits("p", (("k0", ("d0",)), ("k1", ("d1",))), domains))
    rig.enqueue("A", "eats k0", tokens=(60, 0), preferred="k0")
    rig.enqueue("A", "eats k1", preferred="k1")
    assert rig.enqueue("A", "x", tokens=(60, 0), wait_ms=30_000) == ["q"]


def test_large_ticket_that_waits_leaves_no_bound() -> None:
    """Behind one that needs more than a bucket holds, and goes into debt, nobody is denied by the sums."""
    rig = mini_rig(pool_of(Bucket("input_tokens", 60, burst_ms=10_000, jitter_ms=0)))
    assert [rig.enqueue("A", f"eats {need}", tokens=(need, 0))[0] for need in (10, 30)] == ["g", "q"]
    assert rig.enqueue("A", "small", tokens=(5, 0), wait_ms=20_000) == ["q"]


def test_prediction_of_who_waits_changes_the_sums() -> None:
    """A ticket that came before anything was known is predicted again, and so are its flow and line."""
    outputs = Bucket("output_tokens", 60_000, jitter_ms=0, rule="as_produced")
    limits = pool_of(Bucket("requests", 20, jitter_ms=0), outputs)
    rig, tickets = mini_rig(limits), [f"l{i}" for i in range(20)]
    rig.taken("A", *(enqueue(ticket, limits, tokens=(0, 400)) for ticket in [*tickets, "waits"]))
    rig.taken("A", *(settle(ticket, 0, 200) for ticket in tickets))
    sums = {
        name.split("|")[0]: json.loads(text) for name, text in fields(rig).items() if "|1|default" in name
    }
    assert (sums["line"], sums["flow"][1:5]) == ([1, 0, 400, 200, 0], [1, 0, 400, 200])


def test_repeated_numbers_are_known() -> None:
    """A ticket enqueued again is the same one, be its number the highest yet, or lower than another."""
    rig = mini_rig(pool_of(AMPLE))
    first = [rig.enqueue("A", ticket) for ticket in ("A-9", "A-5")]
    assert [rig.enqueue("A", ticket) for ticket in ("A-5", "A-9")] == first[::-1]


def test_cancel_that_comes_first_is_remembered() -> None:
    """An enqueue that its cancel has overtaken is refused, though no higher number was enqueued."""
    rig = mini_rig(pool_of(AMPLE))
    rig.taken("A", cancel("A-5"))
    assert rig.enqueue("A", "A-5") == ["e", "c"]


def test_parked_process_that_calls_gets_its_turn() -> None:
    """Who was away for 3 s is granted nothing, until it calls: then its ticket goes."""
    rig = mini_rig(pool_of(slots=1), "A", "B")
    rig.enqueue("A", "A-1")
    rig.enqueue("B", "B-1")
    for _ in range(3):
        rig.advance(1_000)
        rig.taken("A")
    rig.advance(1)
    rig.taken("A", settle("A-1"))
    assert rig.mailbox("B").grants == []
    assert granted(rig.taken("B")) == ["B-1"]


def with_unread_grant(*later: tuple[str, str, str], limits: PoolLimits) -> Rig:
    """B-1 was granted while others waited (process, ticket, tenant), and B has not read of it."""
    rig = mini_rig(limits, "A", "B")
    lanes = {"A": limits.domains[0].lanes[0].lane, "B": limits.domains[0].lanes[-1].lane}
    for process, ticket, tenant in (("A", "A-1", "x"), ("B", "B-1", "x"), *later):
        rig.enqueue(process, ticket, tenant=tenant, lane=lanes[process])
    rig.advance(1)
    rig.taken("A", settle("A-1"))
    assert explain(rig, "B-1")["state"] == "granted"
    return rig


def test_call_without_reading_counts_from_the_call() -> None:
    """A process that calls and leaves its mailbox unread is silent 251 ms after that call."""
    rig = with_unread_grant(("B", "B-2", "x"), limits=pool_of(slots=1))
    rig.advance(100)
    rig.taken("B")
    rig.advance(250)
    rig.taken("A")
    assert "silence" not in explain(rig, "B-2")
    rig.advance(1)
    rig.taken("A")
    assert explain(rig, "B-2")["silence"] == "silent"


def test_returned_grant_is_for_those_looked_at_before() -> None:
    """What a silent process gives back comes too late for a queue already blocked: its caller calls again."""
    later, lanes = (("A", "A-2", "x"), ("B", "B-2", "x")), [LaneLimits("b")]
    rig = with_unread_grant(*later, limits=pool_of(slots=1, lanes=lanes))
    rig.advance(251)
    assert rig.taken("A").wakes == [["", "", 0]]
    assert granted(rig.taken("A")) == ["A-2"]


def test_returned_grant_costs_its_tenant_nothing() -> None:
    """After a grant to a silent process has come back, its tenant is as far as before it."""
    later = (("B", "B-2", "x"), ("A", "A-3", "y"), ("A", "A-4", "y"), ("A", "A-2", "x"))
    rig = with_unread_grant(*later, limits=pool_of(slots=1))
    rig.advance(251)
    assert granted(rig.taken("A", beat())) == ["A-3"]
    assert granted(rig.taken("A", settle("A-3"))) == ["A-2"]


def test_one_absent_process_is_dropped_per_call() -> None:
    """Of three that are absent the first loses its ticket, and the caller goes on in 20 ms."""
    rig = mini_rig(pool_of(slots=1), *"ABCD")
    for process in "ABCD":
        rig.enqueue(process, f"{process}-1")
    for ms in (1_000, 1_000, 1_000, 1):
        rig.advance(ms)
        answer = rig.taken("A", beat(("A-1", 0)))
    assert json.loads(fields(rig)["parked"]) == ["C", "D"]
    assert answer.wakes[0] == ["", "", 20]


def test_absent_process_behind_64_lines_is_found() -> None:
    """Of 65 lines a heartbeat looks at others than the first 64 too, by the number of grants."""
    others = [f"P{i}" for i in range(65)]
    rig = mini_rig(pool_of(slots=1), "A", *others)
    rig.enqueue("A", "A-1")
    for process in others:
        rig.enqueue(process, f"{process}-1")
    for ms, callers in ((1_000, ["A"]), (1_000, ["A", *others[:-1]]), (1_000, ["A"]), (1, [])):
        rig.advance(ms)
        for process in callers:
            rig.taken(process)
    rig.taken("A", beat(("A-1", 0)))
    assert explain(rig, "P64-1") == {"state": "cancelled"}


@pytest.mark.parametrize(("first", "then"), [("x1 x2 y1", "y2 x3"), ("x1 x2 z1 y1", "y2 z2")])
def test_grants_before_anybody_waited_count(first: str, then: str) -> None:
    """What went in the call in which a queue came into being puts its tenant back, as in any other."""
    limits = pool_of(Bucket("requests", 60, burst_ms=first.count(" ") * 1_000, jitter_ms=0))
    rig = mini_rig(limits)
    for asked in (first, then):
        rig.taken("A", *(enqueue(ticket, limits, tenant=ticket[0]) for ticket in asked.split()))
    assert grants_in_turn(rig, 3) == ["y1", *then.split()]


def test_tenant_that_is_not_ahead_any_more_is_forgotten() -> None:
    """An empty flow is kept while its tag is ahead of the virtual time, and no longer."""
    limits = pool_of(Bucket("requests", 60, burst_ms=2_000, jitter_ms=0))
    rig = mini_rig(limits)
    rig.taken("A", *(enqueue(ticket, limits, tenant=ticket[0]) for ticket in ("x1", "x2", "y1", "y2", "y3")))
    seen = []
    for _ in range(3):
        seen.append(any(name.startswith("flow|") and name.endswith("|x") for name in fields(rig)))
        grants_in_turn(rig, 1)
    assert seen == [True, True, False]


@pytest.mark.parametrize(("first", "second"), ["ab", "ba"])
def test_leftovers_go_to_the_queue_whose_head_came_first(first: str, second: str) -> None:
    """With one request left over behind two blocked heads, it goes behind the one that arrived first."""
    tokens = Bucket("input_tokens", 6_000, burst_ms=1_000, jitter_ms=0)
    requests = Bucket("requests", 60, burst_ms=4_000, jitter_ms=0)
    limits = pool_of(requests, keys=2, lanes=[LaneLimits("a", (tokens,)), LaneLimits("b", (tokens,))])
    rig = mini_rig(limits)
    for lane in "ab":
        rig.enqueue("A", f"{lane}0", tokens=(60, 0), lane=lane, preferred="k0")
        rig.enqueue("A", f"{lane}1", tokens=(50, 0), lane=lane, preferred="k1")
    rig.enqueue("A", "more", lane="a", preferred="k0")
    for lane in (first, second):
        assert rig.enqueue("A", f"{lane} large", tokens=(90, 0), lane=lane) == ["q"]
    small = (enqueue(f"{lane}2", limits, tokens=(9, 0), lane=lane, tenant="s") for lane in (second, first))
    assert [result[0] for result in rig.taken("A", *small).results] == ["q", "g"]


def test_head_leaves_alone_what_refills_before_its_turn() -> None:
    """A head that waits a minute for its lane's tokens keeps no request from another lane that long before."""
    tokens = Bucket("input_tokens", 60, jitter_ms=0)
    rig = mini_rig(pool_of(SECOND, lanes=[LaneLimits("a", (tokens,)), LaneLimits("b")]))
    rig.enqueue("A", "eater", tokens=(60, 0), lane="a")
    assert rig.enqueue("A", "head", tokens=(60, 0), lane="a") == ["q"]
    rig.advance(1_000)
    assert rig.enqueue("A", "other", lane="b")[0] == "g"


@pytest.mark.parametrize(("gone", "wake"), [(["t3"], ["t2", 900]), (["t2", "t3"], ["u2", 1_000])])
def test_timer_is_for_the_tenant_that_can_go_first(gone: list[str], wake: list[Any]) -> None:
    """Of two tenants that wait for their limits the earlier one counts, whatever its band, while it waits."""
    limits = pool_of(AMPLE, tenants=[TenantLimits(name, 1_000, LaneLimits("*", (SECOND,))) for name in "tu"])
    rig = mini_rig(limits)
    for tenant, band in (("t", "normal"), ("u", "interactive")):
        rig.taken("A", *(enqueue(f"{tenant}{i}", limits, tenant=tenant, band=band) for i in (1, 2, 3)))
        rig.advance(100 if tenant == "t" else 0)
    assert [told[1:] for told in rig.taken("A", *map(cancel, gone)).wakes] == [wake]


@pytest.mark.parametrize("is_apart", [True, False])
def test_ended_lease_is_not_due(is_apart: bool) -> None:
    """A reported lease that ends, at once or later, is due no more."""
    rig = mini_rig(pool_of(AMPLE))
    rig.enqueue("A", "A-1")
    for wires in [[beat(("A-1", 0))], [settle("A-1")]] if is_apart else [[beat(("A-1", 0)), settle("A-1")]]:
        rig.taken("A", *wires)
    assert "A-1" not in rig.client.zrange(rig.keys.all()[3], 0, -1)


def test_report_after_a_shorter_ttl_counts_by_it() -> None:
    """A lease reported since the TTL is 5 s runs out in 5 s, though it was not due for long."""
    limits = pool_of(AMPLE)
    rig = mini_rig(limits, ttl_s=90.0)
    rig.enqueue("A", "A-1")
    rig.register("A", limits, ttl_s=5.0)
    rig.taken("A", beat(("A-1", 0)))
    for _ in range(5):
        rig.advance(1_000)
        rig.taken("A")
    assert explain(rig, "A-1")["state"] == "expired"


def test_line_behind_a_denied_ticket_has_its_place() -> None:
    """Where the first ticket of a tenant is denied as its queue comes into being, the second still goes in its turn."""
    limits = pool_of(slots=1)
    rig = mini_rig(limits)
    rig.enqueue("A", "A-1")
    hasty, patient = enqueue("A-3", limits, tenant="y", wait_ms=0), enqueue("A-4", limits, tenant="y")
    rig.taken("A", enqueue("A-2", limits, tenant="x"), hasty, patient)
    assert [granted(rig.taken("A", settle(ticket))) for ticket in ("A-1", "A-2")] == [["A-2"], ["A-4"]]


def test_account_without_a_free_slot_stands_last_in_the_index() -> None:
    """The gate of an account of a crowd is far off while all its slots are taken, and comes back with one."""
    rig = mini_rig(pool_of(AMPLE, keys=9, slots=1))
    seen = []
    for wire in (enqueue("A-1", rig.members["A"].limits, preferred="k4"), cancel("A-1")):
        rig.taken("A", wire)
        seen.append([member.place for member in index_of(rig) if member.at == 9_999_999_999_999])
    assert seen == [[("d4", "*", 0)], []]
    assert len(index_of(rig)) == 18
