"""The mini Redis as redis-py's client looks, as far as tests need one."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import redis
from lupa import lua51

from tests.lua_redis.rooms import compiled, open_room

__all__ = ["MiniRedis", "numbers_in"]

Value = str | bytes | int | float


def _wall_clock_us() -> int:
    """As fakeredis has it: patching `time.time` moves it."""
    return round(time.time() * 1_000_000)


@lru_cache(maxsize=64)
def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class MiniRedis:
    """One server with one client; replies are decoded. `clock` gives its TIME in microseconds.

    Lua's bytes are Latin-1 on their way here: any of them is a character, as packed records need.
    """

    def __init__(self, clock: Callable[[], int] = _wall_clock_us) -> None:
        self.clock = clock
        self.lua = lua51.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True, register_eval=False)
        self._box = open_room(self.lua, "sandbox")
        self._run, self._ask, self.redis = self._box["run"], self._box["ask"], self._box["redis"]
        self._scripts: dict[str, Any] = {}

    # -- scripts -------------------------------------------------------------------------------

    def script_load(self, source: str) -> str:
        """Compile a script; gives the SHA1 by which it is called."""
        sha = _sha1(source)
        if sha not in self._scripts:
            try:
                self._scripts[sha] = self._box["load"](compiled(source, "user_script"), "user_script")
            except lua51.LuaError as error:
                raise redis.exceptions.ResponseError(str(error)) from None
        return sha

    def script_flush(self) -> bool:
        """Forget every script."""
        self._scripts.clear()
        return True

    def eval(self, source: str, keys: int, *arguments: Value) -> Any:
        return self.evalsha(self.script_load(source), keys, *arguments)

    def evalsha(self, sha: str, keys: int, *arguments: Value) -> Any:
        script = self._scripts.get(sha)
        if script is None:
            raise redis.exceptions.NoScriptError("No matching script. Please use EVAL.")
        try:
            return self._value(self._run(script, self.clock(), keys, *map(_to_lua, arguments)))
        except lua51.LuaError as error:
            raise redis.exceptions.ResponseError(str(error)) from None

    def pushed(self) -> list[str]:
        """The lists that scripts have pushed to since the last call, in order."""
        names = self._box["take_pushed"]()
        return names.split("\n") if names else []

    def work(self) -> int:
        """How many commands and arguments there were since the last call: what Redis has to do, more or less."""
        return int(self._box["take_work"]())

    # -- commands ------------------------------------------------------------------------------

    def execute_command(self, name: str, *arguments: Value) -> Any:
        """Any command by its name; its plain reply."""
        try:
            return self._value(self._ask(self.clock(), name, *map(_to_lua, arguments)))
        except lua51.LuaError as error:
            raise redis.exceptions.ResponseError(str(error)) from None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self.execute_command(name.upper(), *arguments)

    def hgetall(self, key: str) -> dict[str, str]:
        flat = iter(self.execute_command("HGETALL", key))
        return dict(zip(flat, flat, strict=True))

    def hset(self, key: str, field: str, value: Value, mapping: Mapping[str, Value] | None = None) -> int:
        return int(self.execute_command("HSET", key, field, value, *_flat(mapping or {})))

    def hmget(self, key: str, fields: Iterable[str]) -> list[str | None]:
        return list(self.execute_command("HMGET", key, *fields))

    def lpop(self, key: str, count: int | None = None) -> Any:
        return self.execute_command("LPOP", key, *([] if count is None else [count]))

    def zadd(self, key: str, mapping: Mapping[str, float]) -> int:
        return int(self.execute_command("ZADD", key, *(part for m, s in mapping.items() for part in (s, m))))

    def _value(self, reply: Any) -> Any:
        """A Lua reply as Redis gives it to a client."""
        if isinstance(reply, str):
            return reply if reply.isascii() else reply.encode("latin-1").decode(errors="surrogateescape")
        if reply is None:
            return None
        if isinstance(reply, bool):
            return 1 if reply else None
        if isinstance(reply, (int, float)):
            return int(reply)
        if reply["err"] is not None:
            raise redis.exceptions.ResponseError(reply["err"])
        if reply["ok"] is not None:
            return True if reply["ok"] == "OK" else reply["ok"]
        return [self._value(item) for item in _until_nil(reply)]


def numbers_in(text: str) -> list[int]:
    """The numbers of a packed record (lua/lib/records)."""
    return list(array("q", text.encode(errors="surrogateescape")))


def _to_lua(value: Value) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    text = str(value)
    return text if text.isascii() else text.encode(errors="surrogateescape").decode("latin-1")


def _flat(mapping: Mapping[str, Value]) -> Iterable[Value]:
    return (part for pair in mapping.items() for part in pair)


def _until_nil(table: Any) -> Iterable[Any]:
    """An array ends with its first nil."""
    at = 1
    while (item := table[at]) is not None:
        yield item
        at += 1
