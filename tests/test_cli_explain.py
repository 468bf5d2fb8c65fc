"""`llm-fleet explain`: one ticket, in a line of facts and a sentence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from llm_fleet.engine.lease import Lease
from tests.commands import Ran, run_command, run_command_beside
from tests.fleets import fleet, lease_of, limits, requests, take


@pytest.fixture
async def tickets(redis_url, namespace) -> AsyncIterator[tuple[str, str]]:
    """The ids of a ticket that holds the only request of a minute, and of one that waits for the next."""
    async with fleet(redis_url, namespace, limits(requests(2, burst_ms=30_000))) as member:
        lease: Lease = await lease_of(member)
        waiting = asyncio.create_task(take(member, timeout_s=60))
        while not (queues := (await member.status())["p"]["queues"]):
            await asyncio.sleep(0.01)
        yield lease.ticket, queues[0]["head"]["ticket"]
        waiting.cancel()
        lease.cancel()


@pytest.fixture
def explain(capsys, redis_url, namespace) -> Any:
    async def run(*arguments: str) -> Ran:
        where = ("--redis", redis_url, "--namespace", namespace)
        return await run_command_beside(capsys, "explain", *arguments, *where)

    return run


async def test_a_ticket_that_waits_says_for_what_and_how_long(explain, tickets):
    """Id, state, pool, band and tenant in a line; then the sentence."""
    ran = await explain(tickets[1])
    facts, why, amounts = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert facts.startswith(f"ticket {tickets[1]} · queued · pool p · lane * · normal, tenant default · ")
    assert "requests_per_minute" in why
    assert "starts in" in why
    assert amounts == "requests_per_minute of d-k0: needs 1, 0 there, limit 2"


async def test_a_lease_says_what_it_holds(explain, tickets):
    """The key, and what was charged."""
    ran = await explain(tickets[0])
    assert ran.code == 0
    assert f"ticket {tickets[0]} · granted · pool p" in ran.out
    assert "requests_per_minute" in ran.out.splitlines()[1]


async def test_json_has_every_field(explain, tickets):
    """Numbers as numbers, and the sentence too."""
    found = json.loads((await explain(tickets[1], "--json")).out)
    assert (found["state"], found["position"], found["binding"]["resource"]) == (
        "queued",
        0,
        "requests_per_minute",
    )
    assert 0 < found["starts_in_s"] <= 30
    assert found["why"]


async def test_an_unknown_ticket_ends_with_1(explain, tickets):
    """It says so, in text and in JSON."""
    ran = await explain("nobody-1")
    assert (ran.code, ran.err) == (1, "")
    assert "ticket nobody-1 · unknown" in ran.out
    assert json.loads((await explain("nobody-1", "--json")).out)["state"] == "unknown"


@pytest.mark.parametrize("arguments", [("explain",), ("explain", ""), ("explain", "a-1", "b-2")])
def test_wrong_usage_ends_with_2(capsys, arguments):
    """No id, an empty one, two of them."""
    assert run_command(capsys, *arguments).code == 2


async def test_status_names_a_ticket_to_explain(tickets, capsys, redis_url, namespace):
    """The one that has waited longest, as a command to copy."""
    ran = await run_command_beside(capsys, "status", "--redis", redis_url, "--namespace", namespace)
    assert f"llm-fleet explain {tickets[1]} says more" in ran.out
