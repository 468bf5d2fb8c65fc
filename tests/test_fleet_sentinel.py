"""A fleet behind Sentinel: the master dies, the replica takes over, and the fleet goes on there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.values import Settlement
from tests.fleets import fleet, lease_of, limits, take
from tests.waiting import eventually

OwnServer = Callable[..., PrivateServer]
FAILOVER_S = 12


@dataclass(frozen=True, slots=True)
class Watched:
    """A master with one replica, and the sentinel that watches them."""

    master: PrivateServer
    replica: PrivateServer
    sentinel: PrivateServer

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/fleet"

    def is_copied(self) -> bool:
        """The replica has all that the master wrote."""
        with redis.Redis(port=self.master.port) as master, redis.Redis(port=self.replica.port) as replica:
            written, read = master.info("replication"), replica.info("replication")
        is_linked = read.get("master_link_status") == "up"
        return is_linked and int(read["slave_repl_offset"]) >= int(written["master_repl_offset"])

    def is_known(self) -> bool:
        """The sentinel has met the replica."""
        with redis.Redis(port=self.sentinel.port) as client:
            return len(client.execute_command("SENTINEL", "REPLICAS", "fleet")) == 1


@pytest.fixture
def watched(own_server: OwnServer) -> Watched:
    """Quick to notice a death: 0.3 s."""
    quick = {"repl-diskless-sync-delay": "0"}
    master = own_server(password="", settings=quick)
    replica = own_server(password="", settings={**quick, "replicaof": f"127.0.0.1 {master.port}"})
    settings = {
        "sentinel monitor": f"fleet 127.0.0.1 {master.port} 1",
        "sentinel down-after-milliseconds": "fleet 300",
        "sentinel failover-timeout": "fleet 2000",
    }
    running = Watched(master, replica, own_server(password="", settings=settings, arguments=("--sentinel",)))
    assert eventually(lambda: running.is_copied() and running.is_known(), within_s=15)
    return running


async def test_a_failover_loses_no_wait_and_no_lease(watched: Watched, namespace: str) -> None:
    """The master is killed: leases stay, the ticket that waits is granted by the new master."""
    async with fleet(watched.url, namespace, limits(slots=2)) as member:
        held = [await lease_of(member), await lease_of(member)]
        waiting = asyncio.create_task(take(member, timeout_s=30))
        await asyncio.sleep(0.1)
        assert await asyncio.to_thread(eventually, watched.is_copied, within_s=5)
        watched.master.kill()
        killed = time.monotonic()
        held[0].settle(Settlement(1, 1))
        assert isinstance(await asyncio.wait_for(waiting, FAILOVER_S), Lease)
        assert time.monotonic() - killed < FAILOVER_S
        assert await held[1].ready()
        assert (await member.status())["p"]["leases"] == 2
        with redis.Redis(port=watched.replica.port) as client:
            assert client.role()[0] == b"master"
