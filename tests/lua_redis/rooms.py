"""The rooms of the mini Redis: one file of Lua each, beside this one. What a room returns is had by `require`."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lupa import lua51

__all__ = ["HERE", "compiled", "open_room"]

HERE = Path(__file__).parent
COMPILE = b"function(text, name) local chunk = loadstring(text, name) return chunk and string.dump(chunk) or text end"
OPEN = """
function(wanted, ...)
    for i = 1, select("#", ...), 2 do
        local name, code = select(i, ...)
        package.preload[name] = assert(loadstring(code, "@" .. name))
    end
    return require(wanted)
end
"""
_compile = lua51.LuaRuntime(encoding=None).eval(COMPILE)


@lru_cache(maxsize=64)
def compiled(source: str, name: str) -> bytes:
    """Its bytecode, which a new server reads sooner; the text itself when it does not compile."""
    return bytes(_compile(source.encode(), f"@{name}".encode()))


@cache
def _rooms() -> tuple[str | bytes, ...]:
    """Name and bytecode of each."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.lua"))}
    return tuple(part for name, text in texts.items() for part in (name, compiled(text, name)))


def open_room(lua: Any, name: str) -> Any:
    """What the room returns, in a Lua of Python's; the rooms that it asks for are opened with it."""
    return lua.eval(OPEN)(name, *_rooms())
