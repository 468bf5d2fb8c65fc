"""A real Redis Cluster on loopback: three masters, each with a third of the slots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.embedded.private import _free_port
from llm_fleet.store.routes import slot_of
from tests.waiting import eventually

__all__ = ["Cluster", "cluster", "run_cluster"]

SLOTS = 16384
MASTERS = 3


@dataclass(frozen=True, slots=True)
class Cluster:
    """Its nodes, a plain client for each, and a url that names them all."""

    nodes: Sequence[PrivateServer]
    clients: Sequence[redis.Redis]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def owner(self, key: str) -> int:
        """The number of the node that serves a key now."""
        slot, ports = slot_of(key), [node.port for node in self.nodes]
        ranges = self.clients[0].execute_command("CLUSTER SLOTS")
        return next(ports.index(node[1]) for first, last, node, *_ in _rows(ranges) if first <= slot <= last)

    def begin_move(self, key: str, to: int) -> None:
        """From here on the slot's keys are moved: what is missing is to be asked of the other node."""
        slot, source = slot_of(key), self.owner(key)
        ids = [client.execute_command("CLUSTER MYID").decode() for client in self.clients]
        self.clients[to].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        self.clients[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])

    def move_keys(self, key: str, to: int) -> int:
        """Move the keys of the slot that are there now, one by one; how many they were."""
        slot, source = slot_of(key), self.clients[self.owner(key)]
        names = source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        for name in names:
            source.migrate("127.0.0.1", self.nodes[to].port, name, 0, 1000, replace=True)
        return len(names)

    def end_move(self, key: str, to: int) -> None:
        """The other node has the slot."""
        slot, source = slot_of(key), self.owner(key)
        name = self.clients[to].execute_command("CLUSTER MYID").decode()
        for number in (to, source, *range(MASTERS)):
            self.clients[number].execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)

    def move(self, key: str, to: int) -> None:
        """Move a slot with all that is in it."""
        self.begin_move(key, to)
        while self.move_keys(key, to):
            pass
        self.end_move(key, to)

    def move_at_once(self, key: str, to: int) -> None:
        """Move a slot in one piece, as Valkey can from 9.0 on; a test is skipped where it cannot."""
        slot, source = slot_of(key), self.clients[self.owner(key)]
        name = self.clients[to].execute_command("CLUSTER MYID").decode()
        try:
            source.execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name)
        except redis.ResponseError as error:
            pytest.skip(f"this server moves slots key by key only: {error}")
        assert eventually(lambda: self.owner(key) == to)


@contextmanager
def run_cluster() -> Iterator[Cluster]:
    """Start one; the caller goes on when all nodes find it complete (some 2 s)."""
    with ExitStack() as running:
        nodes = [running.enter_context(_node()) for _ in range(MASTERS)]
        clients = [running.enter_context(redis.Redis(port=node.port)) for node in nodes]
        ends = [SLOTS * number // MASTERS for number in range(MASTERS + 1)]
        for client, first, end in zip(clients, ends, ends[1:], strict=False):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for client, node in zip(clients[1:], nodes[1:], strict=True):
            bus = client.config_get("cluster-port")["cluster-port"]
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        if not eventually(lambda: all(_is_complete(client) for client in clients), within_s=15):
            pytest.fail("the cluster did not form in time")
        yield Cluster(nodes, clients)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster for the tests of a module."""
    with run_cluster() as running:
        yield running


def _node() -> PrivateServer:
    settings = {"cluster-enabled": "yes", "cluster-port": str(_free_port()), "cluster-node-timeout": "2000"}
    return PrivateServer.start(password="", settings=settings)


def _is_complete(client: redis.Redis) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return bool(info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == MASTERS)


def _rows(ranges: Any) -> list[Any]:
    """CLUSTER SLOTS as the server gives it, or as redis-py has parsed it."""
    if isinstance(ranges, dict):
        return [(*span, (None, int(found["primary"][1]))) for span, found in ranges.items()]
    return [(row[0], row[1], (None, int(row[2][1]))) for row in ranges]
