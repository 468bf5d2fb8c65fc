"""What `status` says about a queue and about a fleet's health: pure functions of a snapshot."""

from __future__ import annotations

from typing import Any

import pytest

from llm_fleet.cli.fleet.health import pool_reasons, server_reasons, state_of
from llm_fleet.cli.fleet.words import waiting_line

KEYSET = "aaaabbbbcccc"


def process(**fields: Any) -> dict[str, Any]:
    info = {"keyset": KEYSET, "pid": 7, "host": "h", "command": "celery", "hashes": {"acct": "same"}}
    return {"state": 0, "seen_ms": 100, "queued": 0, "leases": 0, "mailbox": 0, "info": info, **fields}


def domain(**fields: Any) -> dict[str, Any]:
    return {
        "paused_ms": 0,
        "concurrency": 0,
        "in_flight": 0,
        "hash": "same",
        "version": -1,
        "lanes": {},
        **fields,
    }


def pool(**fields: Any) -> dict[str, Any]:
    return {
        "ttl_ms": 15_000,
        "keys": {"4fd2": {"domains": ["acct"]}, "8be1": {"domains": ["acct"]}},
        "domains": {"acct": domain(source="file")},
        "processes": {"1a2b": process()},
        "queues": [],
        **fields,
    }


def queue(**head: Any) -> dict[str, Any]:
    known = {
        "ticket": "1a2b-3f",
        "process": "1a2b",
        "band": "normal",
        "tenant": "default",
        "waited_ms": 12_300,
    }
    return {"lane": "*", "keyset": KEYSET, "waiting": 3, "head": {**known, "key": "4fd2", **head}}


def cause(state: dict[str, Any] | None = None, **head: Any) -> str:
    """What comes after `has waited 12.3 s`."""
    return waiting_line(queue(**head), state or pool()).partition(" has waited 12.3 s ")[2]


def test_a_head_that_waits_for_refill_says_how_much_and_how_long():
    """Lane, ticket, tenant, resource, key, need, level and time to refill are in one line."""
    line = waiting_line(
        queue(resource="input_tokens_per_minute", need=900, level=120, wait_ms=3100, tenant="web"), pool()
    )
    assert line == (
        "lane *, 3 waiting: head 1a2b-3f (tenant web) has waited 12.3 s for input_tokens_per_minute"
        " on key 4fd2: needs 900, 120 there, refills in 3.1 s"
    )


def test_a_head_behind_holds_waits_for_running_calls():
    """Without a time of refill only the end of running calls helps, and that is what it says."""
    text = cause(resource="output_tokens_per_minute", need=256, level=-40)
    assert text.endswith("needs 256, -40 there, and what else there is, running calls hold until they end")


def test_a_head_without_a_slot_says_how_many_there_are():
    """Concurrency is told by its limit."""
    state = pool(domains={"acct": domain(concurrency=4, in_flight=4, source="file")})
    assert cause(state, resource="concurrency") == "for a slot on key 4fd2: all 4 are in flight"


def test_a_pause_of_one_account_and_of_all_are_told_apart():
    """`all 2 keys` only where every account is paused."""
    paused = {"acct": domain(paused_ms=6000, source="file")}
    both = cause(pool(domains=paused), resource="pause", wait_ms=6000)
    assert both == "while all 2 keys are paused by the provider, 4fd2 for 6 s more"
    keys = {"4fd2": {"domains": ["acct"]}, "8be1": {"domains": ["other"]}}
    state = pool(keys=keys, domains={**paused, "other": domain(source="file")})
    assert (
        cause(state, resource="pause", wait_ms=6000)
        == "while key 4fd2 is paused by the provider for 6 s more"
    )


def test_keys_out_of_service_are_told_with_their_reason():
    """One key for a while, or all of them until somebody resumes one."""
    out = {"domains": ["acct"], "reason": "401 authentication_error"}
    state = pool(keys={"4fd2": {**out, "out_ms": 90_000}, "8be1": out})
    assert cause(state, resource="key").startswith(
        "while all 2 keys are out; key 4fd2 is out of service for 90 s"
    )
    text = cause(pool(keys={"4fd2": out, "8be1": out}), refusal="no_key")
    assert text == "and no key is in service: out of service until it is resumed: 401 authentication_error"


