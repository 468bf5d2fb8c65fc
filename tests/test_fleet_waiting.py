"""How tasks of one process wait, through the real engine and a real server."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time

import pytest
import redis

from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Bucket, Denial, Settlement
from llm_fleet.errors import ManagerClosed
from tests.fleets import fleet, lease_of, limits, requests, take


async def test_four_hundred_tasks_pass_a_limit_of_one_hundred_only_one_hundred_at_a_time(
    redis_url, namespace
):
    """400 simultaneous tasks on 100 slots: none fails, none passes early."""
    running = peak = 0

    async def work(member):
        nonlocal running, peak
        lease = await lease_of(member)
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.05)
        running -= 1
        lease.settle(Settlement(1, 1))

    async with fleet(redis_url, namespace, limits(slots=100)) as member:
        await asyncio.gather(*(work(member) for _ in range(400)))
    assert peak == 100


async def test_a_burst_is_granted_at_once_and_the_rest_at_the_rate(redis_url, namespace):
    """Burst 5 at 600 a minute: 15 grants need one second, and not more than a little."""
    async with fleet(redis_url, namespace, limits(requests(600, burst_ms=500))) as member:
        started = time.monotonic()
        await asyncio.gather(*(lease_of(member) for _ in range(15)))
        assert 0.95 <= time.monotonic() - started < 1.3


async def test_a_wait_of_zero_is_denied_with_what_binds(redis_url, namespace):
    """queue_timeout=0 answers at once, with the resource and when to try again."""
    async with fleet(redis_url, namespace, limits(requests(60, burst_ms=1000))) as member:
        await lease_of(member)
        denial = await take(member, timeout_s=0)
        assert isinstance(denial, Denial)
        assert (denial.reason, denial.resource, denial.limit) == ("timeout", "requests_per_minute", 60)
        assert denial.retry_after_s is not None
        assert 0.5 < denial.retry_after_s <= 1.0


async def test_a_deadline_ends_the_wait_and_tells_the_position(redis_url, namespace):
    """The second in the queue is told position 1 when its time is over."""
    async with fleet(redis_url, namespace, limits(slots=1)) as member:
        await lease_of(member)
        started = time.monotonic()
        head, second = await asyncio.gather(take(member, timeout_s=0.4), take(member, timeout_s=0.2))
        assert isinstance(head, Denial)
        assert isinstance(second, Denial)
        assert (head.position, second.position) == (0, 1)
        assert time.monotonic() - started < 0.9


async def test_a_cancelled_wait_leaves_nothing_and_the_next_goes_on(redis_url, namespace):
    """Cancelling a task withdraws its ticket, in Redis too."""
    async with fleet(redis_url, namespace, limits(slots=1)) as member:
        lease = await lease_of(member)
        waiting = asyncio.create_task(take(member))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        lease.settle(Settlement(1, 1))
        await lease_of(member)
        status = (await member.status())["p"]
        assert (status["waiting"], status["leases"]) == (0, 1)


async def test_an_unsent_lease_returns_all_that_it_took(redis_url, namespace):
    """cancel() gives the request and the tokens back."""
    tokens = Bucket("input_tokens", 100, jitter_ms=0, rule="at_start_adjust")
    async with fleet(redis_url, namespace, limits(requests(1), tokens)) as member:
        (await lease_of(member, input_tokens=100)).cancel()
        again = await take(member, timeout_s=1, input_tokens=100)
        assert isinstance(again, Lease)


async def test_a_need_above_the_limit_is_refused_and_one_above_the_capacity_goes_into_debt(
    redis_url, namespace
):
    """More than the limit can never go; more than a full bucket waits for a full one."""
    tokens = Bucket("input_tokens", 6000, burst_ms=1000, jitter_ms=0, rule="at_start_adjust")
    async with fleet(redis_url, namespace, limits(tokens)) as member:
        never = await take(member, input_tokens=6001)
        assert isinstance(never, Denial)
        assert (never.reason, never.need, never.limit) == ("too_large", 6001, 6000)
        await lease_of(member, input_tokens=300)
        level = (await member.status())["p"]["domains"]["d-k0"]["lanes"]["*"][0]["level"]
        assert -200 <= level <= -150


async def test_steps_are_coalesced(redis_url, namespace):
    """100 simultaneous lives take far fewer than 200 steps."""
    async with fleet(redis_url, namespace, limits(requests(60_000))) as member:

        async def life():
            (await lease_of(member)).settle(Settlement(1, 1))

        await life()
        with redis.Redis.from_url(redis_url) as client:
            client.config_resetstat()
            await asyncio.gather(*(life() for _ in range(300)))
            await asyncio.sleep(0.1)
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] <= 20


async def test_a_lease_is_kept_while_the_users_loop_is_busy(redis_url, namespace):
    """Heartbeats do not run on the user's loop: blocking it for longer than the TTL loses nothing."""
    async with fleet(redis_url, namespace, limits(slots=1), ttl_s=1.0) as member:
        lease = await lease_of(member)
        time.sleep(2.0)  # noqa: ASYNC251
        assert await lease.ready()
        status = (await member.status())["p"]
        assert status["leases"] == 1


def test_a_closed_loop_leaks_no_lease(redis_url, namespace):
    """asyncio.run() ends while leases and tickets are out: they are given back."""
    from llm_fleet.engine.fleet import Fleet
    from llm_fleet.store import StoreOptions

    member = Fleet(StoreOptions(redis_url), namespace, {"p": limits(slots=1)})

    async def abandon():
        await lease_of(member)
        asyncio.create_task(take(member))  # noqa: RUF006
        await asyncio.sleep(0.05)

    async def again():
        await lease_of(member, timeout_s=3)
        await member.close()

    asyncio.run(abandon())
    asyncio.run(again())


async def test_closing_tells_who_waits(redis_url, namespace):
    """close() ends every wait with ManagerClosed; so does a call after it."""
    async with fleet(redis_url, namespace, limits(slots=1)) as member:
        await lease_of(member)
        waiting = asyncio.create_task(take(member))
        await asyncio.sleep(0.1)
        await member.close()
        with pytest.raises(ManagerClosed, match="closed"):
            await waiting
        with pytest.raises(ManagerClosed, match="get_llm_manager"):
            await take(member)


async def test_ten_thousand_lives_leave_nothing_behind(redis_url, namespace):
    """No task, thread, file descriptor or Redis connection grows with the number of calls."""
    async with fleet(redis_url, namespace, limits(slots=200)) as member:

        async def life():
            (await lease_of(member)).settle(Settlement(1, 1))

        await asyncio.gather(*(life() for _ in range(300)))
        gc.collect()
        before = (len(os.listdir("/proc/self/fd")), threading.active_count(), len(asyncio.all_tasks()))
        for _ in range(33):
            await asyncio.gather(*(life() for _ in range(300)))
        gc.collect()
        assert (
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            len(asyncio.all_tasks()),
        ) == before
        with redis.Redis.from_url(redis_url) as client:
            assert len(client.client_list()) <= 4


async def test_a_grant_that_meets_a_cancellation_is_given_back(redis_url, namespace):
    """Cancelled at any moment around the grant: the slot is free again every time."""
    async with fleet(redis_url, namespace, limits(slots=1)) as member:
        await (lease := await lease_of(member)).ready()
        lease.cancel()
        for turn in range(60):
            task = asyncio.create_task(take(member))
            await asyncio.sleep(turn * 0.00005)
            task.cancel()
            outcome = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(outcome, Lease):
                outcome.cancel()
        await lease_of(member, timeout_s=2)
