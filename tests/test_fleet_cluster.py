"""A fleet on a real Redis Cluster: pools on every node, waits, deaths, and slots that move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Denial, Need, PoolLimits, Settlement
from llm_fleet.store import StoreOptions
from tests.clusters import Cluster, cluster
from tests.fleets import limits, line_of, requests, run_member

__all__ = ["cluster"]

NEED = Need("*", 10, 10)


def spread(cluster: Cluster, namespace: str) -> list[str]:
    """The name of a pool for each node."""
    names: dict[int, str] = {}
    for number in range(100):
        names.setdefault(cluster.owner(tag(namespace, f"pool{number}")), f"pool{number}")
    return [names[node] for node in sorted(names)]


def tag(namespace: str, pool: str) -> str:
    return f"{{{namespace}:{pool}}}:pool"


@asynccontextmanager
async def member(
    cluster: Cluster, namespace: str, *pools: PoolLimits, **options: float
) -> AsyncIterator[Fleet]:
    """A process of a fleet with these pools."""
    opened = Fleet(StoreOptions(cluster.url, **options), namespace, {pool.pool: pool for pool in pools})
    try:
        yield opened
    finally:
        await opened.close()


async def take(fleet: Fleet, pool: str, *, timeout_s: float = 10.0) -> Lease | Denial:
    return await fleet.pool(pool).enqueue(NEED, timeout_s=timeout_s)


async def test_pools_live_on_different_nodes(cluster: Cluster, namespace: str) -> None:
    """Each pool is where its hash tag says; grants, status and settles work on all at once."""
    names = spread(cluster, namespace)
    assert len(names) == 3
    async with member(cluster, namespace, *(replace(limits(slots=5), pool=name) for name in names)) as fleet:
        leases = await asyncio.gather(*(take(fleet, name) for name in names for _ in range(5)))
        assert all(isinstance(lease, Lease) for lease in leases)
        status = await fleet.status()
        assert [status[name]["leases"] for name in names] == [5, 5, 5]
        for node, name in enumerate(names):
            assert cluster.clients[node].exists(tag(namespace, name))


async def test_waiters_on_every_node_are_woken(cluster: Cluster, namespace: str) -> None:
    """A slot that comes free in another process reaches the waiter by its mailbox, on each node."""
    names = spread(cluster, namespace)
    pools = [replace(limits(slots=1), pool=name) for name in names]
    async with member(cluster, namespace, *pools) as one, member(cluster, namespace, *pools) as other:
        held = [await take(one, name) for name in names]
        waiting = [asyncio.create_task(take(other, name)) for name in names]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in waiting)
        started = time.monotonic()
        for lease in held:
            assert isinstance(lease, Lease)
            lease.settle(Settlement(1, 1))
        assert all(isinstance(lease, Lease) for lease in await asyncio.gather(*waiting))
        assert time.monotonic() - started < 0.5


async def test_a_killed_process_blocks_nobody(cluster: Cluster, namespace: str) -> None:
    """SIGKILL with 300 tickets queued: the next grant to another within a second."""
    dead = run_member(cluster.url, namespace, "queue", "300", "600")
    try:
        assert await line_of(dead) == "queued"
        async with member(cluster, namespace, limits(requests(600, burst_ms=1000))) as fleet:
            assert not isinstance(await take(fleet, "p", timeout_s=0), Lease)
            dead.kill()
            started = time.monotonic()
            assert isinstance(await take(fleet, "p"), Lease)
            assert time.monotonic() - started < 1.5
    finally:
        dead.kill()
        dead.communicate()


@pytest.mark.parametrize("move", [Cluster.move, Cluster.move_at_once])
async def test_a_pool_moves_to_another_node_under_load(
    move: Callable[[Cluster, str, int], None], cluster: Cluster, namespace: str
) -> None:
    """While a pool's slot migrates no call fails, and no request is granted beyond the limit."""
    name = spread(cluster, namespace)[0]
    pool, granted, moved = replace(limits(requests(1000), slots=8), pool=name), 0, asyncio.Event()
    async with member(cluster, namespace, pool) as fleet:

        async def live(until: asyncio.Event, timeout_s: float) -> None:
            nonlocal granted
            while not until.is_set() and isinstance(
                lease := await take(fleet, name, timeout_s=timeout_s), Lease
            ):
                granted += 1
                await asyncio.sleep(0.005)
                lease.settle(Settlement(10, 10))

        started = time.monotonic()
        lives = [asyncio.create_task(live(moved, 20)) for _ in range(16)]
        for to in (1, 2, 0):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(move, cluster, tag(namespace, name), to)
        moved.set()
        await asyncio.gather(*lives)
        await asyncio.gather(*(live(asyncio.Event(), 0) for _ in range(8)))
        assert 1000 <= granted <= 1000 + 1 + (time.monotonic() - started) * 1000 / 60
    assert cluster.owner(tag(namespace, name)) == 0


