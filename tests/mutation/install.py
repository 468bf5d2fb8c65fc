"""Puts other texts in the place of lua/, for this process: scripts, libraries and what tests made of them."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from llm_fleet.engine import scripts
from tests import pool_rig
from tests.lua_library import Library
from tests.lua_redis import MiniRedis
from tests.mutation.mutants import join, statement_starts

__all__ = ["Recorder", "install", "instrumented"]

ORIGINAL_FOLDER = scripts.lua_folder


def install(texts: Mapping[str, str], changed: Iterable[str], folder: Path) -> None:
    """Everything of this process reads these texts from now on; `changed` are the names of the files."""
    for name, text in texts.items():
        path = folder / f"{name}.lua"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in scripts.script_names():
        source, script = join(name, texts), scripts.load_script(name)
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(script, "source", source)
        object.__setattr__(script, "sha", sha)
    for module in list(sys.modules.values()):
        if getattr(module, "lua_folder", None) is ORIGINAL_FOLDER:
            module.lua_folder = lambda: folder  # type: ignore[attr-defined]
    _reload_tests_of({name.removeprefix("lib/") for name in changed})


def _reload_tests_of(libraries: set[str]) -> None:
    """Tests of libraries keep functions of them in their globals: these are made again."""
    for name, module in list(sys.modules.items()):
        held = (
            [value for value in vars(module).values() if isinstance(value, Library)]
            if "test_" in name
            else []
        )
        if any(libraries & set(library.names) for library in held):
            importlib.reload(module)


def instrumented(file: str, text: str, number: Callable[[str, int], int]) -> str:
    """The file, with a note before each statement that it is carried out."""
    parts, before = [], 0
    for start in statement_starts(text):
        parts += [text[before:start], f"redis.log({number(file, start)}) "]
        before = start
    return "".join([*parts, text[before:]])


class Recorder:
    """Which statements were carried out since `take` was called last: by every Lua of this process."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        self._places: list[tuple[str, int]] = []
        self._seen: list[Any] = []
        self._watch(MiniRedis, lambda mini: (mini.lua, mini.redis))
        self._watch(Library, lambda library: (library._lua, None))
        fake: Any = pool_rig.FAKE  # the mini Redis: bench.use_mini_redis
        self._listen(fake.lua, fake.redis)

    def number(self, file: str, start: int) -> int:
        """The number of a statement."""
        at = self._numbers.setdefault((file, start), len(self._places))
        if at == len(self._places):
            self._places.append((file, start))
        return at

    def take(self) -> set[tuple[str, int]]:
        """The statements since the last time, by file and start."""
        numbers = {number for take in self._seen for number in (take() or "").split()}
        return {self._places[int(number)] for number in numbers}

    def _watch(self, kind: type, parts: Callable[[Any], tuple[Any, Any]]) -> None:
        opened = kind.__init__  # type: ignore[misc]

        def watched(self_: Any, *arguments: Any, **options: Any) -> None:
            opened(self_, *arguments, **options)
            self._listen(*parts(self_))

        kind.__init__ = watched  # type: ignore[misc]

    def _listen(self, lua: Any, redis: Any) -> None:
        if redis is None:
            redis = lua.globals().redis = lua.table()
        self._seen.append(
            lua.execute(
                """
            local redis, seen = ..., {}
            function redis.log(number) seen[number] = true end
            return function()
                local out = {}
                for number in pairs(seen) do out[#out + 1] = number end
                seen = {}
                return table.concat(out, " ")
            end""",
                redis,
            )
        )
