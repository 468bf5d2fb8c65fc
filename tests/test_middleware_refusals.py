"""What a refusal says: every denial that the scripts can give, in the words of the exception."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from llm_fleet.engine.values import Bucket, Denial, LaneLimits, Need, TenantLimits, denial_of
from llm_fleet.errors import LimitError, NeedTooLarge, NoUsableKey, QueueFull, QueueTimeout
from llm_fleet.middleware.rate_limiter import refusal
from tests.pool_rig import Rig, cancel, enqueue, fake_rig, pool_of

REQUESTS = Bucket("requests", 60, burst_ms=1_000, jitter_ms=0)
OWN = (Bucket("requests", 30, burst_ms=2_000, jitter_ms=0), Bucket("input_tokens", 1_000, jitter_ms=0))


def told(answer: Sequence[Any], tenant: str = "default") -> LimitError:
    """The exception for what a script refused with."""
    return refusal("acme", Need("fast", 1, 1, tenant=tenant), denial_of(answer), 2.0)


def rig_with(count: int, *buckets: Bucket, tenant: str = "default", **options: Any) -> Rig:
    """A pool in which so many tickets of process A have been asked for."""
    limits = pool_of(*buckets, **options)
    rig = fake_rig(limits, "A", "B")
    rig.taken("A", *(enqueue(f"t{at}", limits, tenant=tenant) for at in range(count)))
    return rig


def test_a_ticket_denied_before_its_time_says_everything():
    """Hopeless at the enqueue: place, key, limit, amounts, how many wait before it, and when to come back."""
    error = told(rig_with(12, REQUESTS).enqueue("A", "hopeless", wait_ms=2_000)[1:])
    assert isinstance(error, QueueTimeout)
    assert str(error) == (
        "Rate limit exceeded: provider acme, lane fast; no grant within 2 s; requests_per_minute on key k0 binds;"
        " needs 1, 0 there, limit 60; position 11 in the queue; try again in 12.0 s."
        " Raise queue_timeout or rate_limits, or add API keys."
    )
    assert (error.position, error.retry_after) == (11, 12.0)


def test_a_wait_for_a_slot_says_how_many_there_are():
    """Given up by its owner: nobody knows when a call ends, so there is no time to name."""
    error = told(rig_with(10, slots=8).taken("A", cancel("t9")).result[2])
    assert str(error) == (
        "Rate limit exceeded: provider acme, lane fast; no grant within 2 s; concurrency on key k0 binds;"
        " needs 1, 0 of 8 free; position 1 in the queue; nobody knows when: it comes back when calls in flight end."
        " Raise queue_timeout or rate_limits, or add API keys."
    )
    assert (error.key_id, error.need, error.level, error.limit, error.retry_after) == ("k0", 1, 0, 8, None)


def test_a_deadline_that_another_process_notices_says_everything():
    """By mail: the pump of B ends the head that A should have given up."""
    rig = rig_with(1, REQUESTS)
    limits = rig.members["A"].limits
    rig.taken("B", enqueue("before", limits, tenant="other"))
    rig.taken("A", enqueue("late", limits, wait_ms=1_800))
    rig.advance(1_000)
    rig.taken("A")
    rig.advance(850)
    rig.taken("B")
    mail = rig.timed(lambda: rig.client.lpop(rig.keys.mailbox("A"), 10))
    ((ticket, *answer),) = (ended for text in mail for ended in json.loads(text)[3])
    assert ticket == "late"
    assert str(told(answer)) == (
        "Rate limit exceeded: provider acme, lane fast; no grant within 2 s; requests_per_minute on key k0 binds;"
        " needs 1, 0 there, limit 60; position 0 in the queue; try again in 0.1 s."
        " Raise queue_timeout or rate_limits, or add API keys."
    )


@pytest.mark.parametrize("ended", ["at once", "given up"])
def test_a_tenants_own_limit_is_named_with_its_remedy(ended):
    """No key binds: the account's limits and more keys would not help."""
    rig = rig_with(
        4, Bucket("requests", 6_000), tenant="web", tenants=[TenantLimits("web", 1000, LaneLimits("*", OWN))]
    )
    if ended == "at once":
        answer = rig.enqueue("A", "now", wait_ms=0, tenant="web")[1:]
    else:
        answer = rig.taken("A", cancel("t2")).result[2]
    error = told(answer, "web")
    assert "requests_per_minute of tenant web binds; needs 1, 0 there, limit 30; position" in str(error)
    assert str(error).endswith("try again in 2.0 s. Raise queue_timeout or tenants.web.rate_limits.")
    assert (error.key_id, error.resource) == (None, "requests_per_minute")


def test_what_is_too_large_for_its_tenant_says_so():
    """The account would take it."""
    rig = rig_with(0, Bucket("requests", 6_000), tenants=[TenantLimits("web", 1000, LaneLimits("*", OWN))])
    error = told(rig.enqueue("A", "large", tenant="web", tokens=(2_000, 0))[1:], "web")
    assert isinstance(error, NeedTooLarge)
    assert "input_tokens_per_minute of tenant web binds; needs 2000, 1000 there, limit 1000" in str(error)
    assert str(error).endswith(
        "It can never go: send less input, lower max_tokens, or raise tenants.web.rate_limits."
    )


def test_what_is_too_large_for_every_key_is_not_the_tenants_fault():
    """A tenant with limits of its own, and an account that is smaller."""
    small = Bucket("input_tokens", 500, jitter_ms=0)
    rig = rig_with(0, small, tenants=[TenantLimits("web", 1000, LaneLimits("*", OWN))])
    error = told(rig.enqueue("A", "large", tenant="web", tokens=(600, 0))[1:], "web")
    assert "input_tokens_per_minute on key k0 binds; needs 600, 500 there, limit 500" in str(error)
    assert str(error).endswith("or raise the limit.")


def test_a_full_queue_and_keys_out_of_service_name_no_limit():
    """None binds; the remedy is another."""
    rig = rig_with(3, REQUESTS)
    full = told(rig.enqueue("A", "more", max_queued=2)[1:])
    rig.switch("k0", "pause")
    out = told(rig.enqueue("A", "out")[1:])
    assert (type(full), type(out)) == (QueueFull, NoUsableKey)
    assert str(full) == (
        "Rate limit exceeded: provider acme, lane fast; position 2 in the queue."
        " Send less at once, or raise settings.max_queued."
    )
    assert "Every API key is out of service" in str(out)


def test_an_error_has_the_ticket_of_its_denial():
    """For `llm-fleet explain`."""
    assert (
        refusal("acme", Need("*", 1, 1), Denial("timeout", ticket="1b913ee0-10"), 1).ticket == "1b913ee0-10"
    )
