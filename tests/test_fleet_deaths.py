"""Processes that die, stop or fork while they hold or wait for leases."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Settlement
from tests.fleets import fleet, lease_of, limits, line_of, requests, run_member, take


@pytest.fixture
def member_process(redis_url, namespace):
    """Starts tests/fleet_member.py; ended at the end."""
    started = []

    def start(*arguments: object):
        started.append(run_member(redis_url, namespace, *map(str, arguments)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


async def test_slots_of_a_killed_process_are_back_within_one_ttl(redis_url, namespace, member_process):
    """SIGKILL while holding every slot: another process gets one within the TTL."""
    holder = member_process("hold", 2, 2, 1.5)
    assert await line_of(holder) == "holding"
    async with fleet(redis_url, namespace, limits(slots=2), ttl_s=1.5) as member:
        holder.kill()
        started = time.monotonic()
        await lease_of(member, timeout_s=5)
        assert time.monotonic() - started < 1.5 + 1.0


async def test_nine_hundred_tickets_of_a_killed_process_delay_nobody(redis_url, namespace, member_process):
    """SIGKILL with 900 queued: the next grant to another within a second, one grant lost at most."""
    dead = member_process("queue", 900, 600)
    assert await line_of(dead) == "queued"
    async with fleet(redis_url, namespace, limits(requests(600, burst_ms=1000))) as member:
        assert not isinstance(await take(member, timeout_s=0), Lease)
        dead.kill()
        started = time.monotonic()
        await lease_of(member, timeout_s=5)
        assert time.monotonic() - started < 1.0
        await asyncio.gather(*(lease_of(member, timeout_s=10) for _ in range(20)))
        assert time.monotonic() - started < 4.0


async def test_the_tickets_of_a_dead_process_are_dropped(redis_url, namespace, member_process):
    """Some seconds after a SIGKILL nothing of it is queued any more."""
    dead = member_process("queue", 250, 60)
    assert await line_of(dead) == "queued"
    async with fleet(redis_url, namespace, limits(requests(60, burst_ms=1000))) as member:
        dead.kill()
        waiting = asyncio.create_task(take(member, timeout_s=20))
        async with asyncio.timeout(12):
            while (await member.status())["p"]["waiting"] > 1:
                await asyncio.sleep(0.2)
        waiting.cancel()


async def test_a_process_stopped_past_its_ttl_does_not_send(redis_url, namespace):
    """A lease that nobody renewed is found gone before the send; a new ticket works."""
    async with fleet(redis_url, namespace, limits(slots=1), ttl_s=0.6) as member:
        lease = await lease_of(member)
        runtime = member.runtime()
        runtime.io.loop.call_soon_threadsafe(time.sleep, 1.5)
        async with fleet(redis_url, namespace, limits(slots=1), ttl_s=0.6) as other:
            taken = await lease_of(other, timeout_s=3)
            assert not await lease.ready()
            taken.settle(Settlement(1, 1))
        lease.cancel()
        await lease_of(member, timeout_s=3)


async def test_a_stopped_waiter_keeps_its_place_and_blocks_nobody(redis_url, namespace, member_process):
    """SIGSTOP of a queued process: others go on; after SIGCONT it is served again."""
    stopped = member_process("queue", 3, 120)
    assert await line_of(stopped) == "queued"
    async with fleet(redis_url, namespace, limits(requests(120, burst_ms=1000))) as member:
        os.kill(stopped.pid, signal.SIGSTOP)
        await asyncio.gather(*(lease_of(member, timeout_s=5) for _ in range(3)))
        os.kill(stopped.pid, signal.SIGCONT)
        assert await asyncio.to_thread(stopped.wait, 8) == 0


async def test_a_grant_that_nobody_reads_goes_to_the_next(redis_url, namespace):
    """Its process neither reads nor calls: the slot goes on at once, and the process is served later."""
    pool = limits(slots=1)
    async with fleet(redis_url, namespace, pool) as deaf, fleet(redis_url, namespace, pool) as member:
        lease = await lease_of(member)
        waiting = [asyncio.create_task(take(deaf, timeout_s=20)) for _ in range(2)]
        await asyncio.sleep(0.2)
        runtime = deaf.runtime()
        runtime.io.loop.call_soon_threadsafe(runtime._tasks[0].cancel)
        await asyncio.sleep(0.1)
        runtime.io.loop.call_soon_threadsafe(time.sleep, 2.0)
        lease.settle(Settlement(1, 1))
        started = time.monotonic()
        await asyncio.sleep(0.05)
        second = await lease_of(member, timeout_s=5)
        assert time.monotonic() - started < 1.5
        await asyncio.sleep(1.5)
        second.settle(Settlement(1, 1))
        for served in asyncio.as_completed(waiting):
            (await served).settle(Settlement(1, 1))


def test_a_forked_child_joins_as_a_process_of_its_own(redis_url, namespace):
    """After a fork with a live engine both sides go on, neither hangs."""

    async def in_child(member):
        await lease_of(member, timeout_s=3)
        await member.close()

    async def in_parent(member):
        lease = await lease_of(member)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asyncio.run(in_child(member)) if False else _run_in_new_loop(in_child, member)
                code = 0
            finally:
                os._exit(code)
        assert lease.fence == 1
        status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status[1]) == 0
        await lease_of(member)

    async def run():
        async with fleet(redis_url, namespace, limits(slots=5)) as member:
            await in_parent(member)

    asyncio.run(run())


def _run_in_new_loop(work, member):
    asyncio._set_running_loop(None)
    asyncio.run(work(member))
