"""Redis away, slow, restarted or emptied under a running fleet."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from llm_fleet.engine.values import Bucket, Settlement
from llm_fleet.errors import CoordinationError
from tests.fleets import fleet, lease_of, limits, requests, take


async def test_a_frozen_redis_ends_calls_in_their_time_and_they_go_on_after_it(own_server, namespace):
    """No answer: CoordinationError at the timeout that says where; after SIGCONT all goes on."""
    server = own_server()
    async with fleet(server.url, namespace, limits(slots=5)) as member:
        await lease_of(member)
        server.freeze()
        started = time.monotonic()
        with pytest.raises(CoordinationError, match=r"127\.0\.0\.1"):
            await take(member, timeout_s=2)
        assert time.monotonic() - started < 3
        server.thaw()
        await lease_of(member, timeout_s=8)


@pytest.mark.slow
async def test_an_outage_ends_calls_after_ten_seconds(own_server, namespace):
    """With a long timeout the wait for Redis itself is bounded by ten seconds."""
    server = own_server()
    async with fleet(server.url, namespace, limits(slots=1)) as member:
        await lease_of(member)
        queued = asyncio.create_task(take(member, timeout_s=60))
        await asyncio.sleep(0.2)
        server.kill()
        started = time.monotonic()
        for wait in (queued, asyncio.create_task(take(member, timeout_s=60))):
            with pytest.raises(CoordinationError):
                await wait
        assert 9.5 < time.monotonic() - started < 12


async def test_a_restart_without_data_is_survived_and_nothing_is_granted_twice(own_server, namespace):
    """Waiters enqueue again under their ids; leases are asserted again; levels do not start full."""
    server = own_server()
    async with fleet(server.url, namespace, limits(requests(600, burst_ms=6000), slots=2)) as member:
        held = [await lease_of(member), await lease_of(member)]
        waiting = asyncio.create_task(take(member, timeout_s=10))
        await asyncio.sleep(0.1)
        server.restart()
        await asyncio.sleep(1.5)
        status = (await member.status())["p"]
        assert (status["leases"], status["waiting"]) == (2, 1)
        assert status["domains"]["d-k0"]["lanes"]["*"][0]["level"] <= 25
        held[0].settle(Settlement(1, 1))
        lease = await waiting
        assert lease.fence > held[1].fence


async def test_flushall_is_noticed_by_the_first_heartbeat(own_server, namespace):
    """FLUSHALL under a held lease: the heartbeat finds it, the level starts at most at 0."""
    server = own_server()
    tokens = Bucket("input_tokens", 600, jitter_ms=0, rule="at_start_adjust")
    async with fleet(server.url, namespace, limits(tokens), ttl_s=1.5) as member:
        await lease_of(member, input_tokens=100)
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        await asyncio.sleep(1.2)
        status = (await member.status())["p"]
        assert status["leases"] == 1
        assert status["domains"]["d-k0"]["lanes"]["*"][0]["level"] <= -80


async def test_script_flush_is_invisible(own_server, namespace):
    """NOSCRIPT: the same call again, with the source."""
    server = own_server()
    async with fleet(server.url, namespace, limits(slots=5)) as member:
        await lease_of(member)
        with redis.Redis.from_url(server.url) as client:
            client.script_flush()
        await lease_of(member)


async def test_a_wrong_password_says_so(own_server, namespace):
    """Redis that refuses us: one message with the place, no secret in it."""
    server = own_server(password="made-up-right-password")
    url = server.url.replace("made-up-right-password", "made-up-wrong-password")
    async with fleet(url, namespace, limits(slots=1)) as member:
        with pytest.raises(CoordinationError, match="password") as caught:
            await take(member, timeout_s=0.5)
        assert "made-up" not in str(caught.value)
