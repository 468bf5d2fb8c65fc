"""Redis is back: it hears what went without it, what is in flight, what is paused and out of service."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.values import Bucket, Settlement, Throttle
from llm_fleet.errors import CoordinationError
from tests.absences import DONE, back, is_alone, placed, state_of, until
from tests.fleets import fleet, lease_of, limits, requests, take


async def test_a_dead_redis_costs_nothing_and_one_without_data_hears_of_it(own_server, namespace):
    """Nobody listens any more: that is known at once. The new server counts what is in flight."""
    server = own_server()
    pool = limits(requests(600, burst_ms=6_000), slots=4)
    async with fleet(server.url, namespace, pool, on_redis_down="share") as member:
        await placed(member)
        server.kill()
        started = time.monotonic()
        held = await lease_of(member)
        assert time.monotonic() - started < 0.6
        server.restart()
        await back(member)
        state = await state_of(member)
        assert state["leases"] == 1
        assert state["domains"]["d-k0"]["lanes"]["*"][0]["level"] <= 20
        held.settle(DONE)


async def test_a_full_redis_is_as_good_as_none(own_server, namespace):
    """It answers, and refuses to write: calls go on with the part until there is room again."""
    server = own_server()
    pool = limits(requests(600, burst_ms=1_000))
    async with fleet(server.url, namespace, pool, on_redis_down="share") as member:
        await placed(member)
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", 1)
            started = time.monotonic()
            leases = [await lease_of(member) for _ in range(20)]
            assert 1.0 < time.monotonic() - started < 4.0
            assert "is full" in member.absences()["p"]
            client.config_set("maxmemory", 0)
        await back(member)
        assert (await state_of(member))["leases"] == 20
        for lease in leases:
            lease.settle(DONE)


async def test_what_was_spent_lacks_when_redis_is_back(own_server, namespace):
    """1,500 tokens went without it: that many are missing from the level."""
    server = own_server()
    pool = limits(requests(60_000), Bucket("input_tokens", 60_000, jitter_ms=0))
    async with fleet(server.url, namespace, pool, on_redis_down="share") as member:
        await placed(member)
        server.freeze()
        for _ in range(10):
            (await lease_of(member, input_tokens=150)).settle(Settlement(150, 1))
        server.thaw()
        thawed = time.monotonic()
        await back(member)
        tokens = (await state_of(member))["domains"]["d-k0"]["lanes"]["*"][1]
        refilled = 1_000 * (time.monotonic() - thawed)
        assert 58_500 <= tokens["level"] <= 58_500 + refilled + 1


async def test_tickets_served_without_redis_are_cancelled_there(own_server, namespace):
    """Three were queued in Redis when it stopped, and went: it must not grant them again."""
    server = own_server()
    pool = limits(requests(600, burst_ms=1_000), slots=13)
    async with fleet(server.url, namespace, pool, on_redis_down="share") as member:
        await placed(member)
        waiting = [asyncio.create_task(take(member)) for _ in range(13)]
        await asyncio.sleep(0.3)
        server.freeze()
        leases = await asyncio.gather(*waiting)
        assert is_alone(member)
        assert len({lease.ticket for lease in leases}) == 13
        server.thaw()
        await back(member)
        assert [(await state_of(member))[name] for name in ("leases", "waiting")] == [13, 0]
        for lease in leases:
            lease.settle(DONE)
        await asyncio.sleep(0.2)
        assert [(await state_of(member))[name] for name in ("leases", "waiting")] == [0, 0]


async def test_a_429_meanwhile_pauses_the_fleet_afterwards(own_server, namespace):
    """The domain is paused here at once, and for all others when Redis is back."""
    server = own_server()
    async with fleet(server.url, namespace, limits(requests(6_000)), on_redis_down="share") as member:
        await placed(member)
        server.freeze()
        lease = await lease_of(member)
        lease.mark_sent()
        lease.settle(Settlement(0, 0, Throttle(4.0, "requests")))
        with pytest.raises(CoordinationError):
            await take(member, timeout_s=0.5)
        server.thaw()
        await back(member)
        assert 500 < (await state_of(member))["domains"]["d-k0"]["paused_ms"] <= 4_000


async def test_a_key_refused_meanwhile_is_out_of_service_for_all_afterwards(own_server, namespace):
    """It is not used here from then on, and Redis hears of it when it is back."""
    server = own_server()
    async with fleet(server.url, namespace, limits(requests(6_000), keys=2), on_redis_down="share") as member:
        await placed(member)
        server.kill()
        await lease_of(member)
        await member.pool("p").pause_key("k0", reason="401 made up")
        assert {(await lease_of(member)).key_id for _ in range(5)} == {"k1"}
        server.restart()
        await back(member)
        await until(lambda: k0_is_out(member))


async def test_a_key_refused_as_redis_stops_is_told_afterwards_too(own_server, namespace):
    """Nobody had noticed yet when the key was to be taken out: that is not lost."""
    server = own_server()
    async with fleet(server.url, namespace, limits(requests(6_000), keys=2), on_redis_down="share") as member:
        await placed(member)
        server.freeze()
        refused = asyncio.create_task(member.pool("p").pause_key("k0", reason="401 made up"))
        await lease_of(member)
        await refused
        assert {(await lease_of(member)).key_id for _ in range(5)} == {"k1"}
        server.thaw()
        await back(member)
        await until(lambda: k0_is_out(member))


async def k0_is_out(member: Fleet) -> bool:
    return (await state_of(member))["keys"]["k0"].get("reason") == "401 made up"


async def test_a_process_that_ends_while_redis_is_back_tells_what_it_spent(own_server, namespace):
    """It closes before its absence is over: the level lacks it all the same."""
    server = own_server()
    pool = limits(Bucket("input_tokens", 60_000, jitter_ms=0))
    async with fleet(server.url, namespace, pool) as other:
        await lease_of(other)
        async with fleet(server.url, namespace, pool, on_redis_down="share") as member:
            await placed(member)
            server.freeze()
            (await lease_of(member, input_tokens=300)).settle(Settlement(300, 1))
            server.thaw()
        level = (await state_of(other))["domains"]["d-k0"]["lanes"]["*"][0]["level"]
        assert level <= 59_700 + 1_000 * 0.5
