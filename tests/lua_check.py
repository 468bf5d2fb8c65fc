"""Checks every Lua script as Redis gets it: `python -m tests.lua_check`.

Each script is joined with its includes and compiled by Lua 5.1. Its bytecode tells exactly which
globals it reads and sets: setting one is refused, and so is reading one outside the plain dialect
that all servers and the fake share. The slots that its header names must be those that it uses.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from typing import Any

from lupa import lua51

from llm_fleet.engine.scripts import load_script, script_names

DIALECT = {"ARGV", "KEYS", "cjson", "math", "redis", "string", "struct", "table", "assert", "error", "ipairs"}
DIALECT |= {"next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "unpack"}
COMPILE = "function(source) local f, e = loadstring(source, 'script') return f or false, e end"
GETGLOBAL, SETGLOBAL = 5, 7  # lopcodes.h of Lua 5.1


class Bytecode:
    """Reads what Lua 5.1's `string.dump` writes, on a 64-bit machine."""

    def __init__(self, code: bytes) -> None:
        assert code[:5] == b"\x1bLua\x51", "not Lua 5.1 bytecode"
        self._code = code
        self._at = 12

    def globals(self) -> Iterator[tuple[int, bool, str]]:
        """Line, whether it is set, and name: of each place that uses a global."""
        self._text()
        self._take("<ii4B")
        code = [self._take("<I")[0] for _ in range(self._size())]
        names = [self._constant() for _ in range(self._size())]
        for _ in range(self._size()):
            yield from self.globals()
        lines = [self._size() for _ in range(self._size())]
        for _ in range(self._size()):
            self._text()
            self._take("<ii")
        for _ in range(self._size()):
            self._text()
        for at, instruction in enumerate(code):
            if instruction & 0x3F in (GETGLOBAL, SETGLOBAL):
                yield lines[at], instruction & 0x3F == SETGLOBAL, str(names[instruction >> 14])

    def _take(self, shape: str) -> tuple[Any, ...]:
        values = struct.unpack_from(shape, self._code, self._at)
        self._at += struct.calcsize(shape)
        return values

    def _size(self) -> int:
        return int(self._take("<i")[0])

    def _text(self) -> str:
        (size,) = self._take("<Q")
        (text,) = self._take(f"<{size}s")
        return bytes(text).rstrip(b"\0").decode()

    def _constant(self) -> object:
        (kind,) = self._take("<B")
        match kind:
            case 1:
                return self._take("<B")
            case 3:
                return self._take("<d")
            case 4:
                return self._text()
        return None


def faults(name: str, source: str) -> list[str]:
    """What is wrong with a joined script, one sentence each."""
    lua = lua51.LuaRuntime(encoding=None)
    chunk, problem = lua.eval(COMPILE)(source.encode())
    if not chunk:
        return [f"{name}: does not compile: {problem.decode()}"]
    lines = source.splitlines()
    found = []
    for line, is_set, word in Bytecode(lua.eval("string.dump")(chunk)).globals():
        place = f"{name}: joined line {line} `{lines[line - 1].strip()}`"
        if is_set:
            found.append(f"{place} sets the global {word}: make it local")
        elif word not in DIALECT:
            found.append(f"{place} reads the unknown global {word}")
    return found + _slot_faults(name, source)


def _slot_faults(name: str, source: str) -> list[str]:
    header = re.match(r"(--.*\n)*", source)
    assert header
    body = re.sub(r"--.*", "", source[header.end() :])
    found = []
    for kind in ("KEYS", "ARGV"):
        named = set(map(int, re.findall(rf"^-- {kind}\[(\d+)\]", header[0], re.MULTILINE)))
        used = set(map(int, re.findall(rf"\b{kind}\[(\d+)\]", body)))
        if not re.search(rf"^-- {kind}\[\d+\.\.", header[0], re.MULTILINE):
            found += [f"{name}: {kind}[{n}] is used, but not in the header" for n in sorted(used - named)]
        if not re.search(rf"\b{kind}\[(?!\d+\])", body):  # no slot is chosen by a variable
            found += [f"{name}: {kind}[{n}] is in the header, but not used" for n in sorted(named - used)]
    return found


def main() -> int:
    """Print what is wrong; the exit code says whether anything is."""
    names = script_names()
    found = [fault for name in names for fault in faults(name, load_script(name).source)]
    for fault in found:
        print(fault)
    print(f"Lua: {len(names)} scripts, {len(found)} faults")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