async def test_a_waiter_is_woken_on_the_node_that_its_pool_moved_to(cluster: Cluster, namespace: str) -> None:
    """The blocking pop follows the mailbox; the ticket keeps its place."""
    name = spread(cluster, namespace)[1]
    async with member(cluster, namespace, replace(limits(slots=1), pool=name)) as fleet:
        held = await take(fleet, name)
        assert isinstance(held, Lease)
        waiting = asyncio.create_task(take(fleet, name))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(cluster.move, tag(namespace, name), 2)
        held.settle(Settlement(1, 1))
        assert isinstance(await asyncio.wait_for(waiting, 3), Lease)


async def test_a_move_that_takes_its_time_only_delays(cluster: Cluster, namespace: str) -> None:
    """With half of a pool's keys on each node calls wait, and go on when all are on one."""
    name = spread(cluster, namespace)[2]
    key = tag(namespace, name)
    async with member(cluster, namespace, replace(limits(slots=4), pool=name)) as fleet:
        first = await take(fleet, name)
        assert isinstance(first, Lease)
        await asyncio.to_thread(cluster.begin_move, key, 0)
        calls = [asyncio.create_task(take(fleet, name)) for _ in range(3)]
        await asyncio.sleep(0.3)
        await asyncio.to_thread(cluster.move_keys, key, 0)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(cluster.end_move, key, 0)
        leases = await asyncio.gather(*calls)
        assert all(isinstance(lease, Lease) for lease in leases)
        assert (await fleet.status())[name]["leases"] == 4


async def test_a_master_that_restarts_empty_is_survived(cluster: Cluster, namespace: str) -> None:
    """Its pool comes back with its leases asserted again, while the pools of other nodes go on."""
    names = spread(cluster, namespace)
    async with member(cluster, namespace, *(replace(limits(slots=2), pool=name) for name in names)) as fleet:
        held = [await take(fleet, name) for name in names]
        await asyncio.to_thread(cluster.nodes[1].restart)
        assert isinstance(await take(fleet, names[0], timeout_s=0.5), Lease)
        assert isinstance(await take(fleet, names[1]), Lease)
        status = await fleet.status()
        assert status[names[1]]["leases"] == 2
        for lease in held:
            assert isinstance(lease, Lease)
            assert await lease.ready()


async def test_a_frozen_node_holds_up_only_its_own_pools(cluster: Cluster, namespace: str) -> None:
    """Calls to the pools of other nodes go on while one is silent; its own go on when it is back."""
    names = spread(cluster, namespace)
    pools = [replace(limits(slots=5), pool=name) for name in names]
    async with member(cluster, namespace, *pools, command_timeout_s=0.2, connect_timeout_s=1.0) as fleet:
        for name in names:
            assert isinstance(await take(fleet, name), Lease)
        cluster.nodes[0].freeze()
        stuck = asyncio.create_task(take(fleet, names[0], timeout_s=8))
        ends, longest = time.monotonic() + 1.5, 0.0
        while (started := time.monotonic()) < ends:
            lease = await take(fleet, names[1], timeout_s=2)
            longest = max(longest, time.monotonic() - started)
            assert isinstance(lease, Lease)
            lease.settle(Settlement(1, 1))
            await asyncio.sleep(0.01)
        cluster.nodes[0].thaw()
        assert longest < 0.7
        assert isinstance(await stuck, Lease)
