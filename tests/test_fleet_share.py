"""Redis stops, dies or slows down under a running fleet, and each process goes on with its part."""

from __future__ import annotations

import asyncio
import re
import time
from itertools import pairwise

import pytest

from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Bucket
from llm_fleet.errors import CoordinationError
from tests.absences import DONE, back, is_alone, place_of, placed, state_of, until
from tests.fault_proxy import late, proxy_to, whole
from tests.fleets import fleet, lease_of, limits, line_of, requests, run_member, take


async def test_a_frozen_redis_costs_the_first_call_a_quarter_of_a_second(own_server, namespace):
    """Then calls are served at once, and when it goes on it knows what was spent and what is in flight."""
    server = own_server()
    pool = limits(requests(6_000), slots=4)
    async with fleet(server.url, namespace, pool, on_redis_down="share") as member:
        await placed(member)
        server.freeze()
        started = time.monotonic()
        held = await lease_of(member)
        assert 0.15 < time.monotonic() - started < 0.6
        started = time.monotonic()
        for _ in range(5):
            (await lease_of(member)).settle(DONE)
        assert time.monotonic() - started < 0.2
        assert await held.ready()
        server.thaw()
        await back(member)
        assert (await state_of(member))["leases"] == 1
        assert await held.ready()
        held.settle(DONE)
        await asyncio.sleep(0.1)
        assert (await state_of(member))["leases"] == 0


async def test_processes_together_use_the_limit_and_no_more(own_server, namespace):
    """Three processes, 20 requests a second: before, while and after Redis stands still it is these 20."""
    server = own_server()
    members = [run_member(server.url, namespace, "spend", "5", "1200") for _ in range(3)]
    assert [await line_of(member) for member in members] == ["ready"] * 3
    await asyncio.sleep(1.5)
    server.freeze()
    frozen = time.time()
    await asyncio.sleep(2.0)
    server.thaw()
    thawed = time.time()
    lines = [await line_of(member) for member in members]
    times = sorted(float(at) for line in lines for at in line.split())
    for member in members:
        member.communicate(timeout=10)
    alone = sum(frozen < at < thawed for at in times)
    assert 24 <= alone <= 20 * (thawed - frozen) + 3, "20 a second, from empty buckets"
    counts = [sum(first <= at < first + 1 for at in times) for first in times]
    assert max(counts) <= 42, "in a second a full bucket and a second's refill, no more"
    last = [at for at in times if at > thawed]
    assert max(later - at for at, later in pairwise(last)) < 1.0


async def test_a_redis_that_always_answers_late_is_as_good_as_none(own_server, namespace):
    """What it grants meanwhile goes back; when it is quick again nothing is left behind."""
    server = own_server()
    async with proxy_to(server) as proxy:
        pool = limits(requests(600, burst_ms=1_000), slots=5)
        async with fleet(proxy.url, namespace, pool, on_redis_down="share") as member:
            await placed(member)
            proxy.spoil = late(0.4)
            started = time.monotonic()
            for _ in range(20):
                (await lease_of(member)).settle(DONE)
            assert 1.5 < time.monotonic() - started < 4.0
            assert is_alone(member)
            proxy.spoil = whole
            await back(member)
            state = await state_of(member)
            assert (state["leases"], state["waiting"]) == (0, 0)
            await lease_of(member)


async def test_a_call_too_large_for_the_part_waits_and_is_told_why(own_server, namespace):
    """Its error names the part; what is small enough goes meanwhile."""
    server = own_server()
    pool = limits(Bucket("input_tokens", 6_000, jitter_ms=0))
    async with (
        fleet(server.url, namespace, pool, on_redis_down="share") as other,
        fleet(server.url, namespace, pool, on_redis_down="share") as member,
    ):
        await placed(other)
        await placed(member)
        await until(lambda: place_of(member).processes == 2)
        server.freeze()
        waiting = asyncio.create_task(take(member, input_tokens=3_100, timeout_s=1.5))
        await lease_of(member, input_tokens=20)
        with pytest.raises(CoordinationError) as caught:
            await waiting
        said = str(caught.value)
        assert "not answered for 0.2 s; its part of the limits, as one of 2 processes, is too small" in said
        assert "(3100 input and at most 10 output tokens)" in said
        server.thaw()


async def test_who_was_never_told_its_place_waits(own_server, namespace):
    """Its error says so."""
    server = own_server()
    server.freeze()
    async with fleet(server.url, namespace, limits(slots=5), on_redis_down="share") as member:
        with pytest.raises(
            CoordinationError, match="its place in the fleet is not known yet, so it only waits"
        ):
            await take(member, timeout_s=1.0)
        server.thaw()
        await lease_of(member)


async def test_open_lets_everything_go(own_server, namespace):
    """No limits, and no wait but the first quarter of a second."""
    server = own_server()
    async with fleet(server.url, namespace, limits(requests(6), slots=1), on_redis_down="open") as member:
        await placed(member)
        server.freeze()
        leases = [await lease_of(member, timeout_s=1.0) for _ in range(20)]
        assert "without limits" in member.absences()["p"]
        for lease in leases:
            lease.settle(DONE)
        server.thaw()
        await back(member)
        assert (await state_of(member))["domains"]["d-k0"]["lanes"]["*"][0]["level"] <= 0


async def test_a_busy_process_does_not_take_its_own_delay_for_an_absence(own_server, namespace):
    """The I/O loop stood still for longer than Redis may: the answer was there all the time."""
    async with fleet(own_server().url, namespace, limits(slots=5), on_redis_down="share") as member:
        await placed(member)
        desk = member.runtime().desks["p"]
        waiting = asyncio.create_task(take(member))
        await asyncio.sleep(0)
        member.runtime().io.submit(lambda: time.sleep(0.6))
        assert isinstance(await waiting, Lease)
        assert not desk.away.is_active
        assert desk.away.telling.offer() == []


async def test_a_process_without_redis_is_ready_and_says_why(own_server, namespace, caplog):
    """No fault for probes; `absences` and the log tell what it does."""
    server = own_server()
    async with fleet(server.url, namespace, limits(requests(600)), on_redis_down="share") as member:
        await placed(member)
        server.kill()
        await lease_of(member)
        assert member.faults() == {}
        assert re.search(
            r"nobody listens there.*; this process goes on with its part of the limits, as one of 1 processes",
            member.absences()["p"],
        )
        server.restart()
        await back(member)
        assert member.absences() == {}
    told = [record.getMessage().split(":")[0] for record in caplog.records if "redis" in record.getMessage()]
    assert told[:2] == ["llm_fleet.redis.lost", "llm_fleet.redis.back"]
    assert "1 requests went without it" in caplog.text


async def test_a_lease_that_ran_out_meanwhile_is_given_up_at_once(own_server, namespace):
    """Granted before Redis stopped, not sent within its TTL: nobody can say whether it is alive."""
    server = own_server()
    async with fleet(server.url, namespace, limits(slots=5), ttl_s=1.0, on_redis_down="share") as member:
        await placed(member)
        old = await lease_of(member)
        server.freeze()
        await lease_of(member)
        await asyncio.sleep(1.1)
        started = time.monotonic()
        assert not await old.ready()
        assert time.monotonic() - started < 0.3
        server.thaw()