def test_a_head_that_can_go_names_the_process_that_does_not_answer():
    """Nothing but its silent process keeps it."""
    state = pool(processes={"1a2b": process(state=1), "live": process()})
    text = cause(state, wait_ms=0)
    assert text == "and can go now: it is granted with the next step; its process 1a2b does not answer"


def test_a_queue_of_dead_processes_says_so():
    """No head, or no live process that holds the keys: nothing can be granted."""
    gone = pool(processes={"1a2b": process(seen_ms=60_000, queued=3)})
    assert waiting_line(queue(), gone) == (
        "lane *, 3 waiting: no process that holds these keys is live, so nothing can be granted"
    )
    headless = {**queue(), "head": None}
    assert "do not read their mailbox" in waiting_line(headless, pool())


@pytest.mark.parametrize(
    ("fields", "idle_ms", "state"),
    [
        ({"seen_ms": 4000}, 0, "live"),  # idle processes report only every third of a lease's time
        ({"seen_ms": 4000, "queued": 2}, 0, "silent"),
        ({"state": 1}, 0, "silent"),
        ({"state": 2}, 0, "gone"),
        ({"seen_ms": 15_100}, 0, "gone"),
        ({"seen_ms": 1100}, 3_600_000, "gone"),  # the clock of presence stands still while nobody calls
        ({"seen_ms": 900}, 900, "live"),
    ],
)
def test_a_process_is_live_silent_or_gone(fields, idle_ms, state):
    """By what Redis has seen of it, whether anybody calls or not."""
    assert state_of(process(**fields), pool(idle_ms=idle_ms)) == state


def test_a_healthy_pool_has_no_reasons():
    """Waiting alone degrades nothing."""
    assert pool_reasons(pool(queues=[queue(wait_ms=100)])) == []


def test_reasons_name_what_is_wrong():
    """Pauses, long waits, silent processes: a sentence each."""
    late = queue(wait_ms=100, waited_ms=61_000)
    state = pool(
        queues=[late],
        domains={"acct": domain(paused_ms=6_000, source="file")},
        processes={"1a2b": process(), "9c9c": process(state=1, queued=8, seen_ms=4_000)},
    )
    assert pool_reasons(state) == [
        "the provider has paused acct for 6 s more",
        "the head of lane * (1a2b-3f) has waited 61 s",
        "process 9c9c is silent, last seen 4 s ago, with 8 tickets queued",
    ]


def test_limits_that_were_cut_are_a_reason():
    """What each has now, and what is configured."""
    whole = {"resource": "requests_per_minute", "tick_ms": 1, "limit": 600}
    tokens = {"resource": "tokens_per_minute", "tick_ms": 1, "limit": 30_000, "cut": 26_250}
    lanes = {"*": [{**whole, "cut": 525}, whole], "opus": [tokens]}
    assert pool_reasons(pool(domains={"acct": domain(lanes=lanes, source="file")})) == [
        "429s have cut requests_per_minute of acct to 525 instead of 600",
        "429s have cut tokens_per_minute of acct for lane opus to 26,250 instead of 30,000",
    ]


def test_tickets_that_nobody_can_take_are_a_reason():
    """Other processes may be live; none of them holds these keys."""
    other = process()
    other["info"] = {**other["info"], "keyset": "another"}
    (reason,) = pool_reasons(pool(queues=[queue()], processes={"1a2b": other}))
    assert reason == "3 tickets wait in lane * and no live process holds their keys"


def test_a_redis_that_may_evict_is_a_reason():
    """`maxmemory` with any policy but noeviction loses the fleet's state one day."""
    assert server_reasons({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}) == []
    assert server_reasons({"maxmemory": 10, "maxmemory_policy": "noeviction"}) == []
    (reason,) = server_reasons({"maxmemory": 10, "maxmemory_policy": "allkeys-lru"})
    assert "noeviction" in reason
