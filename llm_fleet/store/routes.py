"""Which server a key is on: always the same, the master that the sentinels name, or by slot."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError

from ..errors import CoordinationError
from .faults import code_of, what_happened
from .link import Command
from .target import Address, Target

__all__ = ["ClusterRoute", "Route", "SentinelRoute", "SingleRoute", "new_route", "slot_of"]

Ask = Callable[[Address, Command], Awaitable[Any]]
"""Asks one server one thing over a connection of its own."""

REDIRECT = re.compile(r"(\d+) (\S*):(\d+)$")


def slot_of(key: str) -> int:
    """The hash slot of a key: equal for keys with the same {hash tag}."""
    return int(key_slot(key.encode()))


class Route(Protocol):
    """Finds the server for a key."""

    async def find(self, key: str) -> Address:
        """The address to ask. Raises CoordinationError when nobody can tell."""
        ...

    def lost(self, address: Address) -> None:
        """What was known of `address` may be wrong by now: it failed, or is no master."""
        ...

    def redirect(self, error: Exception, address: Address) -> tuple[Address, bool] | None:
        """Where `address` sent us with this error, and whether only for now; None: it did not."""
        ...


class SingleRoute:
    """One server."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def find(self, key: str) -> Address:
        return self._address

    def lost(self, address: Address) -> None:
        pass

    def redirect(self, error: Exception, address: Address) -> tuple[Address, bool] | None:
        return None


class SentinelRoute:
    """The master of a service, asked of the sentinels in turn and kept until it fails."""

    def __init__(self, target: Target, ask: Ask) -> None:
        self._target = target
        self._ask = ask
        self._sentinels = list(target.seeds)
        self._master: Address | None = None
        self._asking = asyncio.Lock()

    async def find(self, key: str) -> Address:
        async with self._asking:
            if self._master is None:
                self._master = await self._discover()
            return self._master

    def lost(self, address: Address) -> None:
        self._master = None

    def redirect(self, error: Exception, address: Address) -> tuple[Address, bool] | None:
        return None

    async def _discover(self) -> Address:
        service = self._target.service
        said = []
        for sentinel in list(self._sentinels):
            try:
                master = await self._ask(sentinel, ("SENTINEL", "get-master-addr-by-name", service))
            except (RedisError, OSError) as error:
                said.append(f"{sentinel} {what_happened(error)}")
                continue
            if master:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)  # the one that knows is asked first next time
                return Address(host=master[0], port=int(master[1]))
            said.append(f"{sentinel} knows no service {service!r}")
        raise CoordinationError(
            f"No sentinel of {self._target.description} names a master ({'; '.join(said)}). "
            f"Check the hosts and the service in redis.url (REDIS_URL); a failover may be going on."
        )


class ClusterRoute:
    """The node that holds a key's slot, from the map that any node gives."""

    def __init__(self, target: Target, ask: Ask) -> None:
        self._target = target
        self._ask = ask
        self._nodes = dict.fromkeys(target.seeds)
        self._slots: dict[int, Address] = {}
        self._asking = asyncio.Lock()

    async def find(self, key: str) -> Address:
        slot = slot_of(key)
        async with self._asking:
            if slot not in self._slots:
                self._slots = await self._discover()
                self._nodes |= dict.fromkeys(self._slots.values())
        if slot not in self._slots:
            raise CoordinationError(
                f"No node of {self._target.description} serves slot {slot}: the cluster is incomplete. "
                f"`redis-cli --cluster check` says what is missing."
            )
        return self._slots[slot]

    def lost(self, address: Address) -> None:
        self._slots.clear()
        if address in self._nodes:
            self._nodes[address] = self._nodes.pop(address)  # it is asked for the map after all others

    def redirect(self, error: Exception, address: Address) -> tuple[Address, bool] | None:
        code = code_of(error)
        found = REDIRECT.search(str(error)) if code in ("MOVED", "ASK") else None
        if found is None:
            return None
        slot, host, port = found.groups()
        to = Address(host=host or address.host, port=int(port))  # no host: the one that was asked
        if code == "MOVED":
            self._slots[int(slot)] = to
        return to, code == "ASK"

    async def _discover(self) -> dict[int, Address]:
        said = []
        for node in list(self._nodes):
            try:
                return _slot_map(await self._ask(node, ("CLUSTER", "SLOTS")), node)
            except (RedisError, OSError) as error:
                self.lost(node)
                said.append(f"{node} {what_happened(error)}")
        raise CoordinationError(
            f"No node of {self._target.description} gives a map of its slots ({'; '.join(said)}). "
            f"Check the hosts in redis.url (REDIS_URL); a server that is no cluster needs redis://."
        )


def _slot_map(ranges: list[list[Any]], asked: Address) -> dict[int, Address]:
    slots: dict[int, Address] = {}
    for first, last, (host, port, *_), *_replicas in ranges:
        node = Address(host=host or asked.host, port=int(port))
        slots |= dict.fromkeys(range(first, min(last + 1, REDIS_CLUSTER_HASH_SLOTS)), node)
    return slots


def new_route(target: Target, ask: Ask) -> Route:
    """The route of a target."""
    match target.kind:
        case "sentinel":
            return SentinelRoute(target, ask)
        case "cluster":
            return ClusterRoute(target, ask)
    return SingleRoute(target.seeds[0])
