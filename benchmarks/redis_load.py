"""What a run costs Redis: commands by who issued them, and CPU, from INFO before and after."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import redis

from llm_fleet.engine.scripts import load_script, script_names

__all__ = ["RedisLoad", "read_load"]

_OURS = {"info"}
"""Issued by this very measurement."""


def commands_of_scripts() -> set[str]:
    """The commands that our scripts issue: every word in capitals that they quote.

    Redis counts what a script calls among all other commands.
    """
    sources = [load_script(name).source for name in script_names()]
    return {found.lower() for source in sources for found in re.findall(r'"([A-Z]{3,})"', source)}


@dataclass(frozen=True, slots=True)
class RedisLoad:
    """Calls by command, and seconds of CPU of the server process."""

    calls: Counter[str]
    cpu_s: float

    def since(self, before: RedisLoad) -> RedisLoad:
        """What came on top of `before`."""
        return RedisLoad(self.calls - before.calls, self.cpu_s - before.cpu_s)

    def from_clients(self) -> dict[str, int]:
        """Calls that came over a connection, most first: what no script of ours issues.

        Holds as long as the engine's clients send none of the commands that its scripts use.
        """
        ours = commands_of_scripts() | _OURS
        return {name: count for name, count in self.calls.most_common() if name not in ours}

    def in_scripts(self) -> int:
        """Calls that scripts made."""
        return sum(count for name, count in self.calls.items() if name in commands_of_scripts())


def read_load(client: redis.Redis) -> RedisLoad:
    """All that the server has done so far."""
    info: dict[str, Any] = client.info("everything")
    calls = {
        name.removeprefix("cmdstat_"): stats["calls"]
        for name, stats in info.items()
        if name.startswith("cmdstat_")
    }
    return RedisLoad(Counter(calls), info["used_cpu_user"] + info["used_cpu_sys"])
