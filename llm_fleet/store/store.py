"""Asks Redis: one command, one script, one blocking pop. Knows no key and no script by name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from redis.exceptions import NoScriptError, RedisError, ResponseError

from ..errors import CoordinationError
from .faults import code_of, coordination_error
from .link import Command, Link
from .links import Links, OwnLinks, SharedLink
from .routes import new_route, slot_of
from .target import Address, parse_url
from .wire import Argument

__all__ = ["Script", "Store", "StoreOptions"]

HOPS = 5
NO_MASTER = frozenset({"READONLY", "UNBLOCKED", "MASTERDOWN", "CLUSTERDOWN"})
KEYLESS = frozenset(
    {"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "FLUSHALL", "FLUSHDB", "INFO", "LATENCY"}
    | {"MEMORY", "PING", "SCRIPT", "SLOWLOG", "TIME"}
)


class Script(Protocol):
    """A Lua script with all its includes, and the SHA1 under which Redis keeps it."""

    @property
    def sha(self) -> str: ...

    @property
    def source(self) -> str: ...


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How to reach Redis. Times in seconds."""

    url: str = field(repr=False)
    connect_timeout_s: float = 2.0
    command_timeout_s: float = 2.0


class Store:
    """A process's way to Redis. Belongs to the process and event loop that use it first.

    One connection per server carries all commands, however many tasks ask; each blocking pop has
    one of its own. A command that is not answered in time closes its connection, and whatever is
    on it fails: answers come in order.

    Every method but `groups` raises CoordinationError when Redis is away, refuses us or does not
    answer in time: after `command_timeout_s`, and `connect_timeout_s` more where a connection has
    to be opened. There are no retries, except once when a connection was closed while idle.
    """

    def __init__(self, options: StoreOptions) -> None:
        """Opens nothing.

        Raises:
            ConfigError: the url means nothing.
        """
        self._options = options
        self._target = parse_url(options.url)
        self._route = new_route(self._target, self._ask_once)
        self._links: dict[Address, Links] = {}
        self._pops: dict[Address, Links] = {}
        self._owner: asyncio.AbstractEventLoop | None = None
        self._forks = 0
        self._closed = False

    @property
    def description(self) -> str:
        """Where it connects, for people: never a password."""
        return self._target.description

    async def call(self, *command: Argument) -> Any:
        """One command; strings, integers and lists as Redis answers them."""
        keyless = len(command) < 2 or str(command[0]).upper() in KEYLESS
        return await self._ask("" if keyless else str(command[1]), command)

    async def script(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script by its SHA1, and by its text where the server does not know it (any more)."""
        slots: Command = (len(keys), *keys, *args)
        key = keys[0] if keys else ""
        try:
            return await self._ask(key, ("EVALSHA", script.sha, *slots))
        except NoScriptError:
            return await self._ask(key, ("EVAL", script.source, *slots))

    async def pop(self, keys: Sequence[str], timeout_s: float) -> tuple[str, str] | None:
        """Wait for an entry in one of the lists; its key and text, or None after `timeout_s`.

        Uses a connection that it shares with no other command. Cancelling closes that: an entry
        that was on its way is lost then.
        """
        command: Command = ("BLPOP", *keys, max(timeout_s, 0.001))
        entry = await self._ask(keys[0], command, blocks_s=timeout_s)
        return (entry[0], entry[1]) if entry else None

    def groups(self, keys: Sequence[str]) -> list[list[str]]:
        """The keys, split so that one `pop` may cover each part: on a cluster by slot, else as one."""
        groups: dict[int, list[str]] = {}
        for key in keys:
            groups.setdefault(slot_of(key) if self._target.kind == "cluster" else 0, []).append(key)
        return list(groups.values())

    async def close(self) -> None:
        """Close all connections; what still waits on one fails. May be called twice."""
        self._closed = True
        links = [*self._links.values(), *self._pops.values()]
        self._links, self._pops = {}, {}
        await asyncio.gather(*(some.close() for some in links))

    async def _ask(self, key: str, command: Command, blocks_s: float | None = None) -> Any:
        """Ask the server of `key`, and where it redirects us to. NoScriptError is left as it is."""
        self._check_owner()
        address, for_now = await self._route.find(key), False
        for _ in range(HOPS):
            try:
                return await self._ask_at(address, command, for_now, blocks_s)
            except NoScriptError:
                raise
            except (RedisError, OSError) as error:
                hop = self._route.redirect(error, address)
                if hop is None:
                    if not isinstance(error, ResponseError) or code_of(error) in NO_MASTER:
                        await self._lost(address)
                    raise coordination_error(error, self._where(address), str(command[0])) from error
                address, for_now = hop
        raise CoordinationError(f"Redis at {self.description} redirected {command[0]!s} {HOPS} times.")

    async def _ask_at(self, address: Address, command: Command, for_now: bool, blocks_s: float | None) -> Any:
        pool = self._links if blocks_s is None else self._pops
        links = pool.get(address)
        if links is None:
            kind = SharedLink if blocks_s is None else OwnLinks
            links = pool[address] = kind(partial(self._new_link, address))
        commands = [("ASKING",), command] if for_now else [command]
        return await links.ask(*commands, timeout_s=self._options.command_timeout_s + (blocks_s or 0.0))

    def _new_link(self, address: Address, *, sentinel: bool = False) -> Link:
        return Link(
            self._target, address, connect_timeout_s=self._options.connect_timeout_s, sentinel=sentinel
        )

    async def _ask_once(self, address: Address, command: Command) -> Any:
        link = self._new_link(address, sentinel=self._target.kind == "sentinel")
        try:
            await link.open()
            return await link.ask(command, timeout_s=self._options.command_timeout_s)
        finally:
            await link.close()

    async def _lost(self, address: Address) -> None:
        """Forget what was known of a server that failed, or that is no master."""
        self._route.lost(address)
        if self._target.kind != "single" and (links := self._links.pop(address, None)):
            await links.close()

    def _where(self, address: Address) -> str:
        return self.description if self._target.kind == "single" else f"{self.description} ({address})"

    def _check_owner(self) -> None:
        here = asyncio.get_running_loop()
        if self._owner is None:
            self._owner, self._forks = here, _forks.count
        if self._owner is not here or self._forks != _forks.count:
            raise RuntimeError(
                "a Store belongs to the process and event loop that used it first: open one of your own"
            )
        if self._closed:
            raise RuntimeError("this Store is closed")


class _Forks:
    """How many forks lie between this process and the one that loaded this module."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        self.count += 1


_forks = _Forks()
os.register_at_fork(after_in_child=_forks.add)
