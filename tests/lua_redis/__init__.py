"""A minimal Redis inside Lua 5.1, fast enough for simulations and mutations of lua/.

It has just the commands that the scripts use, answers them as Redis does (tests/test_lua_redis.py
compares it with a real server), and refuses all others. Its time is whatever `clock` says.
Every kind of command has a room of its own in Lua; `commands.lua` lists them.
"""

from __future__ import annotations

from tests.lua_redis.client import MiniRedis, numbers_in

__all__ = ["MiniRedis", "numbers_in"]
