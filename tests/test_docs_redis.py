"""docs/operating-redis.md: the rights, connections and memory that it names are enough, and no more than it says."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from llm_fleet import MessageRole, SessionManager
from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.values import Bucket
from tests.commands import run_command_beside
from tests.fleets import fleet, lease_of, limits, requests, take
from tests.managers import HELLO, entry, manager_of, provider
from tests.markdown import blocks_of

PAGE = Path(__file__).parent.parent / "docs" / "operating-redis.md"
(RIGHTS,) = (block.text.split() for block in blocks_of(PAGE, "redis"))


@pytest.fixture
def confined(own_server) -> tuple[PrivateServer, str]:
    """A server on which only the documented user is used; its url, with a database of its own."""
    server = own_server()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*RIGHTS)
    return server, f"redis://llm_fleet:a-long-password@127.0.0.1:{server.port}/1"


async def test_the_documented_rights_are_enough(confined, simulator):
    """Calls, queueing, conversations, keys switched, status: nothing is refused."""
    server, url = confined
    sim = simulator(provider(latency_s=0.1, limits={"max_concurrent_requests": 2}))
    fields = entry(sim.url, limits={"requests_per_minute": 600, "max_concurrent_requests": 2})
    async with manager_of(url, "llm_fleet", anthropic=fields) as manager:
        client = manager.get_client()
        await asyncio.gather(*(client.complete(HELLO, timeout=20) for _ in range(6)))
        session = await SessionManager.open("one", manager)
        await session.add_message(MessageRole.USER, "Hello")
        await session.clear()
        key = (await client.complete(HELLO)).key_id
        await manager.fleet.pool("anthropic").pause_key(key, reason="test")
        await manager.fleet.pool("anthropic").resume_key(key)
        assert (await manager.fleet_status())["anthropic"]["waiting"] == 0
    with redis.Redis.from_url(server.url, decode_responses=True) as admin:
        refused = [entry["object"] for entry in admin.acl_log()]
    assert refused == []


async def test_doctor_agrees_with_the_documented_rights(confined, capsys):
    """Run as that user it finds nothing missing; what it cannot see is a note with the grant."""
    where = ("--redis", confined[1], "--pool", "anthropic")
    ran = await run_command_beside(capsys, "doctor", "--json", *where)
    grades = {finding["about"]: finding["grade"] for finding in json.loads(ran.out)}
    assert ran.code == 0
    assert (grades["rights"], grades["server"], grades["scripts"]) == ("ok", "note", "note")


def connections(url: str) -> list[dict[str, Any]]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return [one for one in client.client_list() if one["name"] == "llm_fleet"]


async def test_a_process_has_two_connections(redis_url, namespace):
    """One for steps and one that waits for grants, whatever the number of tasks."""
    async with fleet(redis_url, namespace, limits(requests(1200, burst_ms=500))) as member:
        await asyncio.gather(*(lease_of(member) for _ in range(20)))
        assert len(connections(redis_url)) == 2


async def test_several_busy_providers_have_five_at_most(redis_url, namespace, simulator):
    """Steps of different providers go at the same time."""
    sim = simulator(provider(4))
    names = ("a", "b", "c", "d")
    entries = {
        name: {**entry(sim.url, limits={"requests_per_minute": 6000}), "api_keys": [f"sk-test-{name}"]}
        for name in names
    }
    async with manager_of(redis_url, namespace, **entries) as manager:
        leases = [manager.get_client(name).lease(input_tokens=1, max_tokens=1) for name in names * 30]
        await asyncio.gather(*(lease.__aenter__() for lease in leases))
        assert len(connections(redis_url)) <= 5
        for lease in leases:
            lease.close()


def used_memory(url: str) -> int:
    """Of all keys: what the server takes beside them, as buffers of connections, comes and goes."""
    with redis.Redis.from_url(url) as client:
        return sum(int(client.memory_usage(key, samples=0) or 0) for key in client.scan_iter(count=1000))


async def test_tickets_take_the_memory_that_is_told(own_server, namespace):
    """Below 0.4 kB for a call that waits or is in flight, 0.1 kB for one that has ended; with three limits and slots."""
    count, url, sizes = 500, own_server().url, []
    tokens = [Bucket(name, 10**7, rule="at_start_adjust") for name in ("input_tokens", "output_tokens")]
    async with fleet(url, namespace, limits(requests(60_000), *tokens, slots=count)) as member:
        (await lease_of(member)).cancel()
        await asyncio.sleep(0.1)
        sizes.append(used_memory(url))
        leases = await asyncio.gather(*(lease_of(member) for _ in range(count)))
        sizes.append(used_memory(url))
        waiting = [asyncio.create_task(take(member, timeout_s=60)) for _ in range(count)]
        while (await member.status())["p"]["waiting"] < count:
            await asyncio.sleep(0.02)
        sizes.append(used_memory(url))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for lease in leases:
            lease.cancel()
        while (await member.status())["p"]["leases"]:
            await asyncio.sleep(0.02)
        sizes.append(used_memory(url))
    in_flight, queued, _ = ((after - before) / count for before, after in pairwise(sizes))
    ended = (sizes[3] - sizes[0]) / count / 2
    assert (in_flight < 400, queued < 400, ended < 100) == (True, True, True), (in_flight, queued, ended)
