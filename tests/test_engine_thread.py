"""Handing work between threads: in order, in batches, and never held up by a busy or closed loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from llm_fleet.engine.deadlines import Deadlines
from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.operations import Waiter
from llm_fleet.engine.thread import IoThread
from llm_fleet.engine.values import Denial, Need, Settlement
from llm_fleet.store import StoreOptions
from tests.fleets import fleet, lease_of, limits, take


@pytest.fixture
def io() -> Iterator[IoThread]:
    """An I/O thread, ended at the end."""
    running = IoThread("test-io")
    yield running
    running.close()


def compute() -> None:
    """Keeps its loop busy for a second."""
    time.sleep(1.0)


async def test_work_of_one_turn_arrives_together_and_in_order(io: IoThread) -> None:
    """What a loop's tasks submit in one turn is run in its order, in one turn of the I/O loop."""
    turns: list[tuple[int, int]] = []
    turn = 0

    def count() -> None:
        nonlocal turn
        turn += 1
        io.loop.call_soon(count)

    io.loop.call_soon_threadsafe(count)
    for number in range(100):
        io.submit(lambda number=number: turns.append((number, turn)))
    while len(turns) < 100:
        await asyncio.sleep(0.001)
    assert [number for number, _ in turns] == list(range(100))
    assert len({turn for _, turn in turns}) == 1


async def test_a_busy_loop_holds_up_nobody_elses_work(io: IoThread) -> None:
    """A thread's work does not wait for the wake-up of a loop that is busy after its own."""
    done = threading.Event()
    io.submit(lambda: None)  # its wake-up comes at the end of this turn
    threading.Thread(target=io.submit, args=(done.set,)).start()
    assert done.wait(1.0)  # this turn has not ended


async def test_a_settle_of_a_loop_that_is_busy_afterwards_is_not_held_up(
    redis_url: str, namespace: str
) -> None:
    """Computing for a long time after settle() does not keep the slot from the others."""
    async with fleet(redis_url, namespace, limits(slots=1)) as member:
        lease = await lease_of(member)
        took: list[float] = []

        async def other() -> None:
            async with fleet(redis_url, namespace, limits(slots=1)) as another:
                ready.set()
                await lease_of(another)
                took.append(time.monotonic())

        ready = threading.Event()
        thread = threading.Thread(target=asyncio.run, args=(other(),))
        thread.start()
        await asyncio.to_thread(ready.wait)
        await asyncio.sleep(0.1)
        settled = time.monotonic()
        lease.settle(Settlement(1, 1))
        compute()
        await asyncio.to_thread(thread.join)
        assert took[0] - settled < 0.5


def test_a_settle_as_the_last_act_of_a_loop_is_sent(redis_url: str, namespace: str) -> None:
    """asyncio.run() may end in the same turn: the next loop finds the slot free."""
    member = Fleet(StoreOptions(redis_url), namespace, {"p": limits(slots=1)})

    async def last_act() -> None:
        (await lease_of(member)).settle(Settlement(1, 1))

    async def end() -> None:
        assert isinstance(await take(member, timeout_s=1), Lease)
        await member.close()

    for _ in range(5):
        asyncio.run(last_act())
    asyncio.run(end())


async def test_waits_end_each_at_its_own_deadline(redis_url: str, namespace: str) -> None:
    """One timer serves all: deadlines that come in any order are all kept."""
    async with fleet(redis_url, namespace, limits(slots=1)) as member:
        await lease_of(member)
        started = time.monotonic()

        async def wait(timeout_s: float) -> float:
            assert isinstance(await take(member, timeout_s=timeout_s), Denial)
            return time.monotonic() - started - timeout_s

        late = await asyncio.gather(*(wait(timeout_s) for timeout_s in (0.5, 0.1, 0.3, 0.2, 0.4)))
        assert all(0 <= seconds < 0.2 for seconds in late), late


async def test_deadlines_that_are_over_are_forgotten() -> None:
    """Waits that ended before their deadline leave nothing behind; the others are still called."""
    deadlines, called = Deadlines(), []
    loop = asyncio.get_running_loop()
    waiters = [
        Waiter(Lease(None, str(n), Need("*", 1, 1), loop), loop.create_future(), 0.0) for n in range(9)
    ]
    for waiter in waiters:
        deadlines.add(time.monotonic() + 0.02, called.append, waiter)
        waiter.is_done = waiter is not waiters[4]
    deadlines.forget(lambda waiter: waiter.is_done)
    assert len(deadlines) == 1
    await asyncio.sleep(0.05)
    assert called == [waiters[4]]


async def test_nobody_reads_a_mailbox_while_nothing_is_queued(redis_url: str, namespace: str) -> None:
    """Lives that never wait cost their steps and nothing else: no blocking pop, no connection for it."""
    async with fleet(redis_url, namespace, limits(slots=10)) as member:
        with redis.Redis.from_url(redis_url) as client:
            client.config_resetstat()
            for _ in range(20):
                (await lease_of(member)).settle(Settlement(1, 1))
            assert "cmdstat_blpop" not in client.info("commandstats")
