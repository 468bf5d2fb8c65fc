"""The Redis of a fleet: the real scripts on the mini Redis, its clock, and those who wait at mailboxes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import redis

from llm_fleet.engine.keys import PoolKeys
from llm_fleet.engine.packing import encode_call
from llm_fleet.engine.scripts import load_script
from tests.lua_redis import MiniRedis
from tests.simulation.world import MS, World

__all__ = ["Server", "kind_of_step"]

START_US = 1_800_000_000_000_000


def kind_of_step(operations: Sequence[Sequence[Any]]) -> str:
    """What a step is for: to ask or to end something, a heartbeat, or a timer's call."""
    kinds = {operation[0] for operation in operations}
    return "work" if kinds - {"h"} else "beat" if kinds else "timer"


class Server:
    """One server with one pool; time jumps where the scenario says so."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.jumped = 0
        self.mini = MiniRedis(lambda: START_US + world.now + self.jumped)
        self.keys = PoolKeys("simulation", "pool")
        self.calls = Counter[str]()
        self._readers: dict[str, Callable[[str], None]] = {}
        self._epochs = 0

    def jump(self, us: int) -> None:
        """The server's clock is set, forward or back."""
        self.jumped += us

    def _script(self, name: str, *arguments: str | bytes | int) -> Any:
        script, keys = load_script(name), self.keys.all()
        try:
            reply = self.mini.evalsha(script.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            reply = self.mini.eval(script.source, len(keys), *keys, *arguments)
        for mailbox in self.mini.pushed():
            self._serve(mailbox)
        return reply

    def register(self, process: str, offer: str) -> list[Any]:
        """pool_register."""
        self.calls["register"] += 1
        self._epochs += 1
        return list(
            self._script("pool_register", process, f"epoch{self._epochs}", offer)
        )

    def step(self, process: str, epoch: str, fence: int, operations: Sequence[Any]) -> list[Any]:
        """pool_step."""
        self.calls[kind_of_step(operations)] += 1
        return list(json.loads(self._script("pool_step", encode_call(process, epoch, fence, operations))))

    def snapshot(self) -> dict[str, Any]:
        """pool_snapshot."""
        text = self._script("pool_snapshot")
        return dict(json.loads(text)) if text else {}

    def wait_at_mailbox(self, process: str, take: Callable[[str], None]) -> None:
        """A blocking pop: `take` is called with the first message, now or when it comes."""
        self._readers[self.keys.mailbox(process)] = take
        self._serve(self.keys.mailbox(process))

    def hang_up(self, process: str) -> None:
        """The connection of a process is gone: nobody waits at its mailbox any more."""
        self._readers.pop(self.keys.mailbox(process), None)

    def _serve(self, mailbox: str) -> None:
        if mailbox in self._readers:
            text = self.mini.lpop(mailbox)
            if text is not None:
                self._readers.pop(mailbox)(text)

    @property
    def now_ms(self) -> int:
        return (START_US + self._world.now + self.jumped) // MS
